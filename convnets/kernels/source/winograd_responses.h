// The responses of filters: of many tiles and few filters, all filters are transformed first, and then a block of tiles
// is worked through from its pixels to its responses while it is in a core's cache. Of few tiles and many filters, all
// tiles are transformed first, and then strips of filters are worked through.
#pragma once

#include "tile_product.h"
#include "winograd_tiles.h"

namespace convnets {

constexpr int64_t kNear = 768 << 10;  // bytes that stay in a core's cache beside others
constexpr int64_t kShared = 2 << 20;  // and in the cache of all cores

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
  const int64_t down = std::min<int64_t>(side, y.height - corner.y),
                right = std::min<int64_t>(side, y.width - corner.x);
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
void multiply(const Matrices<n>& v, int64_t count, int64_t depth, const Matrices<n>& u, const Matrices<n>& z,
              bool add) {
  for (int64_t point = 0; point < n * n; point++) {
    int64_t row = 0;
    auto blocks = [&](auto rows) {
      for (; row + rows <= count; row += rows)
        block_product<rows, strips, kLanes, 1>(v.at(point, 0, row), v.rows * kLanes, u.at(point, 0, 0), u.rows * kLanes,
                                               depth, kLanes, z.at(point, 0, row), z.rows * kLanes, add);
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

// One group's convolution, from its channels of x to its features of y.
template <int n, int side, class T>
struct Convolution {
  Maps<const T> x;
  Maps<T> y;
  Tiles tiles;
  int64_t above, left;  // the padding
  After<T> after;
  int64_t threads;

  Convolution(const Maps<const T>& x, int64_t images, int64_t above, int64_t left, const After<T>& after,
              const Maps<T>& y, int64_t threads)
      : x(x),
        y(y),
        tiles(n + 1 - side, images, y.height, y.width),
        above(above),
        left(left),
        after(after),
        threads(threads) {}

  int64_t depth() const { return strips(x.channels); }
  int64_t width() const { return strips(y.channels); }
  int64_t rows() const { return depth() * kLanes; }  // of the transformed filters
  int64_t rounds() const { return divided(width(), kStrips); }
  int64_t in_round(int64_t round) const { return std::min<int64_t>(kStrips, width() - round * kStrips); }

  void take(int64_t tile, const Matrices<n>& v, int64_t row) const {
    transform_tile<Pixels<n>, n, T>(x, Corner(tiles, tile, above, left), v, row);
  }
  void give(int64_t tile, const Matrices<n>& z, int64_t row, int64_t round) const {
    respond<Coefficients<n, n + 1 - side, false>, n, T>(z, row, Corner(tiles, tile), after, y, round * kStrips,
                                                        in_round(round));
  }
};

// `transform_some(strip, count, begin, end, matrices)` transforms some strips and rows of the filters.
template <int n, int side, class T, class TransformSome>
void convolve_by_tiles(const Convolution<n, side, T>& one, const TransformSome& transform_some) {
  const int64_t depth = one.depth(), width = one.width(), rows = one.rows();
  const int parts = parts_of(one.tiles.count, n * n * (depth + width) * kLanes, one.threads);
  const int64_t share = divided(one.tiles.count, parts);
  const int64_t fitting = std::max<int64_t>(4 * kRows, kNear / (n * n * (depth + kStrips) * kLanes * 4));
  const int64_t size = std::min(share, divided(divided(share, divided(share, fitting)), kRows) * kRows);
  const int64_t u_size = Matrices<n>::size(width, rows);
  const int64_t v_size = Matrices<n>::size(depth, size), z_size = Matrices<n>::size(kStrips, size);
  Scratch scratch((u_size + parts * (v_size + z_size)) * sizeof(float));
  const Matrices<n> u(static_cast<float*>(scratch.data()), width, rows);
  in_parts(depth, parts_of(depth, n * n * kLanes * width * kLanes, one.threads), [&](int, int64_t begin, int64_t end) {
    transform_some(0, width, begin * kLanes, end * kLanes, u.from(0, begin * kLanes));
  });
  in_parts(one.tiles.count, parts, [&](int part, int64_t begin, int64_t end) {
    const Matrices<n> v(u.data + u_size + part * (v_size + z_size), depth, size), z(v.data + v_size, kStrips, size);
    for (int64_t first = begin; first < end; first += size) {
      const int64_t count = std::min(size, end - first);
      for (int64_t tile = 0; tile < count; tile++) one.take(first + tile, v, tile);
      for (int64_t round = 0; round < one.rounds(); round++) {
        multiply(one.in_round(round), v, count, depth, u.from(round * kStrips, 0), z, false);
        for (int64_t tile = 0; tile < count; tile++) one.give(first + tile, z, tile, round);
      }
    }
  });
}

template <int n, int side, class T, class TransformSome>
void convolve_by_filters(const Convolution<n, side, T>& one, const TransformSome& transform_some) {
  const int64_t count = one.tiles.count, depth = one.depth();
  const int parts = parts_of(one.rounds(), n * n * count * one.rows(), one.threads);
  const int64_t deep = std::clamp<int64_t>(kNear / (n * n * kStrips * kLanes * kLanes * 4), 1, depth);
  const int64_t v_size = Matrices<n>::size(depth, count);
  const int64_t u_size = Matrices<n>::size(kStrips, deep * kLanes), z_size = Matrices<n>::size(kStrips, count);
  Scratch scratch((v_size + parts * (u_size + z_size)) * sizeof(float));
  const Matrices<n> v(static_cast<float*>(scratch.data()), depth, count);
  in_parts(count, parts_of(count, n * n * one.rows(), one.threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t tile = begin; tile < end; tile++) one.take(tile, v, tile);
  });
  in_parts(one.rounds(), parts, [&](int part, int64_t begin, int64_t end) {
    const Matrices<n> u(v.data + v_size + part * (u_size + z_size), kStrips, deep * kLanes);
    const Matrices<n> z(u.data + u_size, kStrips, count);
    for (int64_t round = begin; round < end; round++) {
      for (int64_t first = 0; first < depth; first += deep) {
        const int64_t last = std::min(first + deep, depth);
        transform_some(round * kStrips, one.in_round(round), first * kLanes, last * kLanes, u);
        multiply(one.in_round(round), v.from(first, 0), count, last - first, u, z, first > 0);
      }
      for (int64_t tile = 0; tile < count; tile++) one.give(tile, z, tile, round);
    }
  });
}

template <int n, int side, class T, class TransformSome>
void convolve(const Convolution<n, side, T>& one, const TransformSome& transform_some) {
  const bool few_filters = Matrices<n>::size(one.width(), one.rows()) * 4 <= kShared;
  if (few_filters || one.tiles.count > one.rows())
    convolve_by_tiles(one, transform_some);
  else
    convolve_by_filters(one, transform_some);
}

}  // namespace convnets
