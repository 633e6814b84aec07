// Batch norm in four passes over the responses, two forward and two back, each fused with what stands beside it: the
// addition of a residual and the ReLU. Rows are examples and positions, columns filters. Sums are in float32 over
// blocks that stay in the cache, and in float64 over the blocks.
#include <algorithm>
#include <cmath>

#include "runtime.h"

namespace convnets {

namespace {

struct Shape {
  int64_t rows, columns;
  explicit Shape(const Buffer& x) {
    auto dimensions = x.dimensions();
    columns = dimensions[dimensions.size() - 1];
    rows = static_cast<int64_t>(x.element_count()) / columns;
  }
  int64_t block() const { return std::max<int64_t>(4, 8192 / columns); }
};

// Mean and sum of squared deviations of what was seen so far; two of them make one (Chan, Golub and LeVeque, 1979).
struct Moments {
  double count = 0;
  std::vector<double> mean, deviations;
  explicit Moments(int64_t columns) : mean(columns), deviations(columns) {}

  template <class Mean, class Deviations>
  void merge(double more, const Mean& more_mean, const Deviations& more_deviations) {
    double whole = count + more;
    if (more == 0) return;
    for (size_t c = 0; c < mean.size(); c++) {
      double apart = more_mean[c] - mean[c];
      mean[c] += apart * more / whole;
      deviations[c] += more_deviations[c] + apart * apart * count * more / whole;
    }
    count = whole;
  }
};

template <class T>
void moments(const T* x, Shape shape, float* mean, float* variance, int64_t threads) {
  const int64_t columns = shape.columns;
  int parts = parts_of(shape.rows, columns, threads);
  std::vector<Moments> found(parts, Moments(columns));
  in_parts(shape.rows, parts, [&](int part, int64_t begin, int64_t end) {
    std::vector<float> sums(columns), squares(columns);
    float* __restrict s = sums.data();
    float* __restrict q = squares.data();
    for (int64_t first = begin; first < end; first += shape.block()) {
      int64_t last = std::min(end, first + shape.block());
      std::fill(sums.begin(), sums.end(), 0.f);
      std::fill(squares.begin(), squares.end(), 0.f);
      for (int64_t r = first; r < last; r++) {
        const T* __restrict row = x + r * columns;
        for (int64_t c = 0; c < columns; c++) s[c] += load(row + c);
      }
      const float share = 1.f / static_cast<float>(last - first);
      for (int64_t c = 0; c < columns; c++) s[c] *= share;
      for (int64_t r = first; r < last; r++) {
        const T* __restrict row = x + r * columns;
        for (int64_t c = 0; c < columns; c++) {
          float apart = load(row + c) - s[c];
          q[c] += apart * apart;
        }
      }
      found[part].merge(static_cast<double>(last - first), sums, squares);
    }
  });
  for (int part = 1; part < parts; part++) found[0].merge(found[part].count, found[part].mean, found[part].deviations);
  for (int64_t c = 0; c < columns; c++) {
    mean[c] = static_cast<float>(found[0].mean[c]);
    variance[c] = static_cast<float>(found[0].deviations[c] / found[0].count);
  }
}

template <class T, bool kRelu, bool kResidual>
void normalize(const T* x, const T* residual, T* y, const float* center, const float* factor, const float* shift,
               Shape shape, int64_t threads) {
  const int64_t columns = shape.columns;
  in_parts(shape.rows, parts_of(shape.rows, columns, threads), [=](int, int64_t begin, int64_t end) {
    const float* __restrict m = center;
    const float* __restrict f = factor;
    const float* __restrict b = shift;
    for (int64_t r = begin; r < end; r++) {
      const T* __restrict in = x + r * columns;
      const T* __restrict beside = residual + r * columns;
      T* __restrict out = y + r * columns;
      for (int64_t c = 0; c < columns; c++) {
        float value = (load(in + c) - m[c]) * f[c] + b[c];
        if (kResidual) value += load(beside + c);
        // Written so that a NaN stays one.
        if (kRelu) value = value < 0.f ? 0.f : value;
        store(out + c, value);
      }
    }
  });
}

template <class T, bool kRelu>
void gradient_sums(const T* dy, const T* x, const T* y, const float* mean, float* sum, float* sum_centred, Shape shape,
                   int64_t threads) {
  const int64_t columns = shape.columns;
  int parts = parts_of(shape.rows, columns, threads);
  std::vector<std::vector<double>> found(parts, std::vector<double>(2 * columns));
  in_parts(shape.rows, parts, [&](int part, int64_t begin, int64_t end) {
    std::vector<float> sums(columns), centred(columns);
    float* __restrict s = sums.data();
    float* __restrict q = centred.data();
    const float* __restrict m = mean;
    for (int64_t first = begin; first < end; first += shape.block()) {
      int64_t last = std::min(end, first + shape.block());
      std::fill(sums.begin(), sums.end(), 0.f);
      std::fill(centred.begin(), centred.end(), 0.f);
      for (int64_t r = first; r < last; r++) {
        const T* __restrict g = dy + r * columns;
        const T* __restrict in = x + r * columns;
        const T* __restrict out = y + r * columns;
        for (int64_t c = 0; c < columns; c++) {
          float value = load(g + c);
          if (kRelu) value = load(out + c) > 0.f ? value : 0.f;
          s[c] += value;
          q[c] += value * (load(in + c) - m[c]);
        }
      }
      double* total = found[part].data();
      for (int64_t c = 0; c < columns; c++) {
        total[c] += s[c];
        total[columns + c] += q[c];
      }
    }
  });
  for (int64_t c = 0; c < columns; c++) {
    double s = 0, q = 0;
    for (const auto& one : found) {
      s += one[c];
      q += one[columns + c];
    }
    sum[c] = static_cast<float>(s);
    sum_centred[c] = static_cast<float>(q);
  }
}

// dx = factor * dy + slope * (x - mean) + offset, for each filter.
struct Line {
  const float *mean, *factor, *slope, *offset;
};

template <class T, bool kRelu, bool kResidual>
void gradient(const T* dy, const T* x, const T* y, T* dx, T* dresidual, Line line, Shape shape,
              int64_t threads) {
  const int64_t columns = shape.columns;
  in_parts(shape.rows, parts_of(shape.rows, columns, threads), [=](int, int64_t begin, int64_t end) {
    const float* __restrict m = line.mean;
    const float* __restrict f = line.factor;
    const float* __restrict k = line.slope;
    const float* __restrict b = line.offset;
    for (int64_t r = begin; r < end; r++) {
      const T* __restrict g = dy + r * columns;
      const T* __restrict in = x + r * columns;
      const T* __restrict out = y + r * columns;
      T* __restrict to = dx + r * columns;
      T* __restrict beside = dresidual + r * columns;
      for (int64_t c = 0; c < columns; c++) {
        float value = load(g + c);
        if (kRelu) value = load(out + c) > 0.f ? value : 0.f;
        if (kResidual) store(beside + c, value);
        store(to + c, f[c] * value + k[c] * (load(in + c) - m[c]) + b[c]);
      }
    }
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
    std::vector<float> factor(shape.columns);
    for (int64_t c = 0; c < shape.columns; c++)
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
