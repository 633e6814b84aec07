// The large matrix is read, or written, once and in order; what it is multiplied by stays in the cache. oneDNN, which
// first lays the matrix out anew, is several times slower.
#include "few_rows.h"

#include "lanes.h"

namespace convnets {

namespace {

constexpr int64_t kDeep = 32;  // rows of the matrix between which a strip of it goes back and forth
constexpr int64_t kAhead = 4 * kLanes;
constexpr size_t kLarge = 16 << 20;  // bytes; what is larger is not kept in the cache by writing it

int64_t up(int64_t a) { return (a + kLanes - 1) / kLanes * kLanes; }

// [rows, columns] -> [groups of 16 rows, columns, 16], missing rows as zeros.
template <class T>
void transpose(const T* from, float* to, int64_t rows, int64_t columns, int64_t threads) {
  in_parts(columns, parts_of(columns, rows, threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t first = 0; first < rows; first += kLanes)
      for (int64_t c = begin; c < end; c++)
        for (int64_t r = 0; r < kLanes; r++)
          to[first * columns + c * kLanes + r] = first + r < rows ? load(from + (first + r) * columns + c) : 0.f;
  });
}

// Adds `deep` rows of a strip of the matrix, each times its numbers of x, to as many rows of y.
template <int kRows, class Which>
void strip(const float* x, const float* w, float* y, int64_t deep, int64_t rows, int64_t columns, Which lanes) {
  Lanes sums[kRows];
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++) sums[r] = r < rows ? load(y + r * columns, lanes) : Lanes{};
  for (int64_t k = 0; k < deep; k++) {
    const Lanes weights = load(w + k * columns, lanes);
    __builtin_prefetch(w + k * columns + kAhead, 0, 2);
#pragma GCC unroll 16
    for (int r = 0; r < kRows; r++) sums[r] += weights * x[k * kLanes + r];
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; r++)
    if (r < rows) store(y + r * columns, sums[r], lanes);
}

// 16 rows of x, transposed, from `kColumns` rows of the matrix.
template <int kColumns>
void dot(const float* y, const float* w, float* x, int64_t rows, int64_t inner, int64_t columns) {
  Lanes even[kColumns] = {}, odd[kColumns] = {};
  int64_t k = 0;
  for (; k + 2 <= inner; k += 2) {
    const Lanes first = load(y + k * kLanes, All{}), second = load(y + (k + 1) * kLanes, All{});
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; c++) {
      even[c] += first * w[c * inner + k];
      odd[c] += second * w[c * inner + k + 1];
    }
  }
  if (k < inner)
    for (int c = 0; c < kColumns; c++) even[c] += load(y + k * kLanes, All{}) * w[c * inner + k];
  for (int c = 0; c < kColumns; c++)
    for (int64_t r = 0; r < rows; r++) x[r * columns + c] = even[c][r] + odd[c][r];
}

// `kInner` rows of the product by as many strips.
template <int kInner, int kStrips, class Which>
void outer(const float* x, const float* y, float* w, int64_t rows, int64_t inner, int64_t columns, bool past_cache,
           Which lanes) {
  Lanes sums[kInner][kStrips] = {};
  for (int64_t r = 0; r < rows; r++) {
    Lanes strips[kStrips];
    for (int s = 0; s < kStrips; s++) strips[s] = load(y + r * columns + s * kLanes, lanes);
    const float* at = x + r / kLanes * inner * kLanes + r % kLanes;
#pragma GCC unroll 4
    for (int k = 0; k < kInner; k++)
      for (int s = 0; s < kStrips; s++) sums[k][s] += strips[s] * at[k * kLanes];
  }
#pragma GCC unroll 4
  for (int k = 0; k < kInner; k++)
    for (int s = 0; s < kStrips; s++) {
      float* to = w + k * columns + s * kLanes;
#ifdef __AVX512VL__
      if (past_cache && std::is_same_v<Which, All>) {
        _mm512_stream_ps(to, (__m512)sums[k][s]);
        continue;
      }
#endif
      store(to, sums[k][s], lanes);
    }
}

}  // namespace

