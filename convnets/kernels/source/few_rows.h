// Products with a float32 matrix that is far larger than the few rows it is multiplied by: fully connected layers.
#pragma once

#include "runtime.h"

namespace convnets {

constexpr int64_t kFewRows = 64;

// y = x W + bias. x: [rows, inner], W: [inner, columns]; bias may be null.
void few_rows_forward(const float* x, const float* w, const float* bias, float* y, int64_t rows, int64_t inner,
                      int64_t columns, int64_t threads);

// x = y W^T. y: [rows, inner], W: [columns, inner].
void few_rows_backward(const float* y, const float* w, float* x, int64_t rows, int64_t inner, int64_t columns,
                       int64_t threads);

// W = x^T y. x: [rows, inner], y: [rows, columns], W: [inner, columns].
template <class T>
void few_rows_outer(const T* x, const T* y, float* w, int64_t rows, int64_t inner, int64_t columns, int64_t threads);

}  // namespace convnets
