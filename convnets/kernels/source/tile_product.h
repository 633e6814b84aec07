// Small matrix products, the sums of a block kept in registers.
//
// Matrices are kept as strips of `kLanes` columns, each of rows of as many numbers.
#pragma once

#include "lanes.h"

namespace convnets {

// Sums of a block: rows times strips of vectors, in 32 registers or in 16.
#ifdef __AVX512VL__
constexpr int kRows = 12, kStrips = 2;
#else
constexpr int kRows = 6, kStrips = 2;
#endif

// `c (+)= a b` for a block of rows and strips of `c`.
//
// a: its element of row r at step k is `a[o * a_outer + r * a_row + k * a_step]`, for k < inner and o < outer.
// b: its rows follow one another over all of outer x inner.
template <int rows, int strips, int a_row, int a_step>
inline void block_product(const float* a, int64_t a_outer, const float* b, int64_t b_strip, int64_t outer,
                          int64_t inner, float* c, int64_t c_strip, bool add) {
  Lanes sums[rows][strips];
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int s = 0; s < strips; s++) sums[r][s] = add ? load(c + s * c_strip + r * kLanes, All{}) : Lanes{};
  for (int64_t o = 0; o < outer; o++, a += a_outer) {
    const float* one = a;
    for (int64_t k = 0; k < inner; k++, one += a_step, b += kLanes) {
      Lanes row[strips];
#pragma GCC unroll 2
      for (int s = 0; s < strips; s++) row[s] = load(b + s * b_strip, All{});
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int s = 0; s < strips; s++) sums[r][s] += one[r * a_row] * row[s];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
    for (int s = 0; s < strips; s++) store(c + s * c_strip + r * kLanes, sums[r][s], All{});
}

}  // namespace convnets
