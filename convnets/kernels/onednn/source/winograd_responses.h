// The responses of filters: of many tiles and few filters, all filters are transformed first, and then a block of tiles
// is worked through from its pixels to its responses while it is in a core's cache. Of few tiles and many filters, all
// tiles are transformed first, and then strips of filters are worked through.
#pragma once

#include "tile_product.h"
#include "winograd_tiles.h"

namespace convnets {

constexpr int64_t kNear = 768 << 10;  // bytes that stay in a core's cache beside others
constexpr int64_t kShared = 4 << 20;  // and in the cache of all cores

// What follows the convolution of one group, null if nothing.
template <class T>
struct After {
  const float *factor = nullptr, *bias = nullptr;
  const T* residual = nullptr;  // as the result lies
  bool relu = false;

  void skip(int64_t features) {
    factor = factor ? factor + features : nullptr;
    bias = bias ? bias + features : nullptr;
    residual = residual ? residual + features : nullptr;
  }
};

// The responses of a tile at a corner, for `count` strips of features from `strip` on, from row `row` of the matrices.
template <class Transform, int n, class T>
void respond(const Matrices<n>& matrices, int64_t row, const Corner& corner, const After<T>& after, const Maps<T>& y,
             int64_t strip, int64_t count) {
  constexpr int side = Transform::to;
  const int64_t down = std::min<int64_t>(side, y.height - corner.y), right = std::min<int64_t>(side, y.width - corner.x);
  const int64_t first = strip * kLanes;
  across(std::min(count * kLanes, y.channels - first), [&](int64_t c, auto lanes) {
    const Lanes factor = after.factor ? load(after.factor + first + c, lanes) : Lanes{} + 1;
    const Lanes bias = after.bias ? load(after.bias + first + c, lanes) : Lanes{};
    T* out = y.at(corner.image, corner.y, corner.x) + first + c;
    transform<Transform>(matrices.get(c / kLanes, row), [&](int i, int j, Lanes value) INLINE_LAMBDA {
      if (i >= down || j >= right) return;
      T* to = out + (i * y.width + j) * y.stride;
      value = value * factor + bias;
      if (after.residual) value += load(after.residual + (to - y.data), lanes);
      if (after.relu) value = value < 0 ? Lanes{} : value;
      store(to, value, lanes);
    });
  });
}

// At all points, z (+)= v u for `strips` strips of `u`, and `count` rows and `depth` strips of `v`.
template <int strips, int n>
void multiply(const Matrices<n>& v, int64_t count, int64_t depth, const Matrices<n>& u,
              const Matrices<n>& z, bool add) {
  for (int64_t point = 0; point < n * n; point++) {
    int64_t row = 0;
    auto blocks = [&](auto rows) {
      for (; row + rows <= count; row += rows)
        block_product<rows, strips, kLanes, 1>(v.at(point, 0, row), v.rows * kLanes, u.at(point, 0, 0),
                                               u.rows * kLanes, depth, kLanes, z.at(point, 0, row), z.rows * kLanes,
                                               add);
    };
    blocks(std::integral_constant<int, kRows>());
    blocks(std::integral_constant<int, 4>());
    blocks(std::integral_constant<int, 1>());
  }
}

template <int n>
void multiply(int64_t strips, const Matrices<n>& v, int64_t count, int64_t depth, const Matrices<n>& u,
              const Matrices<n>& z, bool add) {
  if (strips == kStrips)
    multiply<kStrips>(v, count, depth, u, z, add);
  else
    multiply<1>(v, count, depth, u, z, add);
}

// One group's responses. `transform_some(strip, count, begin, end, matrices)` transforms strips of its filters.
template <int n, int side, class T, class TransformSome>
void filter(const Maps<const T>& x, int64_t images, int64_t above, int64_t left, const TransformSome& transform_some,
            const After<T>& after, const Maps<T>& y, int64_t threads) {
  constexpr int responses = n + 1 - side, square = n * n;
  using Responses = Coefficients<n, responses, false>;
  const Tiles tiles(responses, images, y.height, y.width);
  const int64_t depth = strips(x.channels), width = strips(y.channels), rows = depth * kLanes;
  const int64_t rounds = divided(width, kStrips);
  const auto in_round = [&](int64_t round) { return std::min<int64_t>(kStrips, width - round * kStrips); };
  if (Matrices<n>::size(width, rows) * 4 <= kShared / 2 || tiles.count > rows) {
    const int parts = parts_of(tiles.count, square * (depth + width) * kLanes, threads);
    const int64_t share = divided(tiles.count, parts);
    const int64_t fitting = std::max<int64_t>(4 * kRows, kNear / (square * (depth + kStrips) * kLanes * 4));
    const int64_t size = std::min(share, divided(divided(share, divided(share, fitting)), kRows) * kRows);
    const int64_t v_size = Matrices<n>::size(depth, size), z_size = Matrices<n>::size(kStrips, size);
    Scratch scratch((Matrices<n>::size(width, rows) + parts * (v_size + z_size)) * sizeof(float));
    const Matrices<n> u(static_cast<float*>(scratch.data()), width, rows);
    float* blocks = u.data + Matrices<n>::size(width, rows);
    in_parts(depth, parts_of(depth, square * kLanes * width * kLanes, threads), [&](int, int64_t begin, int64_t end) {
      transform_some(0, width, begin * kLanes, end * kLanes, u.from(0, begin * kLanes));
    });
    in_parts(tiles.count, parts, [&](int part, int64_t begin, int64_t end) {
      const Matrices<n> v(blocks + part * (v_size + z_size), depth, size), z(v.data + v_size, kStrips, size);
      for (int64_t first = begin; first < end; first += size) {
        const int64_t count = std::min(size, end - first);
        for (int64_t tile = 0; tile < count; tile++)
          transform_tile<Pixels<n>, n, T>(x, Corner(tiles, first + tile, above, left), v, tile);
        for (int64_t round = 0; round < rounds; round++) {
          multiply(in_round(round), v, count, depth, u.from(round * kStrips, 0), z, false);
          for (int64_t tile = 0; tile < count; tile++)
            respond<Responses, n, T>(z, tile, Corner(tiles, first + tile), after, y, round * kStrips, in_round(round));
        }
      }
    });
  } else {
    const int parts = parts_of(rounds, square * tiles.count * rows, threads);
    const int64_t deep = std::clamp<int64_t>(kNear / (square * kStrips * kLanes * kLanes * 4), 1, depth);
    const int64_t u_size = Matrices<n>::size(kStrips, deep * kLanes), z_size = Matrices<n>::size(kStrips, tiles.count);
    Scratch scratch((Matrices<n>::size(depth, tiles.count) + parts * (u_size + z_size)) * sizeof(float));
    const Matrices<n> v(static_cast<float*>(scratch.data()), depth, tiles.count);
    float* blocks = v.data + Matrices<n>::size(depth, tiles.count);
    in_parts(tiles.count, parts_of(tiles.count, square * rows, threads), [&](int, int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; tile++)
        transform_tile<Pixels<n>, n, T>(x, Corner(tiles, tile, above, left), v, tile);
    });
    in_parts(rounds, parts, [&](int part, int64_t begin, int64_t end) {
      const Matrices<n> u(blocks + part * (u_size + z_size), kStrips, deep * kLanes);
      const Matrices<n> z(u.data + u_size, kStrips, tiles.count);
      for (int64_t round = begin; round < end; round++) {
        for (int64_t first = 0; first < depth; first += deep) {
          const int64_t last = std::min(first + deep, depth);
          transform_some(round * kStrips, in_round(round), first * kLanes, last * kLanes, u);
          multiply(in_round(round), v.from(first, 0), tiles.count, last - first, u, z, first > 0);
        }
        for (int64_t tile = 0; tile < tiles.count; tile++)
          respond<Responses, n, T>(z, tile, Corner(tiles, tile), after, y, round * kStrips, in_round(round));
      }
    });
  }
}

}  // namespace convnets
