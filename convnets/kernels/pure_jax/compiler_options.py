"""What XLA's CPU compiler is to hand to YNNPACK, a library of kernels that comes with jaxlib.

By default it hands over products and convolutions. Its reductions were 4 to 60 times faster than XLA's own loops, but
its convolutions up to twice as slow as those of Eigen, which XLA has else, and their gradients by the kernel up to six
times (jaxlib 0.10.2, float32, two Zen 4 cores). Products are about the same in both, and YNNPACK is ahead with a
transposed matrix and few rows.
"""

from functools import cache

import jax

COMPILER_OPTIONS: dict[str, str | bool] = {
    "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE",
}
"""For one function: `jax.jit(function, compiler_options=COMPILER_OPTIONS)`; the outermost `jit` decides."""


@cache
def known_options() -> dict[str, str | bool]:
    """`COMPILER_OPTIONS` where this jaxlib's compiler takes them, else none."""
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options=COMPILER_OPTIONS)
    except jax.errors.JaxRuntimeError:
        return {}
    return COMPILER_OPTIONS
