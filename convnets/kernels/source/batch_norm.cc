// Batch norm in four passes over the responses, two forward and two back, each fused with what stands beside it: the
// addition of a residual and the ReLU. Rows are examples and positions, columns filters. Sums are in float32 over
// blocks that stay in the cache, and in float64 over the blocks.
#include <algorithm>
#include <cmath>

#include "lanes.h"

namespace convnets {

namespace {

// Rows of few filters are taken several at a time, as one row of as many filters again.
struct Shape {
  int64_t filters, times = 1, rows, columns;
  explicit Shape(const Buffer& x) : filters(x.dimensions().back()), rows(x.element_count() / filters) {
    for (; times * filters < 4 * kLanes && rows % 2 == 0; rows /= 2) times *= 2;
    columns = times * filters;
  }
  int64_t block() const { return std::max<int64_t>(4, 32768 / columns); }
  int parts(int64_t threads) const { return parts_of(rows, columns, threads); }
  std::vector<float> spread(const float* vector) const {
    std::vector<float> wide(columns);
    for (int64_t c = 0; c < columns; c++) wide[c] = vector[c % filters];
    return wide;
  }
};

// Mean and sum of squared deviations of what was seen so far; two of them make one (Chan, Golub and LeVeque, 1979).
struct Moments {
  double count = 0, mean = 0, deviations = 0;

