"""Memory that stays with the process, seen from outside: resident memory and page faults after buffers were freed."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from convnets.cli.runtime import keep_memory

ROOT = Path(__file__).parents[2]

MEASURED = """
import ctypes, json, os, resource, threading
from convnets.cli.runtime import prepare
from convnets.training.config import complete, default_config

config = default_config()
config.cpu.keep_memory = {keep}
prepare(complete(config), training=True)

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

def use_and_free(megabytes, count):
    buffers = [libc.malloc(megabytes * 2**20) for _ in range(count)]
    for buffer in buffers:
        ctypes.memset(buffer, 1, megabytes * 2**20)
    for buffer in buffers:
        libc.free(buffer)

stays = []
# Each case needs more than the one before left.
for in_thread, megabytes, count in [(False, 100, 1), (True, 200, 1), (False, 30, 10), (True, 40, 10)]:
    before = resident()
    worker = threading.Thread(target=use_and_free, args=(megabytes, count))
    (worker.start(), worker.join()) if in_thread else use_and_free(megabytes, count)
    stays.append(resident() - before)

import jax
import jax.numpy as jnp

# A buffer of 64 MB, and one of its sums for each call.
call = jax.jit(lambda x: jnp.cumsum(jnp.sin(x + jnp.arange(1 << 24, dtype=jnp.float32))).max())
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    call(jnp.float32(1)).block_until_ready()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
# The heap settles in some calls, and grows once in a while: the best of many.
print(json.dumps([stays, min([faults() for _ in range(12)][1:])]))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="the C library is not glibc")
@pytest.mark.parametrize("keep", [True, False])
def test_freed_memory_stays_with_the_process_and_a_compiled_call_finds_its_pages_again(keep):
    """JAX's threads keep to where their memory came from when they began: the allocator is asked before."""
    command = [sys.executable, "-c", MEASURED.format(keep=keep)]
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    said = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE, env=environment).stdout
    stays, faults = json.loads(said)
    pages = 64 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    if keep:
        assert all(megabytes > 90 for megabytes in stays), stays
        assert faults < pages / 8
    else:
        assert all(megabytes < 30 for megabytes in stays), stays
        assert faults > pages / 2


@pytest.mark.parametrize("library", [("", ""), ("musl", "1.2")])
def test_other_c_libraries_are_left_alone(monkeypatch, library):
    monkeypatch.setattr(platform, "libc_ver", lambda: library)
    monkeypatch.setattr("ctypes.CDLL", None)
    assert keep_memory() is False
