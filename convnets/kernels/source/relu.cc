// The ReLU after a convolution or a matrix product, and what reaches these through it and the bias: the gradient where
// the response was above zero, and its sum.
#include "relu.h"

#include <algorithm>

#include "lanes.h"

namespace convnets {

namespace {

template <class T>
void rectify(T* y, int64_t count, int64_t threads) {
  in_parts(count, parts_of(count, 1, threads), [=](int, int64_t begin, int64_t end) {
    across(end - begin, [=](int64_t i, auto lanes) {
      const Lanes value = load(y + begin + i, lanes);
      store(y + begin + i, value < 0 ? Lanes{} : value, lanes);
    });
  });
}

template <class T>
void gradient(const T* dy, const T* y, T* masked, float* dbias, int64_t rows, int64_t columns, int64_t threads) {
  int parts = parts_of(rows, columns, threads);
  std::vector<std::vector<double>> found(parts, std::vector<double>(columns));
  in_parts(rows, parts, [&](int part, int64_t begin, int64_t end) {
    const int64_t block = std::max<int64_t>(4, 32768 / columns);
    std::vector<float> sums(columns);
    for (int64_t first = begin; first < end; first += block) {
      std::fill(sums.begin(), sums.end(), 0.f);
      in_fours(first, std::min(end, first + block), [&](int64_t row, auto count) {
        across(columns, [&, s = sums.data()](int64_t c, auto lanes) {
          Lanes sum = load(s + c, lanes);
          for (int i = 0; i < count; i++) {
            const int64_t at = (row + i) * columns + c;
            const Lanes value = load(y + at, lanes) > 0 ? load(dy + at, lanes) : Lanes{};
            sum += value;
            store(masked + at, value, lanes);
          }
          store(s + c, sum, lanes);
        });
      });
      for (int64_t c = 0; c < columns; c++) found[part][c] += sums[c];
    }
  });
  for (int64_t c = 0; c < columns; c++) {
    double sum = 0;
    for (const auto& one : found) sum += one[c];
    dbias[c] = static_cast<float>(sum);
  }
}

ffi::Error ReluGradient(Buffer dy, Buffer y, Result masked, Result dbias, int64_t threads) {
  return guarded("ReLU", [&] {
    Turn turn(threads);
    const int64_t columns = dbias->dimensions()[0], rows = static_cast<int64_t>(dy.element_count()) / columns;
    if (dy.element_type() == ffi::DataType::BF16)
      gradient(data<BFloat16>(dy), data<BFloat16>(y), data<BFloat16>(masked), data<float>(dbias), rows, columns,
               threads);
    else
      gradient(data<float>(dy), data<float>(y), data<float>(masked), data<float>(dbias), rows, columns, threads);
  });
}

}  // namespace

void rectify(Result& y, int64_t threads) {
  const int64_t count = static_cast<int64_t>(y->element_count());
  if (y->element_type() == ffi::DataType::BF16)
    rectify(data<BFloat16>(y), count, threads);
  else
    rectify(data<float>(y), count, threads);
}

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    relu_gradient, ReluGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>().Attr<int64_t>("threads"));

}  // namespace convnets
