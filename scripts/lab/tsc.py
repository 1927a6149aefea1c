# SPDX-License-Identifier: GPL-2.0
"""The rate of this machine's time stamp counter, measured against the clock.

QEMU's emulation passes the host's counter through, and a kernel inside cannot
calibrate it reliably; so it is told.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import time

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
_READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")


@functools.cache
def khz(seconds: float = 0.5) -> int:
    """Counter steps per millisecond."""
    code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(_READ)
    address = ctypes.addressof(ctypes.c_char.from_buffer(code))
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
    before, counter = _together(read)
    time.sleep(seconds)
    after, end = _together(read)
    return round((end - counter) * 1_000_000 / (after - before))


def _together(read) -> tuple[int, int]:
    """Clock (ns) and counter at one moment: the closest of several pairs."""
    pairs = []
    for _ in range(50):
        start = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        counter = read()
        end = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
        pairs.append((end - start, (start + end) // 2, counter))
    _, clock, counter = min(pairs)
    return clock, counter
