// Convolution and its two gradients, through oneDNN. Maps are NHWC, kernels HWIO.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "runtime.h"

namespace convnets {

namespace {

using dnnl::memory;
using dnnl::primitive;
using Tag = memory::format_tag;
using Type = memory::data_type;

enum class Pass { kForward, kInputGradient, kKernelGradient };

// A primitive ready to run, and the layout in which it wants the kernel, which is never HWIO.
struct Plan {
  primitive run;
  memory::desc x, y, vector, kernel, kernel_hwio, scratch;
  primitive arrange;  // HWIO to oneDNN's layout, or for the kernel's gradient back
  memory::desc arrange_scratch;
  bool arranged = false;
};

struct Geometry {
  memory::dims strides, before, after, dilation;
  int64_t groups;
  Geometry(Integers strides, Integers padding, Integers dilation, int64_t groups)
      : strides{strides[0], strides[1]},
        before{padding[0], padding[2]},
        after{padding[1], padding[3]},
        dilation{dilation[0] - 1, dilation[1] - 1},  // oneDNN counts the gaps
        groups(groups) {}
};

dnnl::primitive_attr own_scratch() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

// What a convolution is between, whichever of its three passes is run; and what follows the forward one, null if
// nothing.
struct Operands {
  Integers x, kernel, y;
  Type type, kernel_type;
  void *x_data, *kernel_data, *y_data;
  void *factor = nullptr, *bias = nullptr, *residual = nullptr;
  bool relu = false;
};

// Factor, bias, residual and ReLU. oneDNN's own ReLU makes a NaN zero, and a run that diverges must be seen to: its
// PReLU with nothing below zero keeps it.
dnnl::post_ops what_follows(const Operands& operands, const Plan& plan) {
  dnnl::post_ops after;
  if (operands.factor) after.append_binary(dnnl::algorithm::binary_mul, plan.vector);
  if (operands.bias) after.append_binary(dnnl::algorithm::binary_add, plan.vector);
  if (operands.residual) after.append_binary(dnnl::algorithm::binary_add, plan.y);
  if (operands.relu) after.append_prelu(0);
  return after;
}

std::unique_ptr<Plan> make_plan(Pass pass, const Operands& shape, const Geometry& geometry) {
  auto plan = std::make_unique<Plan>();
  auto [x, kernel, y] = std::tie(shape.x, shape.kernel, shape.y);
  int64_t groups = geometry.groups, features = kernel[3];
  memory::dims kernel_shape{features, kernel[2], kernel[0], kernel[1]};
  Tag hwio = Tag::hwio;
  if (groups > 1) {
    kernel_shape = {groups, features / groups, kernel[2], kernel[0], kernel[1]};
    hwio = Tag::hwigo;
  }
  plan->x = memory::desc({x[0], x[3], x[1], x[2]}, shape.type, Tag::nhwc);
  plan->y = memory::desc({y[0], y[3], y[1], y[2]}, shape.type, Tag::nhwc);
  plan->kernel_hwio = memory::desc(kernel_shape, shape.kernel_type, hwio);
  // The kernel's gradient is a long sum: it is kept in the type that it is handed out in.
  memory::desc wanted(kernel_shape, pass == Pass::kKernelGradient ? shape.kernel_type : shape.type, Tag::any);

  dnnl::primitive_attr attributes = own_scratch();
  plan->vector = memory::desc({1, features, 1, 1}, Type::f32, Tag::nhwc);
  if (pass == Pass::kForward) attributes.set_post_ops(what_follows(shape, *plan));
  dnnl::convolution_forward::primitive_desc forward(
      cpu(), dnnl::prop_kind::forward_training, dnnl::algorithm::convolution_direct, plan->x,
      memory::desc(kernel_shape, shape.type, Tag::any), memory::desc(), plan->y, geometry.strides, geometry.dilation,
      geometry.before, geometry.after, attributes);
  if (pass == Pass::kForward) {
    plan->run = dnnl::convolution_forward(forward);
    plan->kernel = forward.weights_desc();
    plan->scratch = forward.scratchpad_desc();
  } else if (pass == Pass::kInputGradient) {
    dnnl::convolution_backward_data::primitive_desc backward(cpu(), dnnl::algorithm::convolution_direct, plan->x,
                                                             wanted, plan->y, geometry.strides, geometry.dilation,
                                                             geometry.before, geometry.after, forward, attributes);
    plan->run = dnnl::convolution_backward_data(backward);
    plan->kernel = backward.weights_desc();
    plan->scratch = backward.scratchpad_desc();
  } else {
    dnnl::convolution_backward_weights::primitive_desc backward(cpu(), dnnl::algorithm::convolution_direct, plan->x,
                                                                wanted, plan->y, geometry.strides, geometry.dilation,
                                                                geometry.before, geometry.after, forward, attributes);
    plan->run = dnnl::convolution_backward_weights(backward);
    plan->kernel = backward.diff_weights_desc();
    plan->scratch = backward.scratchpad_desc();
  }
  plan->arranged = plan->kernel != plan->kernel_hwio;
  if (plan->arranged) {
    bool back = pass == Pass::kKernelGradient;
    const auto& from = back ? plan->kernel : plan->kernel_hwio;
    const auto& to = back ? plan->kernel_hwio : plan->kernel;
    dnnl::reorder::primitive_desc arrange(cpu(), from, cpu(), to, own_scratch());
    plan->arrange = dnnl::reorder(arrange);
    plan->arrange_scratch = arrange.scratchpad_desc();
  }
  return plan;
}

// Plans are made once and never thrown away; a program has as many as it has different convolutions.
const Plan& plan_for(Pass pass, const Operands& operands, Integers strides, Integers padding, Integers dilation,
                     int64_t groups, int64_t threads) {
  static std::mutex mutex;
  static auto* plans = new std::unordered_map<std::string, std::unique_ptr<Plan>>();
  Key key{static_cast<int64_t>(pass),
          static_cast<int64_t>(operands.type),
          static_cast<int64_t>(operands.kernel_type),
          operands.factor != nullptr,
          operands.bias != nullptr,
          operands.residual != nullptr,
          operands.relu,
          groups,
          threads};
  for (auto numbers : {operands.x, operands.kernel, operands.y, strides, padding, dilation}) key.add(numbers);
  std::lock_guard<std::mutex> lock(mutex);
  auto& plan = (*plans)[key.bytes()];
  if (!plan) plan = make_plan(pass, operands, Geometry(strides, padding, dilation, groups));
  return *plan;
}

void run(Pass pass, const Operands& operands, const Plan& plan) {
  size_t scratch_bytes = std::max(plan.scratch.get_size(), plan.arranged ? plan.arrange_scratch.get_size() : 0);
  Scratch scratch(scratch_bytes), kernel_memory(plan.arranged ? plan.kernel.get_size() : 0);
  memory x(plan.x, cpu(), operands.x_data), y(plan.y, cpu(), operands.y_data);
  memory hwio(plan.kernel_hwio, cpu(), operands.kernel_data);
  memory kernel(plan.kernel, cpu(), plan.arranged ? kernel_memory.data() : operands.kernel_data);
  memory scratchpad(plan.scratch, cpu(), scratch.data());
  auto arrange = [&](memory& from, memory& to) {
    memory space(plan.arrange_scratch, cpu(), scratch.data());
    plan.arrange.execute(stream(), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}, {DNNL_ARG_SCRATCHPAD, space}});
  };

