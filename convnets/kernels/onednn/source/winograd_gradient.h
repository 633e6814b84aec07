// The gradients of filters: at each point, the product of transformed pixels and transformed gradients of the responses,
// summed over all tiles.
#pragma once

#include "tile_product.h"
#include "winograd_tiles.h"

namespace convnets {

constexpr int64_t kChunk = 4 << 20;  // bytes of transformed tiles that stay in the cache of all cores

// du (+)= v^T z at one point for `count` rows of both, and some strips of `z`: a row of du for each column of v.
template <int strips, int n>
void sum_products(const Matrices<n>& v, const Matrices<n>& z, int64_t strip, int64_t count, const Matrices<n>& du,
                  int64_t point, int64_t du_strip, bool add) {
  constexpr int rows = kRows / 8 * 4 + 4;  // eight or four, which divide sixteen
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
      transform<Coefficients<n, side, true>>(
          du.get(c / kLanes, input), [&](int i, int j, Lanes value) INLINE_LAMBDA {
            store(dfilters.at(i * side + j, input) + first + c, value, lanes);
          });
    });
  }
}

// One group's gradient of the filters. Tiles are transformed by all threads; then each thread sums products of its own.
template <int n, int side, class T>
void filter_gradient(const Maps<const T>& x, const Maps<const T>& dy, int64_t images, int64_t above, int64_t left,
                     const Filters<float>& dfilters, int64_t threads) {
  constexpr int responses = n + 1 - side, square = n * n;
  const Tiles tiles(responses, images, dy.height, dy.width);
  const int64_t depth = strips(x.channels), width = strips(dy.channels), rows = depth * kLanes;
  const int64_t rounds = divided(width, kStrips);
  const auto in_round = [&](int64_t round) { return std::min<int64_t>(kStrips, width - round * kStrips); };
  const int64_t tile_bytes = square * (depth + width) * kLanes * 4;
  const bool few_tiles = tiles.count * tile_bytes <= 2 * Matrices<n>::size(width, rows) * 4;
  const int64_t fitting = std::max(kChunk / tile_bytes, rows * width / (depth + width));
  const int64_t size = few_tiles ? tiles.count : std::min(tiles.count, fitting);
  const int parts = parts_of(few_tiles ? rounds : square * rounds, square * size * rows / square, threads);
  const int64_t v_size = Matrices<n>::size(depth, size), z_size = Matrices<n>::size(width, size);
  const int64_t du_size = Matrices<n>::size(kStrips, rows);
  const int64_t du_sizes = few_tiles ? parts * du_size : Matrices<n>::size(width, rows);
  Scratch scratch((v_size + z_size + du_sizes) * sizeof(float));
  const Matrices<n> v(static_cast<float*>(scratch.data()), depth, size), z(v.data + v_size, width, size);
  float* sums = z.data + z_size;
  for (int64_t first = 0; first < tiles.count; first += size) {
    const int64_t count = std::min(size, tiles.count - first);
    in_parts(count, parts_of(count, tile_bytes / 4, threads), [&](int, int64_t begin, int64_t end) {
      for (int64_t tile = begin; tile < end; tile++) {
        transform_tile<Pixels<n>, n, T>(x, Corner(tiles, first + tile, above, left), v, tile);
        transform_tile<Values<n, responses, false>, n, T>(dy, Corner(tiles, first + tile), z, tile);
      }
    });
    if (few_tiles) {
      in_parts(rounds, parts, [&](int part, int64_t begin, int64_t end) {
        const Matrices<n> du(sums + part * du_size, kStrips, rows);
        for (int64_t round = begin; round < end; round++) {
          for (int64_t point = 0; point < square; point++)
            sum_products(in_round(round), v, z, round * kStrips, count, du, point, 0, false);
          finish<n, side>(du, dfilters, round * kStrips, in_round(round), 0, x.channels);
        }
      });
    } else {
      const Matrices<n> du(sums, width, rows);
      in_parts(square * rounds, parts, [&](int, int64_t begin, int64_t end) {
        for (int64_t one = begin; one < end; one++) {
          const int64_t round = one % rounds;
          sum_products(in_round(round), v, z, round * kStrips, count, du, one / rounds, round * kStrips, first > 0);
        }
      });
    }
  }
  if (few_tiles) return;
  const Matrices<n> du(sums, width, rows);
  in_parts(x.channels, parts_of(x.channels, square * dy.channels, threads), [&](int, int64_t begin, int64_t end) {
    finish<n, side>(du, dfilters, 0, width, begin, end);
  });
}

}  // namespace convnets
