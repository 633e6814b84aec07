// Inner loops over channels, as many at a time as a register holds: numbers of either type are worked on as float32.
#pragma once

#include <algorithm>
#include <type_traits>

#include "runtime.h"

#ifdef __AVX512VL__
#include <immintrin.h>
#endif

namespace convnets {

#ifdef __AVX512VL__
constexpr int64_t kLanes = 16;
#elif defined __AVX__
constexpr int64_t kLanes = 8;
#else
constexpr int64_t kLanes = 4;
#endif
using Lanes = float __attribute__((vector_size(4 * kLanes)));

// Which lanes are loaded and stored: all, or so many of the first, at the end of a row. The others hold zeros.
struct All {};
struct First {
  int64_t count;
};

#ifdef __AVX512VL__

inline __mmask16 mask(First lanes) { return static_cast<__mmask16>((1u << lanes.count) - 1); }

inline Lanes widened(__m256i upper) { return (Lanes)_mm512_slli_epi32(_mm512_cvtepu16_epi32(upper), 16); }

inline Lanes load(const float* p, All) { return (Lanes)_mm512_loadu_ps(p); }
inline Lanes load(const float* p, First lanes) { return (Lanes)_mm512_maskz_loadu_ps(mask(lanes), p); }
inline Lanes load(const BFloat16* p, All) { return widened(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
inline Lanes load(const BFloat16* p, First lanes) { return widened(_mm256_maskz_loadu_epi16(mask(lanes), p)); }

inline __m256i rounded(Lanes value) {
#ifdef __AVX512BF16__
  return (__m256i)_mm512_cvtneps_pbh((__m512)value);
#else
  alignas(32) BFloat16 result[kLanes];
  for (int64_t i = 0; i < kLanes; i++) store(result + i, value[i]);
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(result));
#endif
}

inline void store(float* p, Lanes value, All) { _mm512_storeu_ps(p, (__m512)value); }
inline void store(float* p, Lanes value, First lanes) { _mm512_mask_storeu_ps(p, mask(lanes), (__m512)value); }
inline void store(BFloat16* p, Lanes value, All) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), rounded(value));
}
inline void store(BFloat16* p, Lanes value, First lanes) {
  _mm256_mask_storeu_epi16(p, mask(lanes), rounded(value));
}

#else

inline int64_t count(All) { return kLanes; }
inline int64_t count(First lanes) { return lanes.count; }

using Halves = BFloat16 __attribute__((vector_size(2 * kLanes)));
using Words = uint32_t __attribute__((vector_size(4 * kLanes)));

template <class Vector>
inline Vector copied(const void* p) {
  Vector vector;
  std::memcpy(&vector, p, sizeof vector);
  return vector;
}

inline Lanes load(const float* p, All) { return copied<Lanes>(p); }
inline Lanes load(const BFloat16* p, All) { return (Lanes)(__builtin_convertvector(copied<Halves>(p), Words) << 16); }

inline void store(float* p, Lanes value, All) { std::memcpy(p, &value, sizeof value); }

template <class T>
inline Lanes load(const T* p, First lanes) {
  Lanes value{};
  for (int64_t i = 0; i < count(lanes); i++) value[i] = load(p + i);
  return value;
}

template <class T, class Which>
inline void store(T* p, Lanes value, Which lanes) {
  for (int64_t i = 0; i < count(lanes); i++) store(p + i, value[i]);
}

#endif

// Calls `work(channel, lanes)` for each `kLanes` channels, and for the rest.
template <class Work>
inline void across(int64_t channels, const Work& work) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) work(c, All{});
  if (c < channels) work(c, First{channels - c});
}

// Calls `work(row, count)` with counts of four rows, which share the access to a sum, and then of one.
template <class Work>
inline void in_fours(int64_t first, int64_t last, const Work& work) {
  for (; first + 4 <= last; first += 4) work(first, std::integral_constant<int, 4>());
  for (; first < last; first++) work(first, std::integral_constant<int, 1>());
}

}  // namespace convnets
