// Tiles of maps and their transforms, filters and theirs, and where they lie in memory.
#pragma once

#include <algorithm>

#include "winograd_transforms.h"

namespace convnets {

inline int64_t strips(int64_t channels) { return (channels + kLanes - 1) / kLanes; }
inline int64_t divided(int64_t count, int64_t parts) { return (count + parts - 1) / parts; }

// Some channels of maps in NHWC, beginning at `data`; a pixel has `stride` of them in all.
template <class T>
struct Maps {
  T* data;
  int64_t height, width, channels, stride;
  T* at(int64_t image, int64_t y, int64_t x) const { return data + ((image * height + y) * width + x) * stride; }
};

// Some of the filters of a kernel in HWIO: `inputs` x `outputs` of them; a row of all outputs is `stride` long.
template <class K>
struct Filters {
  K* data;
  int64_t inputs, outputs, stride;
  K* at(int64_t pixel, int64_t input) const { return data + (pixel * inputs + input) * stride; }
  // Filters lie far apart, one pixel from the next: what is needed soon is asked for beforehand.
  template <int side, bool to_write>
  void fetch(int64_t input, int64_t first, int64_t count) const {
    for (int pixel = 0; input < inputs && pixel < side * side; pixel++)
      for (int64_t c = 0; c < count; c += kLanes) __builtin_prefetch(at(pixel, input) + first + c, to_write);
  }
};

constexpr int64_t kSoon = 4;  // rows

// Tiles of `side` x `side` responses that cover maps, row by row, image by image.
struct Tiles {
  int64_t side, down, across, count;
  Tiles(int64_t side, int64_t images, int64_t height, int64_t width)
      : side(side), down(divided(height, side)), across(divided(width, side)), count(images * down * across) {}
};

// Where a tile begins, which may be outside of the map.
struct Corner {
  int64_t image, y, x;
  Corner(const Tiles& tiles, int64_t tile, int64_t above = 0, int64_t left = 0)
      : image(tile / (tiles.down * tiles.across)),
        y(tile / tiles.across % tiles.down * tiles.side - above),
        x(tile % tiles.across * tiles.side - left) {}
};

// A matrix for each of n x n points: strips of `kLanes` columns, each of so many rows. Matrices are a little apart, or
// all would compete for the same lines of the cache.
template <int n>
struct Matrices {
  float* data;
  int64_t rows, apart;
  Matrices(float* data, int64_t strips, int64_t rows) : data(data), rows(rows), apart((strips * rows + 1) * kLanes) {}
  Matrices(float* data, const Matrices& like) : data(data), rows(like.rows), apart(like.apart) {}
  static int64_t size(int64_t strips, int64_t rows) { return n * n * (strips * rows + 1) * kLanes; }
  // The part of them that begins at a strip and a row.
  Matrices from(int64_t strip, int64_t row) const { return Matrices(at(0, strip, row), *this); }
  float* at(int64_t point, int64_t strip, int64_t row) const {
    return data + point * apart + (strip * rows + row) * kLanes;
  }
  // For `transform`: takes values to a row of a strip, gives values from it.
  auto put(int64_t strip, int64_t row) const {
    return [out = at(0, strip, row), apart = apart](int i, int j, Lanes value)
               INLINE_LAMBDA { store(out + (i * n + j) * apart, value, All{}); };
  }
  auto get(int64_t strip, int64_t row) const {
    return [in = at(0, strip, row), apart = apart](int i, int j)
               INLINE_LAMBDA { return load(in + (i * n + j) * apart, All{}); };
  }
};

// Transforms the pixels at a corner, zeros where there is no map: row `row` of the matrices, a column for each channel.
template <class Transform, int n, class T>
void transform_tile(const Maps<const T>& maps, const Corner& corner, const Matrices<n>& matrices, int64_t row) {
  constexpr int side = Transform::from;
  const int64_t line = maps.width * maps.stride;
  const bool whole = corner.y >= 0 && corner.x >= 0 && corner.y + side <= maps.height && corner.x + side <= maps.width;
  across(maps.channels, [&](int64_t c, auto lanes) {
    const T* first = maps.at(corner.image, 0, 0) + (corner.y * maps.width + corner.x) * maps.stride + c;
    if (whole)
      transform<Transform>([&](int i, int j) INLINE_LAMBDA { return load(first + i * line + j * maps.stride, lanes); },
                           matrices.put(c / kLanes, row));
    else
      transform<Transform>(
          [&](int i, int j) INLINE_LAMBDA {
            const int64_t y = corner.y + i, x = corner.x + j;
            const bool inside = y >= 0 && x >= 0 && y < maps.height && x < maps.width;
            return inside ? load(first + i * line + j * maps.stride, lanes) : Lanes{};
          },
          matrices.put(c / kLanes, row));
  });
}

// Transforms filters: a row for each input from `begin` to `end`, zeros beyond the last; a column for each output of
// some strips.
template <int n, int side>
void transform_filters(const Filters<const float>& filters, int64_t strip, int64_t count, int64_t begin, int64_t end,
                       const Matrices<n>& matrices) {
  const int64_t first = strip * kLanes, outputs = std::min(count * kLanes, filters.outputs - first);
  for (int64_t input = begin; input < end; input++) {
    filters.template fetch<side, false>(input + kSoon, first, outputs);
    across(outputs, [&](int64_t c, auto lanes) {
      transform<Values<n, side, true>>(
          [&](int i, int j) INLINE_LAMBDA {
            return input < filters.inputs ? load(filters.at(i * side + j, input) + first + c, lanes) : Lanes{};
          },
          matrices.put(c / kLanes, input - begin));
    });
  }
}

// The same for filters that are turned by half a turn, a row for each output, a column for each input.
template <int n, int side>
void transform_turned(const Filters<const float>& filters, int64_t strip, int64_t count, int64_t begin, int64_t end,
                      const Matrices<n>& matrices) {
  for (int64_t first = begin; first < end; first += kLanes)
    for (int64_t s = 0; s < count; s++) {
      float turned[kLanes][side * side][kLanes] = {};  // [output][pixel][input]
      const int64_t inputs = std::min(kLanes, filters.inputs - (strip + s) * kLanes);
      const int64_t outputs = std::min(kLanes, filters.outputs - first);
      for (int pixel = 0; pixel < side * side; pixel++)
        for (int64_t i = 0; i < inputs; i++) {
          const float* from = filters.at(side * side - 1 - pixel, (strip + s) * kLanes + i) + first;
          for (int64_t o = 0; o < outputs; o++) turned[o][pixel][i] = from[o];
        }
      for (int64_t o = 0; o < kLanes; o++)
        transform<Values<n, side, true>>([&](int i, int j)
                                             INLINE_LAMBDA { return load(turned[o][i * side + j], All{}); },
                                         matrices.put(s, first - begin + o));
    }
}

}  // namespace convnets
