// Max pooling that remembers where in its window each maximum was, so that the gradient need not look for it again.
#include <algorithm>
#include <limits>

#include "runtime.h"

namespace convnets {

namespace {

struct Pool {
  int64_t batch, height, width, channels, rows, columns;  // of the map, and of what is made of it
  int64_t size, stride, above, left;
  Pool(Integers map, Integers pooled, int64_t size, int64_t stride, int64_t above, int64_t left)
      : batch(map[0]),
        height(map[1]),
        width(map[2]),
        channels(map[3]),
        rows(pooled[1]),
        columns(pooled[2]),
        size(size),
        stride(stride),
        above(above),
        left(left) {}
};

template <class T>
void forward(const T* x, T* y, uint8_t* index, const Pool& pool, int64_t threads) {
  const int64_t channels = pool.channels, rows = pool.batch * pool.rows;
  int parts = parts_of(rows, pool.columns * channels, threads);
  in_parts(rows, parts, [&](int, int64_t begin, int64_t end) {
    std::vector<float> largest(channels);
    std::vector<int32_t> places(channels);
    float* __restrict best = largest.data();
    int32_t* __restrict place = places.data();
    for (int64_t row = begin; row < end; row++) {
      const int64_t n = row / pool.rows, top = row % pool.rows * pool.stride - pool.above;
      const int64_t first_h = std::max<int64_t>(top, 0), last_h = std::min(top + pool.size, pool.height);
      for (int64_t j = 0; j < pool.columns; j++) {
        const int64_t left = j * pool.stride - pool.left;
        const int64_t first_w = std::max<int64_t>(left, 0), last_w = std::min(left + pool.size, pool.width);
        std::fill(largest.begin(), largest.end(), -std::numeric_limits<float>::infinity());
        std::fill(places.begin(), places.end(), static_cast<int32_t>((first_h - top) * pool.size + first_w - left));
        for (int64_t h = first_h; h < last_h; h++) {
          for (int64_t w = first_w; w < last_w; w++) {
            const T* __restrict in = x + ((n * pool.height + h) * pool.width + w) * channels;
            const int32_t here = static_cast<int32_t>((h - top) * pool.size + w - left);
            for (int64_t c = 0; c < channels; c++) {
              const float value = load(in + c);
              const bool larger = value > best[c] || value != value;  // a NaN wins, and is not beaten
              place[c] = larger ? here : place[c];
              best[c] = larger ? value : best[c];
            }
          }
        }
        const int64_t at = (row * pool.columns + j) * channels;
        for (int64_t c = 0; c < channels; c++) store(y + at + c, best[c]);
        if (index != nullptr)
          for (int64_t c = 0; c < channels; c++) index[at + c] = static_cast<uint8_t>(place[c]);
      }
    }
  });
}

// Each response of the map gathers from the windows that it is in, so that no two threads write to one place.
template <class T>
void gradient(const T* dy, const uint8_t* index, T* dx, const Pool& pool, int64_t threads) {
  const int64_t channels = pool.channels, rows = pool.batch * pool.height;
  // The windows i with i * stride <= place < i * stride + size.
  auto first_window = [&](int64_t place) { return std::max<int64_t>(0, (place - pool.size + pool.stride) / pool.stride); };
  in_parts(rows, parts_of(rows, pool.width * channels, threads), [&](int, int64_t begin, int64_t end) {
    std::vector<float> sums(channels);
    float* __restrict sum = sums.data();
    for (int64_t row = begin; row < end; row++) {
      const int64_t n = row / pool.height, h = row % pool.height + pool.above;
      const int64_t last_i = std::min(h / pool.stride, pool.rows - 1);
      for (int64_t x = 0; x < pool.width; x++) {
        const int64_t w = x + pool.left, last_j = std::min(w / pool.stride, pool.columns - 1);
        std::fill(sums.begin(), sums.end(), 0.f);
        for (int64_t i = first_window(h); i <= last_i; i++) {
          for (int64_t j = first_window(w); j <= last_j; j++) {
            const int64_t at = ((n * pool.rows + i) * pool.columns + j) * channels;
            const T* __restrict g = dy + at;
            const uint8_t* __restrict place = index + at;
            const uint8_t here = static_cast<uint8_t>((h - i * pool.stride) * pool.size + w - j * pool.stride);
            for (int64_t c = 0; c < channels; c++) sum[c] += place[c] == here ? load(g + c) : 0.f;
          }
        }
        T* __restrict out = dx + (row * pool.width + x) * channels;
        for (int64_t c = 0; c < channels; c++) store(out + c, sum[c]);
      }
    }
  });
}

ffi::Error MaxPool(Buffer x, Result y, Result index, int64_t size, int64_t stride, int64_t above, int64_t left,
                   int64_t threads) {
  return guarded("max pool", [&] {
    Turn turn(threads);
    Pool pool(x.dimensions(), y->dimensions(), size, stride, above, left);
    uint8_t* places = index->element_count() == 0 ? nullptr : data<uint8_t>(index);
    if (x.element_type() == ffi::DataType::BF16)
      forward(data<BFloat16>(x), data<BFloat16>(y), places, pool, threads);
    else
      forward(data<float>(x), data<float>(y), places, pool, threads);
  });
}

ffi::Error MaxPoolGradient(Buffer dy, Buffer index, Result dx, int64_t size, int64_t stride, int64_t above,
                           int64_t left, int64_t threads) {
  return guarded("max pool", [&] {
    Turn turn(threads);
    Pool pool(dx->dimensions(), dy.dimensions(), size, stride, above, left);
    if (dy.element_type() == ffi::DataType::BF16)
      gradient(data<BFloat16>(dy), data<uint8_t>(index), data<BFloat16>(dx), pool, threads);
    else
      gradient(data<float>(dy), data<uint8_t>(index), data<float>(dx), pool, threads);
  });
}

}  // namespace

#define WINDOW \
  Attr<int64_t>("size").Attr<int64_t>("stride").Attr<int64_t>("above").Attr<int64_t>("left").Attr<int64_t>("threads")

XLA_FFI_DEFINE_HANDLER_SYMBOL(max_pool, MaxPool,
                              ffi::Ffi::Bind().Arg<Buffer>().Ret<Buffer>().Ret<Buffer>().WINDOW);
XLA_FFI_DEFINE_HANDLER_SYMBOL(max_pool_gradient, MaxPoolGradient,
                              ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().WINDOW);

}  // namespace convnets
