"""Runs every kernel under AddressSanitizer: `python tests/kernels/sanitize.py` from the repository's root.

The kernels are compiled once more, with checks around every access to memory, and called on maps of awkward shapes.
Each argument and result is a block of memory of its own there, so that a read or write beside it is seen. The first one
ends the program with a report and a status other than 0. What oneDNN compiles while it runs is checked for what it
writes behind its scratch memory alone.
"""

import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
# Masked loads and stores, which only AVX-512 has, are not checked: loops over single numbers stand in for them.
FLAGS = (
    "-march=x86-64-v3 -O0 -g -fno-omit-frame-pointer "
    "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-sanitize=vptr -DCONVNETS_GUARD_SCRATCH"
)
INSIDE = "CONVNETS_KERNELS_SANITIZED"

MAPS = [(1, 1, 1), (5, 4, 3), (5, 4, 17), (13, 11, 16)]
TYPES = ["float32", "bfloat16"]


def main() -> int:
    """Starts this file again in a process that has the sanitizer's library from its beginning."""
    compiler = os.environ.get("CXX", "g++")
    # The sanitizer looks for what throws C++ exceptions when it is loaded: the library that does comes with it.
    runtimes = [
        subprocess.run(
            [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    environment = os.environ | {
        INSIDE: "1",
        "LD_PRELOAD": " ".join(runtimes),
        "ASAN_OPTIONS": "detect_leaks=0:halt_on_error=1:" + os.environ.get("ASAN_OPTIONS", ""),
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "CONVNETS_KERNELS": "onednn",
        "CONVNETS_KERNELS_FLAGS": f"{os.environ.get('CONVNETS_KERNELS_FLAGS', '')} {FLAGS}",
        "JAX_PLATFORMS": "cpu",
        # More threads than cores, so that parts are split on any machine; each row a part at the least.
        "OMP_NUM_THREADS": "3",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    # Compiled before, as the compiler is much slower under the sanitizer.
    compiled = "from convnets.kernels.build import compiled_library; compiled_library()"
    without = environment | {"LD_PRELOAD": ""}
    subprocess.run([sys.executable, "-c", compiled], env=without, check=True)
    return subprocess.run([sys.executable, str(Path(__file__).resolve())], env=environment, check=False).returncode


def run_all() -> None:
    import jax
    import jax.numpy as jnp
    import numpy as np

    from convnets.kernels import convolutions, library, norms, pools, products
    from convnets.kernels.derivatives import relu_gradient
    from convnets.layers.geometry import geometry

    library.load()
    counts: dict[str, int] = {}

    def array(shape: tuple[int, ...], dtype: str = "float32") -> Any:
        return jnp.asarray(np.random.default_rng(0).normal(size=shape), dtype)

    def run(name: str, function: Any, *arrays: Any) -> Any:
        """Compiled by itself: inside a larger program arguments lie side by side in one block."""
        results = jax.jit(function, compiler_options={"xla_backend_optimization_level": 0})(*arrays)
        jax.block_until_ready(results)
        counts[name] = counts.get(name, 0) + 1
        return results

    def batch_norms(shape: tuple[int, ...], dtype: str) -> None:
        x, features = array(shape, dtype), shape[-1:]
        mean, variance = run("batch_norm_moments", norms.moments, x)
        vectors = array(features), array(features)
        for relu, residual in ((False, None), (True, x)):
            y = run(
                "batch_norm_normalize",
                lambda *arrays: norms.normalize(*arrays, epsilon=1e-3, relu=relu),  # noqa: B023
                *(x, mean, variance, *vectors, residual),
            )
            run(
                "batch_norm_gradient_sums",
                lambda *arrays: norms.gradient_sums(*arrays, relu=relu),  # noqa: B023
                *(x, x, y, mean),
            )
            options = {"relu": relu, "residual": relu}
            run(
                "batch_norm_gradient",
                lambda *arrays: norms.gradient(*arrays, **options),  # noqa: B023
                *(x, x, y, mean, *vectors, mean),
            )
        run("relu_gradient", relu_gradient, x, x)
        run("local_response_norm", lambda x: norms.local_response_norm(x, 5, 2.0, 1e-4, None), x)
        run(
            "local_response_norm_gradient",
            partial(norms.local_response_norm_gradient, size=5, bias=2.0, alpha=1e-4),
            x,
            x,
        )

    def max_pools(shape: tuple[int, ...], dtype: str, size: int, stride: int, padding: Any) -> None:
        x = array(shape, dtype)
        y = run("max_pool", lambda x: pools.max_pool(x, size, stride, padding), x)
        _, index = run("max_pool (places)", lambda x: pools._pool_with_places(x, size, stride, padding), x)
        run(
            "max_pool_gradient",
            lambda y, index: pools._gradient(y, index, shape, size, stride, padding),
            *(y, index),
        )

    def convolve(shape: tuple[int, ...], kernel: Any, options: tuple[Any, ...], dtype: str, kernel_type: str) -> None:
        x, weights, where = array(shape, dtype), array(kernel, kernel_type), convolutions.Window(*geometry(*options))
        bias = array(kernel[-1:])

        def convolution(*arrays: Any, relu: bool = True) -> Any:
            return convolutions.convolution(*arrays, where, relu)

        y = run("convolution", partial(convolution, relu=False), x, weights, None, None, None)
        run("convolution", convolution, x, weights, bias, bias, y)
        run("convolution", convolution, x, weights, None, bias, None)
        run("convolution_input_gradient", lambda *a: convolutions.input_gradient(*a, where, shape), y, weights)
        result = jax.ShapeDtypeStruct(weights.shape, weights.dtype)
        run("convolution_kernel_gradient", lambda *a: convolutions.kernel_gradient(*a, where, result), x, y)

    def multiply(rows: int, inputs: int, features: int, dtype: str) -> None:
        x, kernel, y = array((rows, inputs), dtype), array((inputs, features), dtype), array((rows, features), dtype)
        product = products._product
        run("matrix_product", lambda *a: product(*a[:2], bias=a[2], relu=True), x, kernel, array((features,)))
        run("matrix_product", product, x, kernel)
        run("matrix_product", lambda *a: product(*a, transpose_b=True), y, kernel)
        run("matrix_product", lambda *a: product(*a, transpose_a=True, result=jnp.float32), x, y)

    for dtype in TYPES:
        for shape in MAPS:
            batch_norms((2, *shape), dtype)
        # More than one thread's part; more filters than a block of rows has room for.
        for shape in ((3, 29, 31, 33), (7, 8209), (50_001, 1), (1,)):
            batch_norms(shape, dtype)

        for sides, size, stride, padding in (
            ((1, 1), 1, 1, ((0, 0), (0, 0))),
            ((2, 7), 2, 2, ((0, 0), (0, 0))),
            ((5, 4), 3, 2, ((1, 1), (0, 2))),
            ((13, 11), 3, 5, ((2, 0), (1, 0))),
            ((13, 11), 7, 1, ((6, 6), (6, 6))),
            ((17, 16), 16, 3, ((0, 15), (0, 0))),
        ):
            for channels in (3, 17):
                max_pools((2, *sides, channels), dtype, size, stride, padding)
        max_pools((3, 29, 31, 33), dtype, 3, 2, ((1, 1), (1, 1)))

        convolutions.points = lambda *_: 0
        for shape, kernel, options in (
            ((1, 1, 1, 1), (1, 1, 1, 1), (1, 0, 1, 1)),
            ((2, 5, 4, 3), (1, 1, 3, 17), (2, 0, 1, 1)),
            ((2, 57, 56, 2), (1, 1, 2, 4), (2, 0, 1, 1)),
            ((2, 5, 7, 3), (3, 2, 3, 5), ((2, 1), ((2, 0), (0, 3)), 1, 1)),
            ((1, 9, 8, 6), (3, 3, 2, 9), (1, 1, 2, 3)),
            ((2, 6, 5, 16), (3, 3, 1, 16), (1, 1, 1, 16)),
            ((2, 13, 11, 17), (5, 5, 17, 16), (3, 2, 1, 1)),
            ((3, 29, 31, 16), (3, 3, 16, 33), (1, 1, 1, 1)),
        ):
            for kernel_type in {"float32", dtype}:
                convolve(shape, kernel, options, dtype, kernel_type)

        for points in (6, 9) if dtype == "bfloat16" else (6,):
            convolutions.points = lambda *_, points=points: points
            for shape, kernel, options in (
                ((1, 1, 1, 1), (3, 3, 1, 1), (1, 1, 1, 1)),
                ((2, 5, 17, 34), (5, 5, 17, 18), (1, ((0, 3), (2, 0)), 1, 2)),
                ((3, 7, 8, 130), (3, 3, 130, 150), (1, 2, 1, 1)),
                ((3, 61, 63, 16), (3, 3, 16, 33), (1, 1, 1, 1)),
            ):
                convolve(shape, kernel, options, dtype, "float32")

        for sizes in ((1, 1, 1), (3, 17, 5), (64, 1, 33), (130, 70, 1), (65, 300, 129)):
            multiply(*sizes, dtype)

    for name, count in counts.items():
        print(f"{name:30} {count:4} calls")


if __name__ == "__main__":
    start = time.monotonic()
    if os.environ.get(INSIDE):
        run_all()
    else:
        status = main()
        print(f"{'no report' if status == 0 else 'FAILED'} in {time.monotonic() - start:.0f} s")
        sys.exit(status != 0)
