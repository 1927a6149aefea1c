# SPDX-License-Identifier: GPL-2.0
"""This machine's processor: whether it runs guests, and its counter's rate.

QEMU's emulation passes the host's time stamp counter through, and a kernel inside
cannot calibrate it reliably; so it is told the rate, measured against the clock.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import re
import time
from pathlib import Path

# rdtsc; shl $32, %rdx; or %rdx, %rax; ret
_READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")


@functools.cache
def runs_guests() -> bool:
    """Whether the processor runs guests (VMX or SVM).

    Asking /dev/kvm would not do: it can exist on a machine that cannot run an
    ordinary guest.
    """
    flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return bool(flags and {"vmx", "svm"} & set(flags[1].split()))


def path_to_kvm() -> str:
    """For reports."""
    return "direct" if runs_guests() else "nested"


@functools.cache
def tsc_khz(seconds: float = 0.5) -> int:
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