  void merge(const Moments& more) {
    const double whole = count + more.count, apart = more.mean - mean;
    mean += apart * (more.count / whole);
    deviations += more.deviations + apart * apart * (count * more.count / whole);
    count = whole;
  }
};

// The moments of each column. Sums are of what a number differs from the mean so far, so that they stay exact where
// deviations are much smaller than the mean.
template <class T>
std::vector<Moments> moments(const T* x, const Shape& shape, int64_t begin, int64_t end) {
  const int64_t columns = shape.columns;
  std::vector<Moments> found(columns);
  std::vector<float> center(columns), sums(columns), squares(columns);
  for (int64_t c = 0; c < columns; c++) center[c] = load(x + begin * columns + c);
  auto add_up = [&](int64_t first, int64_t last) {
    std::fill(sums.begin(), sums.end(), 0.f);
    std::fill(squares.begin(), squares.end(), 0.f);
    in_fours(first, last, [&](int64_t row, auto count) {
      across(columns, [&, m = center.data(), s = sums.data(), q = squares.data()](int64_t c, auto lanes) {
        const Lanes middle = load(m + c, lanes);
        Lanes sum = load(s + c, lanes), square = load(q + c, lanes);
        for (int i = 0; i < count; i++) {
          const Lanes apart = load(x + (row + i) * columns + c, lanes) - middle;
          sum += apart;
          square += apart * apart;
        }
        store(s + c, sum, lanes);
        store(q + c, square, lanes);
      });
    });
  };
  for (int64_t first = begin; first < end; first += shape.block()) {
    const int64_t last = std::min(end, first + shape.block());
    const double count = static_cast<double>(last - first);
    if (first == begin) {  // there is no mean so far: this block is read twice
      add_up(first, last);
      for (int64_t c = 0; c < columns; c++) center[c] += static_cast<float>(sums[c] / count);
    }
    add_up(first, last);
    for (int64_t c = 0; c < columns; c++) {
      const double shift = sums[c] / count;
      found[c].merge({count, center[c] + shift, squares[c] - sums[c] * shift});
      center[c] = static_cast<float>(found[c].mean);
    }
  }
  return found;
}

template <class T>
void moments(const T* x, const Shape& shape, float* mean, float* variance, int64_t threads) {
  std::vector<std::vector<Moments>> found(shape.parts(threads));
  in_parts(shape.rows, shape.parts(threads),
           [&](int part, int64_t begin, int64_t end) { found[part] = moments(x, shape, begin, end); });
  for (int64_t f = 0; f < shape.filters; f++) {
    Moments whole;
    for (const auto& part : found)
      for (int64_t c = f; c < shape.columns; c += shape.filters) whole.merge(part[c]);
    mean[f] = static_cast<float>(whole.mean);
    variance[f] = static_cast<float>(std::max(0., whole.deviations) / whole.count);
  }
}

template <class T, bool kRelu, bool kResidual>
void normalize(const T* x, const T* residual, T* y, const float* center, const float* factor, const float* shift,
               const Shape& shape, int64_t threads) {
  const int64_t columns = shape.columns;
  const auto centers = shape.spread(center), factors = shape.spread(factor), shifts = shape.spread(shift);
  in_parts(shape.rows, shape.parts(threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t at = begin * columns; at < end * columns; at += columns)
      across(columns, [=, m = centers.data(), f = factors.data(), b = shifts.data()](int64_t c, auto lanes) {
        Lanes value = (load(x + at + c, lanes) - load(m + c, lanes)) * load(f + c, lanes) + load(b + c, lanes);
        if (kResidual) value += load(residual + at + c, lanes);
        // Written so that a NaN stays one.
        if (kRelu) value = value < 0 ? Lanes{} : value;
        store(y + at + c, value, lanes);
      });
  });
}

template <class T, bool kRelu>
void gradient_sums(const T* dy, const T* x, const T* y, const float* mean, float* sum, float* sum_centred,
                   const Shape& shape, int64_t threads) {
  const int64_t columns = shape.columns;
  const auto means = shape.spread(mean);
  std::vector<std::vector<double>> found(shape.parts(threads), std::vector<double>(2 * columns));
  in_parts(shape.rows, shape.parts(threads), [&](int part, int64_t begin, int64_t end) {
    std::vector<float> sums(columns), centred(columns);
    for (int64_t first = begin; first < end; first += shape.block()) {
      std::fill(sums.begin(), sums.end(), 0.f);
      std::fill(centred.begin(), centred.end(), 0.f);
      in_fours(first, std::min(end, first + shape.block()), [&](int64_t row, auto count) {
        across(columns, [&, m = means.data(), s = sums.data(), q = centred.data()](int64_t c, auto lanes) {
          const Lanes middle = load(m + c, lanes);
          Lanes all = load(s + c, lanes), product = load(q + c, lanes);
          for (int i = 0; i < count; i++) {
            const int64_t at = (row + i) * columns + c;
            Lanes value = load(dy + at, lanes);
            if (kRelu) value = load(y + at, lanes) > 0 ? value : Lanes{};
            all += value;
            product += value * (load(x + at, lanes) - middle);
          }
          store(s + c, all, lanes);
          store(q + c, product, lanes);
        });
      });
      for (int64_t c = 0; c < columns; c++) {
        found[part][c] += sums[c];
        found[part][columns + c] += centred[c];
      }
    }
  });
  for (int64_t f = 0; f < shape.filters; f++) {
    double s = 0, q = 0;
    for (const auto& part : found)
      for (int64_t c = f; c < columns; c += shape.filters) {
        s += part[c];
        q += part[columns + c];
      }
    sum[f] = static_cast<float>(s);
    sum_centred[f] = static_cast<float>(q);
  }
}

// dx = factor * dy + slope * (x - mean) + offset, for each filter.
struct Line {
  const float *mean, *factor, *slope, *offset;
};

template <class T, bool kRelu, bool kResidual>
void gradient(const T* dy, const T* x, const T* y, T* dx, T* dresidual, Line line, const Shape& shape,
              int64_t threads) {
  const int64_t columns = shape.columns;
  const auto means = shape.spread(line.mean), factors = shape.spread(line.factor);
  const auto slopes = shape.spread(line.slope), offsets = shape.spread(line.offset);
  in_parts(shape.rows, shape.parts(threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t at = begin * columns; at < end * columns; at += columns)
      across(columns, [=, f = factors.data(), k = slopes.data(), m = means.data(), b = offsets.data()](int64_t c,
                                                                                                       auto lanes) {
        Lanes value = load(dy + at + c, lanes);
        if (kRelu) value = load(y + at + c, lanes) > 0 ? value : Lanes{};
        if (kResidual) store(dresidual + at + c, value, lanes);
        const Lanes apart = load(x + at + c, lanes) - load(m + c, lanes);
        value = load(f + c, lanes) * value + (load(k + c, lanes) * apart + load(b + c, lanes));
        store(dx + at + c, value, lanes);
      });
  });
}

