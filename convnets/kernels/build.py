"""Compiles the kernels' C++ with the machine's compiler, once, into the user's cache.

oneDNN comes from PyPI (`onednn-devel-cpu-gomp`: oneDNN 3.2 on GNU's OpenMP), whose C interface keeps its promises
within version 3. The interface between XLA and the kernels is that of the headers that jaxlib ships, checked by XLA
when a kernel is registered. What is compiled is valid for one processor, compiler, oneDNN and jaxlib, and its name in
the cache says which.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import jax
import jaxlib

from convnets.files import cache_folder

SOURCE = Path(__file__).parent / "source"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-fopenmp", "-fPIC")
FLAGS_VARIABLE = "CONVNETS_KERNELS_FLAGS"
"""Environment variable with more flags for the compiler, such as `-fsanitize=address`."""


class Unavailable(Exception):
    """Why the kernels can't be had on this machine, in a few words."""


class OneDNN(NamedTuple):
    """Where oneDNN is installed."""

    version: str
    headers: Path
    library: Path


def find_onednn() -> OneDNN:
    """oneDNN as pip installed it.

    Raises:
      Unavailable: it is not installed.
    """
    try:
        version = metadata.version("onednn-devel-cpu-gomp")
        headers = _installed("onednn-devel-cpu-gomp", "include/oneapi/dnnl/dnnl.hpp").parents[2]
        return OneDNN(version, headers, _installed("onednn-cpu-gomp", "libdnnl.so.3"))
    except metadata.PackageNotFoundError as error:
        raise Unavailable(f"the package {error.name} is not installed (pip install -r requirements-cpu.txt)") from None


def _installed(package: str, ending: str) -> Path:
    for file in metadata.files(package) or ():
        if str(file).endswith(ending) and Path(str(file.locate())).is_file():
            return Path(str(file.locate())).resolve()
    raise Unavailable(f"the package {package} has no {ending}")


def compiled_library() -> Path:
    """The shared library with the kernels, compiled if this machine has not done so before.

    Raises:
      Unavailable: no compiler, no oneDNN, or the compiler's first complaint.
    """
    if sys.platform != "linux" or os.uname().machine != "x86_64":
        raise Unavailable("they are for Linux on x86-64")
    onednn = find_onednn()
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise Unavailable("there is no C++ compiler (apt-get install g++)")
    flags = [*FLAGS, *os.environ.get(FLAGS_VARIABLE, "").split()]
    folder = cache_folder("kernels")
    library = folder / f"kernels-{_fingerprint(compiler, flags, onednn)}.so"
    if library.exists():
        return library
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Processes that start together wait for the first instead of compiling besides.
        with open(folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not library.exists():
                print("compiling the CPU kernels, once on this machine (under a minute) ...", file=sys.stderr)
                _compile(compiler, flags, onednn, library)
    except OSError as error:
        raise Unavailable(f"{error.filename or folder} can't be written: {error.strerror}") from None
    return library


def _fingerprint(compiler: str, flags: Sequence[str], onednn: OneDNN) -> str:
    """Of all that decides what comes out of the compiler, and where it runs."""
    version = subprocess.run([compiler, "--version"], check=False, capture_output=True, text=True).stdout
    processor = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    parts = [compiler, version, processor, *flags, *map(str, onednn), jax.__version__, jaxlib.__version__]
    parts += [file.name + file.read_text() for file in sorted((*SOURCE.glob("*.cc"), *SOURCE.glob("*.h")))]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _compile(compiler: str, flags: Sequence[str], onednn: OneDNN, library: Path) -> None:
    headers = ["-isystem", jax.ffi.include_dir(), "-isystem", str(onednn.headers)]
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        sources = sorted(SOURCE.glob("*.cc"))
        objects = [Path(folder) / f"{source.stem}.o" for source in sources]
        whole = Path(folder) / library.name
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            commands = [
                [compiler, *flags, *headers, "-c", str(source), "-o", str(target)]
                for source, target in zip(sources, objects, strict=True)
            ]
            list(pool.map(_run, commands))
        link = [*map(str, objects), str(onednn.library), f"-Wl,-rpath,{onednn.library.parent}", "-o", str(whole)]
        _run([compiler, "-shared", *flags, *link])
        os.replace(whole, library)


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        complaint = next((line for line in done.stderr.splitlines() if "error" in line), done.stderr.strip())
        raise Unavailable(f"the compiler failed: {complaint}")
