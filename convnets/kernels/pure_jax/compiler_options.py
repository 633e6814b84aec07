"""What XLA's CPU compiler is to hand to YNNPACK, a library of kernels that comes with jaxlib.

By default it hands over products and convolutions. Its reductions were 4 to 60 times faster than XLA's own loops, but
its convolutions up to twice as slow as those of Eigen, which XLA has else, and their gradients by the kernel up to six
times (jaxlib 0.10.2, float32, two Zen 4 cores). Products are about the same in both, and YNNPACK is ahead with a
transposed matrix and few rows.
"""

NAME = "xla_cpu_experimental_ynn_fusion_type"
VALUE = "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"

COMPILER_OPTIONS = {NAME: VALUE}
"""For one function: `jax.jit(function, compiler_options=COMPILER_OPTIONS)`; the outermost `jit` decides."""

XLA_FLAGS = f"--{NAME}={VALUE}"
"""For the whole process: a part of the environment variable of that name, before JAX first compiles."""
