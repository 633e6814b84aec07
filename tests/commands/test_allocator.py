"""Memory that stays with the process, seen from outside: its resident memory after large buffers were freed."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

from convnets.commands.allocator import keep_memory

ROOT = Path(__file__).parents[2]

MEGABYTES_THAT_STAY = """
import ctypes, os, threading
from convnets.commands.allocator import keep_memory

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