void few_rows_forward(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t inner,
                      int64_t columns, int64_t threads) {
  Scratch scratch(up(rows) * inner * sizeof(float));
  auto* transposed = static_cast<float*>(scratch.data());
  transpose(x, transposed, rows, inner, threads);
  const int64_t strips = up(columns) / kLanes;
  in_parts(strips, parts_of(strips, inner * kLanes, threads), [&](int, int64_t begin, int64_t end) {
    const int64_t from = begin * kLanes, to = std::min(columns, end * kLanes);
    for (int64_t r = 0; r < rows; r++)
      for (int64_t c = from; c < to; c++) y[r * columns + c] = bias == nullptr ? 0.f : bias[c];
    for (int64_t k = 0; k < inner; k += kDeep)
      across(to - from, [&](int64_t c, auto lanes) {
        for (int64_t r = 0; r < rows; r += kLanes) {
          const float* some = transposed + r * inner + k * kLanes;
          const int64_t deep = std::min(kDeep, inner - k), at = from + c;
          if (rows <= 4)
            strip<4>(some, w + k * columns + at, y + at, deep, rows, columns, lanes);
          else
            strip<kLanes>(some, w + k * columns + at, y + r * columns + at, deep, rows - r, columns, lanes);
        }
      });
  });
}

void few_rows_backward(const float* y, const float* w, float* x, int64_t rows, int64_t inner, int64_t columns,
                       int64_t threads) {
  Scratch scratch(up(rows) * inner * sizeof(float));
  auto* transposed = static_cast<float*>(scratch.data());
  transpose(y, transposed, rows, inner, threads);
  in_parts(columns, parts_of(columns, inner, threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end;) {
      const bool four = c + 4 <= end;
      for (int64_t r = 0; r < rows; r += kLanes) {
        const float* some = transposed + r * inner;
        const int64_t left = std::min(kLanes, rows - r);
        four ? dot<4>(some, w + c * inner, x + r * columns + c, left, inner, columns)
             : dot<1>(some, w + c * inner, x + r * columns + c, left, inner, columns);
      }
      c += four ? 4 : 1;
    }
  });
}

template <class T>
void few_rows_outer(const T* x, const T* y, float* w, int64_t rows, int64_t inner, int64_t columns, int64_t threads) {
  Scratch scratch(up(rows) * inner * sizeof(float)), wide_scratch(rows * columns * sizeof(float));
  auto* transposed = static_cast<float*>(scratch.data());
  auto* wide = static_cast<float*>(wide_scratch.data());
  transpose(x, transposed, rows, inner, threads);
  for (int64_t i = 0; i < rows * columns; i++) wide[i] = load(y + i);
  const bool aligned = reinterpret_cast<uintptr_t>(w) % 64 == 0 && columns % kLanes == 0;
  const bool past_cache = aligned && inner * columns * sizeof(float) > kLarge;
  in_parts(inner, parts_of(inner, columns, threads), [&](int, int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end;) {
      const bool four = k + 4 <= end;
      const float* some = transposed + k * kLanes;
      float* to = w + k * columns;
      int64_t c = 0;
      for (; four && c + 4 * kLanes <= columns; c += 4 * kLanes)
        outer<4, 4>(some, wide + c, to + c, rows, inner, columns, past_cache, All{});
      across(columns - c, [&](int64_t rest, auto lanes) {
        const int64_t at = c + rest;
        four ? outer<4, 1>(some, wide + at, to + at, rows, inner, columns, past_cache, lanes)
             : outer<1, 1>(some, wide + at, to + at, rows, inner, columns, past_cache, lanes);
      });
      k += four ? 4 : 1;
    }
#ifdef __AVX512VL__
    _mm_sfence();
#endif
  });
}

template void few_rows_outer(const float*, const float*, float*, int64_t, int64_t, int64_t, int64_t);
template void few_rows_outer(const BFloat16*, const BFloat16*, float*, int64_t, int64_t, int64_t, int64_t);

}  // namespace convnets
