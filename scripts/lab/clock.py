# SPDX-License-Identifier: GPL-2.0
"""What time is to level 1 and its guest.

An emulated machine executes a tenth of what a real one does in the same time, or
less if others use this machine. A guest whose kernel is slow enough then does
nothing but serve its timer. Where time is counted in instructions that cannot
happen, and nothing that it does depends on how busy this machine is.
"""

from __future__ import annotations

from dataclasses import dataclass

from . import cpu


@dataclass(frozen=True)
class Clock:
    """A machine's clock."""

    counted: bool  # of instructions, 2 ns each, instead of this machine's

    def tsc_khz(self) -> int:
        """Every level sees level 1's counter; counted time is one of nanoseconds."""
        return 1_000_000 if self.counted else cpu.tsc_khz()

    def machine(self, words: list[str]) -> list[str]:
        """QEMU's command line; only a single thread of emulation counts."""
        if not self.counted:
            return words
        return [*(word.replace("multi", "single") for word in words), "-icount", "shift=1"]


REAL, COUNTED = Clock(False), Clock(True)


def of_kernel(kernel: str) -> Clock:
    """Sanitizers make a kernel too slow for real time."""
    return COUNTED if kernel == "debug" else REAL
