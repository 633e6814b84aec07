// Max pooling that remembers where in its window each maximum was, so that the gradient need not look for it again.
#include <algorithm>
#include <limits>

#include "lanes.h"

namespace convnets {

namespace {

// Places in windows, a byte each in memory and as wide as numbers in registers.
using Places = int32_t __attribute__((vector_size(4 * kLanes)));

#ifdef __AVX512VL__

inline Places places(const uint8_t* p, All) {
  return (Places)_mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline Places places(const uint8_t* p, First lanes) {
  return (Places)_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask(lanes), p));
}
inline void keep(uint8_t* p, Places places, All) {
  _mm512_mask_cvtepi32_storeu_epi8(p, 0xffff, (__m512i)places);
}
inline void keep(uint8_t* p, Places places, First lanes) {
  _mm512_mask_cvtepi32_storeu_epi8(p, mask(lanes), (__m512i)places);
}

#else

template <class Which>
inline Places places(const uint8_t* p, Which lanes) {
  Places result{};
  for (int64_t i = 0; i < count(lanes); i++) result[i] = p[i];
  return result;
}

template <class Which>
inline void keep(uint8_t* p, Places places, Which lanes) {
  for (int64_t i = 0; i < count(lanes); i++) p[i] = static_cast<uint8_t>(places[i]);
}

#endif

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

// A number that a window covers, or a window that covers a number: where it lies in memory, and its place in the window.
struct Covered {
  int64_t at;
  int32_t place;
};

// Calls `work` with the length of the list, as a constant if it is a usual one: loops over it are then written out.
template <class Work>
void with_length(const std::vector<Covered>& list, const Work& work) {
  switch (list.size()) {
    case 1:
      return work(std::integral_constant<size_t, 1>());
    case 2:
      return work(std::integral_constant<size_t, 2>());
    case 4:
      return work(std::integral_constant<size_t, 4>());
    case 9:
      return work(std::integral_constant<size_t, 9>());
    default:
      return work(list.size());
  }
}

template <class T>
void forward(const T* x, T* y, uint8_t* index, const Pool& pool, int64_t threads) {
  const int64_t channels = pool.channels, rows = pool.batch * pool.rows;
  in_parts(rows, parts_of(rows, pool.columns * channels, threads), [&](int, int64_t begin, int64_t end) {
    std::vector<Covered> window;
    for (int64_t row = begin; row < end; row++) {
      const int64_t n = row / pool.rows, top = row % pool.rows * pool.stride - pool.above;
      int64_t cut = -1, kept = -1;
      for (int64_t j = 0; j < pool.columns; j++) {
        const int64_t left = j * pool.stride - pool.left;
        const int64_t first = std::max<int64_t>(0, -left), last = std::min(pool.size, pool.width - left);
        if (first != cut || last != kept) {  // otherwise the window covers what the one before it did, further right
          cut = first, kept = last;
          window.clear();
          for (int64_t h = std::max<int64_t>(0, -top); h < std::min(pool.size, pool.height - top); h++)
            for (int64_t w = first; w < last; w++)
              window.push_back({(h * pool.width + w) * channels, static_cast<int32_t>(h * pool.size + w)});
        }
        const int64_t in = ((n * pool.height + top) * pool.width + left) * channels;
        const int64_t out = (row * pool.columns + j) * channels;
        with_length(window, [&](auto length) {
          across(channels, [=, covered = window.data()](int64_t c, auto lanes) {
            Lanes best = load(x + (in + covered[0].at + c), lanes);
            Places place = Places{} + covered[0].place;
#pragma GCC unroll 9
            for (size_t i = 1; i < length; i++) {
              const Lanes value = load(x + (in + covered[i].at + c), lanes);
              const auto larger = (value > best) | (value != value);  // a NaN wins, and is not beaten
              place = larger ? Places{} + covered[i].place : place;
              best = larger ? value : best;
            }
            store(y + out + c, best, lanes);
            if (index != nullptr) keep(index + out + c, place, lanes);
          });
        });
      }
    }
  });
}

// For each pixel the windows i with i * stride <= pixel + before < i * stride + size.
struct Windows {
  int64_t first, last;
};

std::vector<Windows> windows_over(int64_t pixels, int64_t before, int64_t count, const Pool& pool) {
  std::vector<Windows> found(pixels);
  for (int64_t pixel = 0; pixel < pixels; pixel++) {
    const int64_t place = pixel + before;
    found[pixel] = {std::max<int64_t>(0, (place - pool.size + pool.stride) / pool.stride),
                    std::min(place / pool.stride, count - 1)};
  }
  return found;
}

// Each response of the map gathers from the windows that it is in, so that no two threads write to one place.
template <class T>
void gradient(const T* dy, const uint8_t* index, T* dx, const Pool& pool, int64_t threads) {
  const int64_t channels = pool.channels, rows = pool.batch * pool.height;
  const auto down = windows_over(pool.height, pool.above, pool.rows, pool);
  const auto right = windows_over(pool.width, pool.left, pool.columns, pool);
  in_parts(rows, parts_of(rows, pool.width * channels, threads), [&](int, int64_t begin, int64_t end) {
    std::vector<Covered> windows;
    for (int64_t row = begin; row < end; row++) {
      const int64_t n = row / pool.height, h = row % pool.height;
      for (int64_t w = 0; w < pool.width; w++) {
        windows.clear();
        for (int64_t i = down[h].first; i <= down[h].last; i++)
          for (int64_t j = right[w].first; j <= right[w].last; j++)
            windows.push_back({((n * pool.rows + i) * pool.columns + j) * channels,
                               static_cast<int32_t>((h + pool.above - i * pool.stride) * pool.size + w + pool.left -
                                                    j * pool.stride)});
        const int64_t out = (row * pool.width + w) * channels;
        with_length(windows, [&](auto length) {
          across(channels, [=, covering = windows.data()](int64_t c, auto lanes) {
            Lanes sum{};
#pragma GCC unroll 9
            for (size_t i = 0; i < length; i++) {
              const int64_t at = covering[i].at + c;
              sum += places(index + at, lanes) == covering[i].place ? load(dy + at, lanes) : Lanes{};
            }
            store(dx + out + c, sum, lanes);
          });
        });
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
