// The product of two matrices, either of them transposed: through oneDNN, unless it is mostly a matter of reading or
// writing one of them.
#include <memory>
#include <mutex>
#include <unordered_map>

#include "few_rows.h"
#include "relu.h"

namespace convnets {

namespace {

using dnnl::memory;
using Tag = memory::format_tag;

struct Product {
  dnnl::matmul run;
  memory::desc a, b, bias, c, scratch;
};

const Product& product_for(const Buffer& a, const Buffer& b, const Buffer& bias, Result& c, bool transpose_a,
                           bool transpose_b, int64_t threads) {
  static std::mutex mutex;
  static auto* products = new std::unordered_map<std::string, std::unique_ptr<Product>>();
  Key key{static_cast<int64_t>(a.element_type()),
          static_cast<int64_t>(c->element_type()),
          transpose_a,
          transpose_b,
          !empty(bias),
          threads};
  key.add(a.dimensions());
  key.add(b.dimensions());
  std::lock_guard<std::mutex> lock(mutex);
  auto& product = (*products)[key.bytes()];
  if (product) return *product;
  product = std::make_unique<Product>();
  auto shape_a = a.dimensions();
  auto shape_c = c->dimensions();
  int64_t m = shape_c[0], n = shape_c[1], k = transpose_a ? shape_a[0] : shape_a[1];
  product->a = memory::desc({m, k}, type_of(a.element_type()), transpose_a ? Tag::ba : Tag::ab);
  product->b = memory::desc({k, n}, type_of(b.element_type()), transpose_b ? Tag::ba : Tag::ab);
  product->c = memory::desc({m, n}, type_of(c->element_type()), Tag::ab);
  if (!empty(bias)) product->bias = memory::desc({1, n}, memory::data_type::f32, Tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  dnnl::matmul::primitive_desc description(cpu(), product->a, product->b, product->bias, product->c, attributes);
  product->scratch = description.scratchpad_desc();
  product->run = dnnl::matmul(description);
  return *product;
}

// Whether it was one of those with a large float32 matrix and few rows.
bool few_rows(const Buffer& a, const Buffer& b, const Buffer& bias, Result& c, bool transpose_a, bool transpose_b,
              int64_t threads) {
  const auto left = a.dimensions(), right = b.dimensions();
  const auto wide = ffi::DataType::F32;
  if (left[0] > kFewRows || c->element_type() != wide || (transpose_a && transpose_b)) return false;
  if (transpose_a) {
    if (a.element_type() != b.element_type() || !empty(bias)) return false;
    if (a.element_type() == wide)
      few_rows_outer(data<float>(a), data<float>(b), data<float>(c), left[0], left[1], right[1], threads);
    else
      few_rows_outer(data<BFloat16>(a), data<BFloat16>(b), data<float>(c), left[0], left[1], right[1], threads);
    return true;
  }
  if (a.element_type() != wide || b.element_type() != wide || (transpose_b && !empty(bias))) return false;
  if (transpose_b)
    few_rows_backward(data<float>(a), data<float>(b), data<float>(c), left[0], left[1], right[0], threads);
  else
    few_rows_forward(data<float>(a), data<float>(b), empty(bias) ? nullptr : data<float>(bias), data<float>(c), left[0],
                     left[1], right[1], threads);
  return true;
}

void multiply(const Buffer& a, const Buffer& b, const Buffer& bias, Result& c, bool transpose_a, bool transpose_b,
              int64_t threads) {
  const Product& product = product_for(a, b, bias, c, transpose_a, transpose_b, threads);
  Scratch scratch(product.scratch.get_size());
  std::unordered_map<int, memory> arguments{{DNNL_ARG_SRC, memory(product.a, cpu(), a.untyped_data())},
                                            {DNNL_ARG_WEIGHTS, memory(product.b, cpu(), b.untyped_data())},
                                            {DNNL_ARG_DST, memory(product.c, cpu(), c->untyped_data())},
                                            {DNNL_ARG_SCRATCHPAD, memory(product.scratch, cpu(), scratch.data())}};
  if (!empty(bias)) arguments.insert({DNNL_ARG_BIAS, memory(product.bias, cpu(), bias.untyped_data())});
  product.run.execute(stream(), arguments);
  stream().wait();
}

ffi::Error MatrixProduct(Buffer a, Buffer b, Buffer bias, Result c, bool transpose_a, bool transpose_b, bool relu,
                         int64_t threads) {
  return guarded("matrix product", [&] {
    Turn turn(threads);
    if (!few_rows(a, b, bias, c, transpose_a, transpose_b, threads))
      multiply(a, b, bias, c, transpose_a, transpose_b, threads);
    if (relu) rectify(c, threads);
  });
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(matrix_product, MatrixProduct,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .Attr<bool>("transpose_a")
                                  .Attr<bool>("transpose_b")
                                  .Attr<bool>("relu")
                                  .Attr<int64_t>("threads"));

}  // namespace convnets
