// The transforms of Winograd's minimal filtering (Winograd 1980; Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", CVPR 2016): pixels, filter and responses are polynomials, multiplied by their values at n points.
//
// A line of m responses of a filter of r taps sees n = m + r - 1 pixels and costs n products instead of m r; a tile of
// m x m costs n^2 instead of (m r)^2. Points are fractions whose powers are exact. Relative to the responses, a sum
// over 64 channels in float32 is wrong by 3e-7 (root of the mean square), by 8e-7 with 6 points (0, +-3/4, +-3/2,
// infinity; half of what 0, +-1, +-2 and infinity give), and by 1e-5 with 9 points, a hundredth of bfloat16's rounding.
#pragma once

#include <array>
#include <utility>

#include "lanes.h"

namespace convnets {

// The finite points other than zero: pairs of opposite ones, and perhaps one more.
template <int n>
struct Points;

template <>
struct Points<6> {
  static constexpr int pairs = 2;
  static constexpr double pair[pairs] = {0.75, 1.5};
  static constexpr bool has_single = false;
  static constexpr double single = 0;
};

template <>
struct Points<9> {
  static constexpr int pairs = 3;
  static constexpr double pair[pairs] = {0.75, 1.25, 2};
  static constexpr bool has_single = true;
  static constexpr double single = 0.25;
};

template <int n>
using Polynomial = std::array<double, n>;  // the constant first

template <int n>
constexpr Polynomial<n> times(Polynomial<n> factor, double constant, double linear, double square) {
  Polynomial<n> result{};
  for (int i = 0; i < n; i++)
    result[i] = constant * factor[i] + (i > 0 ? linear * factor[i - 1] : 0) + (i > 1 ? square * factor[i - 2] : 0);
  return result;
}

enum class Without { kNothing, kZero, kSingle, kPair };

// The product of x - p over the finite points p, without some of them.
template <int n>
constexpr Polynomial<n> product(Without without, int which = 0) {
  Polynomial<n> result{1};
  if (without != Without::kZero) result = times<n>(result, 0, 1, 0);
  if (Points<n>::has_single && without != Without::kSingle) result = times<n>(result, -Points<n>::single, 1, 0);
  for (int i = 0; i < Points<n>::pairs; i++)
    if (without != Without::kPair || which != i)
      result = times<n>(result, -Points<n>::pair[i] * Points<n>::pair[i], 0, 1);
  return result;
}

template <int n>
constexpr double value(const Polynomial<n>& polynomial, double x) {
  double result = 0;
  for (int i = n; i-- > 0;) result = result * x + polynomial[i];
  return result;
}

constexpr float power(double x, int exponent) {
  double result = 1;
  for (int i = 0; i < exponent; i++) result *= x;
  return static_cast<float>(result);
}

// One over the product of a point's differences to the other finite points.
template <int n>
constexpr float at_zero = static_cast<float>(1 / value<n>(product<n>(Without::kZero), 0));
template <int n>
constexpr float at_single = static_cast<float>(1 / value<n>(product<n>(Without::kSingle), Points<n>::single));
template <int n, int which, bool negative>
constexpr float at_pair =
    static_cast<float>((negative ? -1 : 1) / (2 * Points<n>::pair[which] *
                                              value<n>(product<n>(Without::kPair, which),
                                                       negative ? -Points<n>::pair[which] : Points<n>::pair[which])));

#ifdef __SANITIZE_ADDRESS__  // whose checks of so much code in one piece take minutes to compile
#define INLINE_LAMBDA
#else
#define INLINE_LAMBDA __attribute__((always_inline))
#endif
#define INLINE inline INLINE_LAMBDA

// Calls `work` with each of 0 ... count - 1 as a constant.
template <class Work, int... i>
INLINE void each(const Work& work, std::integer_sequence<int, i...>) {
  (work(std::integral_constant<int, i>()), ...);
}
template <int count, class Work>
INLINE void each(const Work& work) {
  each(work, std::make_integer_sequence<int, count>());
}

// The sum of p[i] x[i], where p is the product of x - point without some points.
template <int n, Without without, int which = 0>
INLINE Lanes weighted(const Lanes* x) {
  constexpr auto polynomial = product<n>(without, which);
  Lanes sum{};
  each<n>([&](auto i) INLINE_LAMBDA {
    constexpr float factor = static_cast<float>(polynomial[i]);
    if constexpr (factor != 0) sum += factor * x[i];
  });
  return sum;
}

// Values are in this order: zero, the pairs, the single one, infinity.

// n pixels -> their values (the matrix B^T).
template <int n>
struct Pixels {
  static constexpr int from = n, to = n;
  static INLINE void apply(const Lanes* x, Lanes* y) {
    y[0] = weighted<n, Without::kZero>(x);
    each<Points<n>::pairs>([&](auto i) INLINE_LAMBDA {
      constexpr float point = static_cast<float>(Points<n>::pair[i]);
      const Lanes even = weighted<n, Without::kPair, i>(x + 1), odd = point * weighted<n, Without::kPair, i>(x);
      y[1 + 2 * i] = even + odd;
      y[2 + 2 * i] = even - odd;
    });
    if constexpr (Points<n>::has_single) y[n - 2] = weighted<n, Without::kSingle>(x);
    y[n - 1] = weighted<n, Without::kNothing>(x);
  }
};

// Coefficients of a polynomial -> its values: of a filter (G), or of the responses' gradients (A).
template <int n, int coefficients, bool filter>
struct Values {
  static constexpr int from = coefficients, to = n;
  static INLINE void apply(const Lanes* x, Lanes* y) {
    y[0] = filter ? at_zero<n> * x[0] : x[0];
    each<Points<n>::pairs>([&](auto i) INLINE_LAMBDA {
      Lanes sums[2] = {x[0], power(Points<n>::pair[i], 1) * x[1]};
      each<from - 2>([&](auto k) INLINE_LAMBDA { sums[k % 2] += power(Points<n>::pair[i], k + 2) * x[k + 2]; });
      y[1 + 2 * i] = sums[0] + sums[1];
      y[2 + 2 * i] = sums[0] - sums[1];
      if constexpr (filter) y[1 + 2 * i] *= at_pair<n, i, false>, y[2 + 2 * i] *= at_pair<n, i, true>;
    });
    if constexpr (Points<n>::has_single) {
      Lanes sum = x[0];
      each<from - 1>([&](auto k) INLINE_LAMBDA { sum += power(Points<n>::single, k + 1) * x[k + 1]; });
      y[n - 2] = filter ? at_single<n> * sum : sum;
    }
    y[n - 1] = x[from - 1];
  }
};

// Values -> coefficients: the responses (A^T), or the filter's gradients (G^T).
template <int n, int coefficients, bool filter>
struct Coefficients {
  static constexpr int from = n, to = coefficients;
  static INLINE void apply(const Lanes* x, Lanes* y) {
    each<to>([&](auto k) INLINE_LAMBDA { y[k] = Lanes{}; });
    y[0] += filter ? at_zero<n> * x[0] : x[0];
    y[to - 1] += x[n - 1];
    each<Points<n>::pairs>([&](auto i) INLINE_LAMBDA {
      const Lanes positive = filter ? at_pair<n, i, false> * x[1 + 2 * i] : x[1 + 2 * i];
      const Lanes negative = filter ? at_pair<n, i, true> * x[2 + 2 * i] : x[2 + 2 * i];
      const Lanes sums[2] = {positive + negative, positive - negative};
      each<to>([&](auto k) INLINE_LAMBDA { y[k] += power(Points<n>::pair[i], k) * sums[k % 2]; });
    });
    if constexpr (Points<n>::has_single) {
      const Lanes single = filter ? at_single<n> * x[n - 2] : x[n - 2];
      each<to>([&](auto k) INLINE_LAMBDA { y[k] += power(Points<n>::single, k) * single; });
    }
  }
};

// A transform of both axes: `get(row, column)` gives, `put(row, column, value)` takes.
template <class Transform, class Get, class Put>
INLINE void transform(const Get& get, const Put& put) {
  constexpr int from = Transform::from, to = Transform::to;
  Lanes half[to][from];
  each<from>([&](auto j) INLINE_LAMBDA {
    Lanes column[from], values[to];
    each<from>([&](auto i) INLINE_LAMBDA { column[i] = get(i, j); });
    Transform::apply(column, values);
    each<to>([&](auto i) INLINE_LAMBDA { half[i][j] = values[i]; });
  });
  each<to>([&](auto i) INLINE_LAMBDA {
    Lanes values[to];
    Transform::apply(half[i], values);
    each<to>([&](auto j) INLINE_LAMBDA { put(i, j, values[j]); });
  });
}

}  // namespace convnets