// Calls `work` with the element type of `x` and two choices as compile-time constants.
template <class Work>
void choose(const Buffer& x, bool first, bool second, Work work) {
  auto with_type = [&](auto zero) {
    auto with_first = [&](auto one) {
      second ? work(zero, one, std::true_type()) : work(zero, one, std::false_type());
    };
    first ? with_first(std::true_type()) : with_first(std::false_type());
  };
  x.element_type() == ffi::DataType::BF16 ? with_type(BFloat16()) : with_type(float());
}

ffi::Error BatchNormMoments(Buffer x, Result mean, Result variance, int64_t threads) {
  return guarded("batch norm", [&] {
    Turn turn(threads);
    choose(x, false, false, [&](auto zero, auto, auto) {
      using T = decltype(zero);
      moments(data<T>(x), Shape(x), data<float>(mean), data<float>(variance), threads);
    });
  });
}

ffi::Error BatchNormNormalize(Buffer x, Buffer mean, Buffer variance, Buffer scale, Buffer bias, Buffer residual,
                              Result y, float epsilon, bool relu, int64_t threads) {
  return guarded("batch norm", [&] {
    Turn turn(threads);
    Shape shape(x);
    std::vector<float> factor(shape.filters);
    for (int64_t c = 0; c < shape.filters; c++)
      factor[c] = data<float>(scale)[c] / std::sqrt(data<float>(variance)[c] + epsilon);
    choose(x, relu, !empty(residual), [&](auto zero, auto with_relu, auto with_residual) {
      using T = decltype(zero);
      normalize<T, with_relu, with_residual>(data<T>(x), data<T>(residual), data<T>(y), data<float>(mean),
                                             factor.data(), data<float>(bias), shape, threads);
    });
  });
}

ffi::Error BatchNormGradientSums(Buffer dy, Buffer x, Buffer y, Buffer mean, Result sum, Result sum_centred, bool relu,
                                 int64_t threads) {
  return guarded("batch norm", [&] {
    Turn turn(threads);
    choose(x, relu, false, [&](auto zero, auto with_relu, auto) {
      using T = decltype(zero);
      gradient_sums<T, with_relu>(data<T>(dy), data<T>(x), data<T>(y), data<float>(mean), data<float>(sum),
                                  data<float>(sum_centred), Shape(x), threads);
    });
  });
}

ffi::Error BatchNormGradient(Buffer dy, Buffer x, Buffer y, Buffer mean, Buffer factor, Buffer slope, Buffer offset,
                             Result dx, Result dresidual, bool relu, bool residual, int64_t threads) {
  return guarded("batch norm", [&] {
    Turn turn(threads);
    Line line{data<float>(mean), data<float>(factor), data<float>(slope), data<float>(offset)};
    choose(x, relu, residual, [&](auto zero, auto with_relu, auto with_residual) {
      using T = decltype(zero);
      gradient<T, with_relu, with_residual>(data<T>(dy), data<T>(x), data<T>(y), data<T>(dx), data<T>(dresidual), line,
                                            Shape(x), threads);
    });
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    batch_norm_moments, BatchNormMoments,
    ffi::Ffi::Bind().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>().Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(batch_norm_normalize, BatchNormNormalize,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<float>("epsilon")
                                  .Attr<bool>("relu")
                                  .Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(batch_norm_gradient_sums, BatchNormGradientSums,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<bool>("relu")
                                  .Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(batch_norm_gradient, BatchNormGradient,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<bool>("relu")
                                  .Attr<bool>("residual")
                                  .Attr<int64_t>("threads"));

}  // namespace convnets
