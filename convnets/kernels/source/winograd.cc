// Convolutions of 3x3 and 5x5 filters at stride 1, and their two gradients, by Winograd's minimal filtering: maps are
// cut into overlapping tiles, tiles and filters are transformed, and at each point the filters are one matrix product
// over all channels. All is computed in float32, whatever the type of the maps. `points` is 6, or 9 for maps of
// bfloat16.
#include "winograd_gradient.h"
#include "winograd_responses.h"

namespace convnets {

namespace {

// Calls `work` with the number of points, the filters' side and, as a null pointer, the type of the maps.
template <class Work>
void with_types(int64_t points, int64_t side, ffi::DataType type, const Work& work) {
  auto sides = [&](auto n, auto* map) {
    if (side == 3)
      work(n, std::integral_constant<int, 3>(), map);
    else
      work(n, std::integral_constant<int, 5>(), map);
  };
  if (type != ffi::DataType::BF16)
    sides(std::integral_constant<int, 6>(), static_cast<float*>(nullptr));
  else if (points == 6)
    sides(std::integral_constant<int, 6>(), static_cast<BFloat16*>(nullptr));
  else
    sides(std::integral_constant<int, 9>(), static_cast<BFloat16*>(nullptr));
}

// A convolution as its forward pass sees it: maps of NHWC, kernels of HWIO.
struct Shape {
  Integers x, kernel, y, padding;
  int64_t groups;
};

// The maps and filters of one group.
template <class T>
Maps<T> group_of(T* maps, Integers shape, int64_t groups, int64_t group) {
  const int64_t channels = shape[3] / groups;
  return {maps + group * channels, shape[1], shape[2], channels, shape[3]};
}

template <class K>
Filters<K> filters_of(K* kernel, const Shape& shape, int64_t group) {
  const int64_t features = shape.kernel[3] / shape.groups;
  return {kernel + group * features, shape.kernel[2], features, shape.kernel[3]};
}

// Calls `work` for each group, with the constants and the type that fit.
template <class Work>
ffi::Error for_groups(const Shape& shape, int64_t points, ffi::DataType type, int64_t threads, const Work& work) {
  return guarded("convolution", [&] {
    Turn turn(threads);
    with_types(points, shape.kernel[0], type, [&](auto n, auto side, auto* map) {
      for (int64_t group = 0; group < shape.groups; group++) work(group, n, side, map);
    });
  });
}

ffi::Error Forward(Buffer x, Buffer kernel, Buffer factor, Buffer bias, Buffer residual, Result y, Integers padding,
                   int64_t groups, bool relu, int64_t points, int64_t threads) {
  const Shape shape{x.dimensions(), kernel.dimensions(), y->dimensions(), padding, groups};
  return for_groups(shape, points, x.element_type(), threads, [&](int64_t group, auto n, auto side, auto* map) {
    using T = std::remove_pointer_t<decltype(map)>;
    const auto filters = filters_of<const float>(data<float>(kernel), shape, group);
    After<T> after{given<float>(factor), given<float>(bias), given<T>(residual), relu};
    after.skip(group * filters.outputs);
    const Convolution<n, side, T> one(group_of<const T>(data<T>(x), shape.x, groups, group), shape.x[0], padding[0],
                                      padding[2], after, group_of(data<T>(y), shape.y, groups, group), threads);
    convolve(one, [&](auto... where) { transform_filters<n, side>(filters, where...); });
  });
}

ffi::Error InputGradient(Buffer dy, Buffer kernel, Result dx, Integers padding, int64_t groups, int64_t points,
                         int64_t threads) {
  const Shape shape{dx->dimensions(), kernel.dimensions(), dy.dimensions(), padding, groups};
  return for_groups(shape, points, dy.element_type(), threads, [&](int64_t group, auto n, auto side, auto* map) {
    using T = std::remove_pointer_t<decltype(map)>;
    const auto filters = filters_of<const float>(data<float>(kernel), shape, group);
    const Convolution<n, side, T> one(group_of<const T>(data<T>(dy), shape.y, groups, group), shape.y[0],
                                      side - 1 - padding[0], side - 1 - padding[2], After<T>{},
                                      group_of(data<T>(dx), shape.x, groups, group), threads);
    convolve(one, [&](auto... where) { transform_turned<n, side>(filters, where...); });
  });
}

ffi::Error KernelGradient(Buffer x, Buffer dy, Result dkernel, Integers padding, int64_t groups, int64_t points,
                          int64_t threads) {
  const Shape shape{x.dimensions(), dkernel->dimensions(), dy.dimensions(), padding, groups};
  return for_groups(shape, points, x.element_type(), threads, [&](int64_t group, auto n, auto side, auto* map) {
    using T = std::remove_pointer_t<decltype(map)>;
    find_gradient(FilterGradient<n, side, T>(
        group_of<const T>(data<T>(x), shape.x, groups, group), group_of<const T>(data<T>(dy), shape.y, groups, group),
        shape.x[0], padding[0], padding[2], filters_of(data<float>(dkernel), shape, group), threads));
  });
}

}  // namespace

#define ATTRIBUTES Attr<Integers>("padding").Attr<int64_t>("groups")

XLA_FFI_DEFINE_HANDLER_SYMBOL(winograd_forward, Forward,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .ATTRIBUTES.Attr<bool>("relu")
                                  .Attr<int64_t>("points")
                                  .Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    winograd_input_gradient, InputGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().ATTRIBUTES.Attr<int64_t>("points").Attr<int64_t>(
        "threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    winograd_kernel_gradient, KernelGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().ATTRIBUTES.Attr<int64_t>("points").Attr<int64_t>(
        "threads"));

}  // namespace convnets