  std::unordered_map<int, memory> arguments{{DNNL_ARG_SCRATCHPAD, scratchpad}};
  if (pass == Pass::kForward) {
    arguments.insert({{DNNL_ARG_SRC, x}, {DNNL_ARG_WEIGHTS, kernel}, {DNNL_ARG_DST, y}});
    static float below_zero = 0;
    int count = 0;
    auto follow = [&](int as, const memory::desc& description, void* data) {
      if (data) arguments.insert({DNNL_ARG_ATTR_MULTIPLE_POST_OP(count++) | as, memory(description, cpu(), data)});
    };
    follow(DNNL_ARG_SRC_1, plan.vector, operands.factor);
    follow(DNNL_ARG_SRC_1, plan.vector, operands.bias);
    follow(DNNL_ARG_SRC_1, plan.y, operands.residual);
    follow(DNNL_ARG_WEIGHTS, memory::desc({1, 1, 1, 1}, Type::f32, Tag::nhwc), operands.relu ? &below_zero : nullptr);
  } else if (pass == Pass::kInputGradient) {
    arguments.insert({{DNNL_ARG_DIFF_SRC, x}, {DNNL_ARG_WEIGHTS, kernel}, {DNNL_ARG_DIFF_DST, y}});
  } else {
    arguments.insert({{DNNL_ARG_SRC, x}, {DNNL_ARG_DIFF_WEIGHTS, kernel}, {DNNL_ARG_DIFF_DST, y}});
  }
  if (plan.arranged && pass != Pass::kKernelGradient) arrange(hwio, kernel);
  plan.run.execute(stream(), arguments);
  if (plan.arranged && pass == Pass::kKernelGradient) arrange(kernel, hwio);
  stream().wait();
}

