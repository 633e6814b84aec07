"""Memory that stays with the process, seen from outside: its resident memory after large buffers were freed."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from convnets.cli.allocator import keep_memory

ROOT = Path(__file__).parents[2]

MEGABYTES_THAT_STAY = """
import ctypes, os, threading
from convnets.cli.allocator import keep_memory

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def use_and_free():
    buffers = [libc.malloc({megabytes} * 2**20) for _ in range({count})]
    for buffer in buffers:
        ctypes.memset(buffer, 1, {megabytes} * 2**20)
    for buffer in buffers:
        libc.free(buffer)

if {keep}:
    assert keep_memory()
worker = threading.Thread(target=use_and_free)
before = resident()
use_and_free() if {main} else (worker.start(), worker.join())
print(resident() - before)
"""


def megabytes_that_stay(*, keep: bool, main: bool, megabytes: int, count: int) -> float:
    """Of `count` buffers of so many megabytes that the main thread, or another, fills and frees."""
    script = MEGABYTES_THAT_STAY.format(keep=keep, main=main, megabytes=megabytes, count=count)
    command = [sys.executable, "-c", script]
    return float(subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="the C library is not glibc")
@pytest.mark.parametrize(
    ("main", "megabytes", "count"),
    [(True, 200, 1), (False, 200, 1), (True, 20, 10), (False, 20, 10)],
    ids=["one-large", "one-large-of-a-thread", "several", "several-of-a-thread"],
)
def test_freed_buffers_stay_with_it_and_go_without(main, megabytes, count):
    assert megabytes_that_stay(keep=True, main=main, megabytes=megabytes, count=count) > 190
    assert megabytes_that_stay(keep=False, main=main, megabytes=megabytes, count=count) < 30


@pytest.mark.parametrize("library", [("", ""), ("musl", "1.2")])
def test_other_c_libraries_are_left_alone(monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr("ctypes.CDLL", None)
    assert keep_memory() is False


FAULTS_OF_A_CALL = """
import resource
from convnets.cli.runtime import prepare
from convnets.training.config import complete, default_config

config = default_config()
config.cpu.keep_memory = {keep}
prepare(complete(config), training=True)

import jax
import jax.numpy as jnp

# A buffer of 64 MB, and one of its sums for each call.
call = jax.jit(lambda x: jnp.cumsum(jnp.sin(x + jnp.arange(1 << 24, dtype=jnp.float32))).max())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call(jnp.float32(1)).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# The heap settles in some calls, and grows once in a while: the best of many.
print(min([faults() for _ in range(24)][1:]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="the C library is not glibc")
@pytest.mark.parametrize("keep", [True, False])
def test_a_compiled_call_finds_the_pages_of_the_call_before(keep):
    """JAX's threads keep to where their memory came from when they began: the allocator is asked before."""
    command = [sys.executable, "-c", FAULTS_OF_A_CALL.format(keep=keep)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    found = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, env=environment)
    pages = 64 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert int(found.stdout) < pages / 8 if keep else int(found.stdout) > pages / 2
