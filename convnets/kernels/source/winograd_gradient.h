// The gradients of filters: at each point, the product of transformed pixels and transformed gradients of the
// responses, summed over all tiles.
#pragma once

#include "tile_product.h"
#include "winograd_tiles.h"

namespace convnets {

constexpr int64_t kChunk = 4 << 20;  // bytes of transformed tiles that stay in the cache of all cores

// du (+)= v^T z at one point for `count` rows of both, and some strips of `z`: a row of du for each column of v.
template <int strips, int n>
void sum_products(const Matrices<n>& v, const Matrices<n>& z, int64_t strip, int64_t count, const Matrices<n>& du,
                  int64_t point, int64_t du_strip, bool add) {
  constexpr int rows = kRows / 8 * 4 + 4;  // eight or four, which divide `kLanes`
  for (int64_t channel = 0; channel < du.rows; channel += rows)
    block_product<rows, strips, 1, kLanes>(v.at(point, channel / kLanes, 0) + channel % kLanes, 0,
                                           z.at(point, strip, 0), z.rows * kLanes, 1, count,
                                           du.at(point, du_strip, channel), du.rows * kLanes, add);
}

template <int n>
void sum_products(int64_t strips, const Matrices<n>& v, const Matrices<n>& z, int64_t strip, int64_t count,
                  const Matrices<n>& du, int64_t point, int64_t du_strip, bool add) {
  if (strips == kStrips)
    sum_products<kStrips>(v, z, strip, count, du, point, du_strip, add);
  else
    sum_products<1>(v, z, strip, count, du, point, du_strip, add);
}

// The gradients of some strips of filters, for the inputs from `begin` to `end`.
template <int n, int side>
void finish(const Matrices<n>& du, const Filters<float>& dfilters, int64_t strip, int64_t count, int64_t begin,
            int64_t end) {
  const int64_t first = strip * kLanes, outputs = std::min(count * kLanes, dfilters.outputs - first);
  for (int64_t input = begin; input < end; input++) {
    dfilters.template fetch<side, true>(input + kSoon, first, outputs);
    across(outputs, [&](int64_t c, auto lanes) {
      transform<Coefficients<n, side, true>>(du.get(c / kLanes, input), [&](int i, int j, Lanes value) INLINE_LAMBDA {
        store(dfilters.at(i * side + j, input) + first + c, value, lanes);
      });
    });
  }
}

// One group's gradient of the filters, from its channels of x and its features of dy.
template <int n, int side, class T>
struct FilterGradient {
  Maps<const T> x, dy;
  Tiles tiles;
  int64_t above, left;  // the padding
  Filters<float> dfilters;
  int64_t threads;

  FilterGradient(const Maps<const T>& x, const Maps<const T>& dy, int64_t images, int64_t above, int64_t left,
                 const Filters<float>& dfilters, int64_t threads)
      : x(x),
        dy(dy),
        tiles(n + 1 - side, images, dy.height, dy.width),
        above(above),
        left(left),
        dfilters(dfilters),
        threads(threads) {}

  int64_t depth() const { return strips(x.channels); }
  int64_t width() const { return strips(dy.channels); }
  int64_t rows() const { return depth() * kLanes; }  // of the transformed gradient
  int64_t rounds() const { return divided(width(), kStrips); }
  int64_t in_round(int64_t round) const { return std::min<int64_t>(kStrips, width() - round * kStrips); }
  int64_t tile_bytes() const { return n * n * (depth() + width()) * kLanes * 4; }

  // `count` tiles from `first` on, by all threads.
  void take(int64_t first, int64_t count, const Matrices<n>& v, const Matrices<n>& z) const {
    in_parts(count, parts_of(count, tile_bytes() / 4, threads), [&](int, int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; tile++) {
        transform_tile<Pixels<n>, n, T>(x, Corner(tiles, first + tile, above, left), v, tile);
        transform_tile<Values<n, n + 1 - side, false>, n, T>(dy, Corner(tiles, first + tile), z, tile);
      }
    });
  }
};

// Few tiles: each thread takes some filters from all tiles to their gradients.
template <int n, int side, class T>
void gradient_by_filters(const FilterGradient<n, side, T>& one) {
  const int64_t count = one.tiles.count, rows = one.rows();
  const int parts = parts_of(one.rounds(), count * rows, one.threads);
  const int64_t v_size = Matrices<n>::size(one.depth(), count), z_size = Matrices<n>::size(one.width(), count);
  const int64_t du_size = Matrices<n>::size(kStrips, rows);
  Scratch scratch((v_size + z_size + parts * du_size) * sizeof(float));
  const Matrices<n> v(static_cast<float*>(scratch.data()), one.depth(), count);
  const Matrices<n> z(v.data + v_size, one.width(), count);
  one.take(0, count, v, z);
  in_parts(one.rounds(), parts, [&](int part, int64_t begin, int64_t end) {
    const Matrices<n> du(z.data + z_size + part * du_size, kStrips, rows);
    for (int64_t round = begin; round < end; round++) {
      for (int64_t point = 0; point < n * n; point++)
        sum_products(one.in_round(round), v, z, round * kStrips, count, du, point, 0, false);
      finish<n, side>(du, one.dfilters, round * kStrips, one.in_round(round), 0, one.x.channels);
    }
  });
}

// Many tiles, some at a time: each thread adds to the sums of points of its own.
template <int n, int side, class T>
void gradient_by_points(const FilterGradient<n, side, T>& one, int64_t size) {
  const int64_t rows = one.rows(), width = one.width(), rounds = one.rounds();
  const int parts = parts_of(n * n * rounds, size * rows, one.threads);
  const int64_t v_size = Matrices<n>::size(one.depth(), size), z_size = Matrices<n>::size(width, size);
  Scratch scratch((v_size + z_size + Matrices<n>::size(width, rows)) * sizeof(float));
  const Matrices<n> v(static_cast<float*>(scratch.data()), one.depth(), size), z(v.data + v_size, width, size);
  const Matrices<n> du(z.data + z_size, width, rows);
  for (int64_t first = 0; first < one.tiles.count; first += size) {
    const int64_t count = std::min(size, one.tiles.count - first);
    one.take(first, count, v, z);
    in_parts(n * n * rounds, parts, [&](int, int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i++) {
        const int64_t point = i / rounds, round = i % rounds;
        sum_products(one.in_round(round), v, z, round * kStrips, count, du, point, round * kStrips, first > 0);
      }
    });
  }
  in_parts(one.x.channels, parts_of(one.x.channels, n * n * one.dy.channels, one.threads),
           [&](int, int64_t begin, int64_t end) { finish<n, side>(du, one.dfilters, 0, width, begin, end); });
}

template <int n, int side, class T>
void find_gradient(const FilterGradient<n, side, T>& one) {
  const int64_t count = one.tiles.count;
  const int64_t balanced = one.rows() * one.width() / (one.depth() + one.width());
  if (count * one.tile_bytes() <= 2 * Matrices<n>::size(one.width(), one.rows()) * 4)
    gradient_by_filters(one);
  else
    gradient_by_points(one, std::min(count, std::max(kChunk / one.tile_bytes(), balanced)));
}

}  // namespace convnets