ffi::Error convolve(Pass pass, const Operands& operands, Integers strides, Integers padding, Integers dilation,
                    int64_t groups, int64_t threads) {
  return guarded("convolution", [&] {
    Turn turn(threads);
    run(pass, operands, plan_for(pass, operands, strides, padding, dilation, groups, threads));
  });
}

ffi::Error Forward(Buffer x, Buffer kernel, Buffer factor, Buffer bias, Buffer residual, Result y, Integers strides,
                   Integers padding, Integers dilation, int64_t groups, bool relu, int64_t threads) {
  Operands operands{x.dimensions(),
                    kernel.dimensions(),
                    y->dimensions(),
                    type_of(x.element_type()),
                    type_of(kernel.element_type()),
                    x.untyped_data(),
                    kernel.untyped_data(),
                    y->untyped_data(),
                    given<void>(factor),
                    given<void>(bias),
                    given<void>(residual),
                    relu};
  return convolve(Pass::kForward, operands, strides, padding, dilation, groups, threads);
}

ffi::Error InputGradient(Buffer dy, Buffer kernel, Result dx, Integers strides, Integers padding, Integers dilation,
                         int64_t groups, int64_t threads) {
  Operands operands{dx->dimensions(),
                    kernel.dimensions(),
                    dy.dimensions(),
                    type_of(dy.element_type()),
                    type_of(kernel.element_type()),
                    dx->untyped_data(),
                    kernel.untyped_data(),
                    dy.untyped_data()};
  return convolve(Pass::kInputGradient, operands, strides, padding, dilation, groups, threads);
}

ffi::Error KernelGradient(Buffer x, Buffer dy, Result dkernel, Integers strides, Integers padding, Integers dilation,
                          int64_t groups, int64_t threads) {
  Operands operands{x.dimensions(),
                    dkernel->dimensions(),
                    dy.dimensions(),
                    type_of(x.element_type()),
                    type_of(dkernel->element_type()),
                    x.untyped_data(),
                    dkernel->untyped_data(),
                    dy.untyped_data()};
  return convolve(Pass::kKernelGradient, operands, strides, padding, dilation, groups, threads);
}

}  // namespace

#define GEOMETRY Attr<Integers>("strides").Attr<Integers>("padding").Attr<Integers>("dilation").Attr<int64_t>("groups")

XLA_FFI_DEFINE_HANDLER_SYMBOL(convolution_forward, Forward,
                              ffi::Ffi::Bind()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Arg<Buffer>()
                                  .Ret<Buffer>()
                                  .GEOMETRY.Attr<bool>("relu")
                                  .Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    convolution_input_gradient, InputGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().GEOMETRY.Attr<int64_t>("threads"));
XLA_FFI_DEFINE_HANDLER_SYMBOL(
    convolution_kernel_gradient, KernelGradient,
    ffi::Ffi::Bind().Arg<Buffer>().Arg<Buffer>().Ret<Buffer>().GEOMETRY.Attr<int64_t>("threads"));

}  // namespace convnets
