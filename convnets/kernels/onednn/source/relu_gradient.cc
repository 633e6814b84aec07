// What reaches a convolution through its ReLU and its bias: the gradient where the response was above zero, and its sum.
#include <algorithm>

#include "runtime.h"

namespace convnets {

namespace {

template <class T>
void gradient(const T* dy, const T* y, T* masked, float* dbias, int64_t rows, int64_t columns, int64_t threads) {
  int parts = parts_of(rows, columns, threads);
  std::vector<std::vector<double>> found(parts, std::vector<double>(columns));
  in_parts(rows, parts, [&](int part, int64_t begin, int64_t end) {
    const int64_t block = std::max<int64_t>(4, 8192 / columns);
    std::vector<float> sums(columns);
    float* __restrict s = sums.data();
    for (int64_t first = begin; first < end; first += block) {
      std::fill(sums.begin(), sums.end(), 0.f);
      for (int64_t r = first; r < std::min(end, first + block); r++) {
        const T* __restrict g = dy + r * columns;
        const T* __restrict out = y + r * columns;
        T* __restrict to = masked + r * columns;
        for (int64_t c = 0; c < columns; c++) {
          const float value = load(out + c) > 0.f ? load(g + c) : 0.f;
          s[c] += value;
          store(to + c, value);
        }
      }
      for (int64_t c = 0; c < columns; c++) found[part][c] += s[c];
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

XLA_FFI_DEFINE_HANDLER_SYMBOL(
    relu_gradient, ReluGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>().Attr<int64_t>("threads"));

}  // namespace convnets
