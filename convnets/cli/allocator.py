"""Memory that stays with the process, so that each step finds the pages that the one before it used."""

import ctypes
import platform

# Options of glibc's mallopt, from its malloc.h.
M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
M_ARENA_MAX = -8

LARGEST_INT = 2**31 - 1


def keep_memory() -> bool:
    """Has freed memory stay with this process, where the C library is glibc; elsewhere nothing changes.

    On CPU a training step takes buffers of hundreds of megabytes and frees them at its end. By default glibc hands them
    back to the system, and the next step pays for fresh pages, which the system has to fault in and to clear: 5 to 30 %
    of a step. So large buffers come from the heap instead of mappings of their own, the heap is not trimmed, and all
    threads share the one heap for which that holds (those of other threads are unmapped as soon as they are empty).

    The cost: what the process needed at its peak is never there for other programs while it runs, and threads that
    allocate at the same moment wait for each other, but for small blocks, of which each has some in store.

    It holds for what is allocated from now on, by all libraries of the process; call it before there are threads.

    Returns:
      Whether the C library took all of it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    options = {M_ARENA_MAX: 1, M_MMAP_MAX: 0, M_TRIM_THRESHOLD: LARGEST_INT}
    return all(mallopt(option, value) == 1 for option, value in options.items())
