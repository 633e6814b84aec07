// What all kernels share: who may use the cores, memory that is used again, oneDNN's engine, and bfloat16.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

#include "oneapi/dnnl/dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace convnets {

namespace ffi = xla::ffi;
using Buffer = ffi::AnyBuffer;
using Result = ffi::Result<ffi::AnyBuffer>;
using Integers = ffi::Span<const int64_t>;

// A call's share of the cores. Calls that together want more than there are wait for one another, asleep: threads that
// spin in each other's way are far slower than threads that take turns. While it lives, OpenMP starts `threads` threads
// for whoever made it, so that sums are always added up in the same order.
class Turn {
 public:
  explicit Turn(int64_t threads);
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

 private:
  int64_t share_;
};

// Memory for the time of one call, taken from what earlier calls left.
class Scratch {
 public:
  explicit Scratch(size_t bytes);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  void* data() const { return data_; }

 private:
  void guard();
  void check_guard() const;

  void* data_;
  size_t bytes_, asked_;
};

const dnnl::engine& cpu();
dnnl::stream& stream();

// The element types that kernels know; anything else is refused in Python, before a program is built.
inline dnnl::memory::data_type type_of(ffi::DataType type) {
  return type == ffi::DataType::BF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

inline bool empty(const Buffer& buffer) { return buffer.element_count() == 0; }

template <class T>
T* data(const Buffer& buffer) {
  return static_cast<T*>(buffer.untyped_data());
}

// Null for one that was left out.
template <class T>
T* given(const Buffer& buffer) {
  return empty(buffer) ? nullptr : static_cast<T*>(buffer.untyped_data());
}

template <class T>
T* data(Result& result) {
  return static_cast<T*>(result->untyped_data());
}

// What tells one oneDNN primitive from another: a few numbers and the shapes, as bytes.
class Key {
 public:
  Key(std::initializer_list<int64_t> numbers) {
    for (int64_t number : numbers) add(number);
  }
  void add(int64_t number) { bytes_.append(reinterpret_cast<const char*>(&number), sizeof number); }
  void add(Integers numbers) {
    for (int64_t number : numbers) add(number);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// oneDNN reports by exceptions, XLA by values.
inline ffi::Error guarded(const char* what, const std::function<void()>& work) {
  try {
    work();
    return ffi::Error::Success();
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string(what) + ": " + error.what());
  }
}

// bfloat16 is the upper half of a float32.
using BFloat16 = uint16_t;

inline float load(const float* p) { return *p; }

inline float load(const BFloat16* p) {
  uint32_t bits = static_cast<uint32_t>(*p) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline void store(float* p, float value) { *p = value; }

inline void store(BFloat16* p, float value) {  // to the nearest, ties to even; a NaN stays one
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  *p = static_cast<BFloat16>(value != value ? 0x7fc0 : rounded);
}

// Runs `work(part, begin, end)` over equal parts of `rows`, each on a thread of its own; returns the number of parts.
// It depends on the sizes alone, so the same rows are always added up together.
int parts_of(int64_t rows, int64_t columns, int64_t threads);
void in_parts(int64_t rows, int parts, const std::function<void(int, int64_t, int64_t)>& work);

}  // namespace convnets
