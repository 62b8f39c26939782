"""What glibc does with freed memory. By default it gives large blocks back to the kernel at once,
and each call of a network then pays for new pages, a fault for every four kilobytes."""

from __future__ import annotations

import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -3, -4, -8  # of malloc.h
BLOCK = 32 << 20  # bytes: the largest threshold for a block that glibc takes
KEPT = 64 << 20  # bytes that a page may keep


def keep_all_freed() -> None:
    """Keep all that is freed, for a process that trains: a step frees hundreds of megabytes, and
    takes as much."""
    set_malloc({MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1})


def keep_some_freed() -> None:
    """Keep KEPT bytes of what is freed, in two arenas, for a process that stays: a page does not
    grow with its visitors."""
    set_malloc({MMAP_THRESHOLD: BLOCK, TRIM_THRESHOLD: KEPT, ARENA_MAX: 2})


def set_malloc(values: dict[int, int]) -> None:
    """glibc's settings by number; where there is no glibc nothing happens."""
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return
    for name, value in values.items():
        mallopt(name, value)
