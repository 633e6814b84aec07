// Local response normalization with the exponent 3/4, of all filters at a position at once:
//
//   y_i = x_i p_i,  p_i = d_i^(-3/4),  d_i = bias + alpha (sum of x_j^2 over the neighbours j of i)
#include <algorithm>

#include "lanes.h"

#ifdef __AVX512F__
#include <immintrin.h>
#else
#include <cmath>
#endif

namespace convnets {

namespace {

#ifdef __AVX512F__
Lanes root(Lanes x) { return (Lanes)_mm512_sqrt_ps((__m512)x); }
#else
Lanes root(Lanes x) {
  for (int64_t i = 0; i < kLanes; i++) x[i] = std::sqrt(x[i]);
  return x;
}
#endif

// Numbers of one position, zeros on both sides of them.
class Row {
 public:
  Row(int64_t channels, int64_t reach)
      : numbers_(reach + channels + reach + kLanes), reach_(reach), channels_(channels) {}
  void put(int64_t c, Lanes value) {
    store(numbers_.data() + reach_ + c, value, First{std::min(kLanes, channels_ - c)});
  }
  // Sums over the neighbours of the filters from c on.
  Lanes around(int64_t c) const {
    Lanes sum{};
    for (int64_t i = 0; i <= 2 * reach_; i++) sum += load(numbers_.data() + c + i, All{});
    return sum;
  }

 private:
  std::vector<float> numbers_;
  int64_t reach_, channels_;
};

struct Options {
  int64_t channels, reach;
  float bias, alpha;
};

inline Lanes fourth_root(Lanes d) { return root(root(d)); }

template <class T>
void normalize(const T* x, T* y, int64_t begin, int64_t end, const Options& options) {
  Row squares(options.channels, options.reach);
  for (int64_t at = begin * options.channels; at < end * options.channels; at += options.channels) {
    across(options.channels, [&](int64_t c, auto lanes) {
      const Lanes value = load(x + at + c, lanes);
      squares.put(c, value * value);
    });
    across(options.channels, [&](int64_t c, auto lanes) {
      const Lanes d = options.bias + options.alpha * squares.around(c), fourth = fourth_root(d);
      store(y + at + c, load(x + at + c, lanes) / (fourth * fourth * fourth), lanes);
    });
  }
}

// dx_i = dy_i p_i - 3/2 alpha x_i (sum of dy_j x_j p_j / d_j over the neighbours j of i)
template <class T>
void gradient(const T* dy, const T* x, T* dx, int64_t begin, int64_t end, const Options& options) {
  Row squares(options.channels, options.reach), terms(options.channels, options.reach), powers(options.channels, 0);
  for (int64_t at = begin * options.channels; at < end * options.channels; at += options.channels) {
    across(options.channels, [&](int64_t c, auto lanes) {
      const Lanes value = load(x + at + c, lanes);
      squares.put(c, value * value);
    });
    across(options.channels, [&](int64_t c, auto lanes) {
      const Lanes d = options.bias + options.alpha * squares.around(c), fourth = fourth_root(d);
      const Lanes p = 1 / (fourth * fourth * fourth);
      powers.put(c, p);
      terms.put(c, load(dy + at + c, lanes) * load(x + at + c, lanes) * p / d);
    });
    across(options.channels, [&](int64_t c, auto lanes) {
      const Lanes through = load(x + at + c, lanes) * terms.around(c);
      store(dx + at + c, load(dy + at + c, lanes) * powers.around(c) - 1.5f * options.alpha * through, lanes);
    });
  }
}

// Calls `work(begin, end)` with parts of the positions.
template <class Work>
ffi::Error over_positions(const Buffer& x, int64_t threads, const Work& work) {
  return guarded("local response norm", [&] {
    Turn turn(threads);
    const int64_t channels = x.dimensions().back();
    const int64_t positions = static_cast<int64_t>(x.element_count()) / channels;
    in_parts(positions, parts_of(positions, channels, threads),
             [&](int, int64_t begin, int64_t end) { work(begin, end); });
  });
}

ffi::Error Normalize(Buffer x, Result y, int64_t reach, float bias, float alpha, int64_t threads) {
  const Options options{x.dimensions().back(), reach, bias, alpha};
  return over_positions(x, threads, [&](int64_t begin, int64_t end) {
    if (x.element_type() == ffi::DataType::BF16)
      normalize(data<BFloat16>(x), data<BFloat16>(y), begin, end, options);
    else
      normalize(data<float>(x), data<float>(y), begin, end, options);
  });
}

ffi::Error Gradient(Buffer dy, Buffer x, Result dx, int64_t reach, float bias, float alpha, int64_t threads) {
  const Options options{x.dimensions().back(), reach, bias, alpha};
  return over_positions(x, threads, [&](int64_t begin, int64_t end) {
    if (x.element_type() == ffi::DataType::BF16)
      gradient(data<BFloat16>(dy), data<BFloat16>(x), data<BFloat16>(dx), begin, end, options);
    else
      gradient(data<float>(dy), data<float>(x), data<float>(dx), begin, end, options);
  });
}

}  // namespace

#define OPTIONS Attr<int64_t>("reach").Attr<float>("bias").Attr<float>("alpha").Attr<int64_t>("threads")

XLA_FFI_DEFINE_HANDLER_SYMBOL(local_response_norm, Normalize, ffi::Ffi::Bind().Arg<Buffer>().Ret<Buffer>().OPTIONS);
XLA_FFI_DEFINE_HANDLER_SYMBOL(local_response_norm_gradient, Gradient,
                              ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().OPTIONS);

}  // namespace convnets
