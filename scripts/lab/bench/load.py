# SPDX-License-Identifier: GPL-2.0
"""What a measured guest does: 4 KiB requests, phase by phase.

Every kind of load runs twice, the second time three times as long: what one
request costs is the difference, so that whatever happens once drops out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from . import marks

OPERATIONS = ("read", "write")
DEPTHS = (1, 32)


@dataclass(frozen=True)
class Load:
    """A phase."""

    number: int
    operation: str
    depth: int
    count: int

    @property
    def command(self) -> str:
        """For the guest's shell; $DISK is the disk."""
        flag = "--write " if self.operation == "write" else ""
        return f"ioload {flag}--count {self.count} --depth {self.depth} $DISK"


@dataclass(frozen=True)
class Pair:
    """The same load, short and long."""

    short: Load
    long: Load

    @property
    def name(self) -> str:
        return f"{self.short.operation}_4k_qd{self.short.depth}"

    @property
    def requests(self) -> int:
        """By how many the long one is longer."""
        return self.long.count - self.short.count


def pairs(count: int) -> Iterator[Pair]:
    """All loads; the short ones have so many requests."""
    number = 0
    for operation in OPERATIONS:
        for depth in DEPTHS:
            short = Load(number + 1, operation, depth, count)
            yield Pair(short, Load(number + 2, operation, depth, 3 * count))
            number += 2


def numbers(count: int) -> list[int]:
    """Those of all loads."""
    return [load.number for pair in pairs(count) for load in (pair.short, pair.long)]


def programs(phases: Iterable[int], sizes: dict[str, int]) -> dict[str, bytes]:
    """The marks that a guest needs for phases, by their names in it; `sizes` are of modules."""
    found = {f"mark{number}": marks.program(marks.PHASE, number) for number in phases}
    found["mark_end"] = marks.program(marks.END)
    # The guest puts the values of these in.
    found["mark_start"] = marks.program(marks.MODULE_START)
    found["mark_entry"] = marks.program(marks.ENTRY_START)
    found["mark_entry_end"] = marks.program(marks.ENTRY_END)
    for module, size in sizes.items():
        found[f"mark_size_{module}"] = marks.program(marks.MODULE_SIZE, size)
    return found


def script(count: int) -> str:
    """The phases, for the guest's shell."""
    # What the kernel still does after it has started is over by then.
    lines = ["sleep 3"]
    for pair in pairs(count):
        for load in (pair.short, pair.long):
            lines.append(f"phase {load.number} {load.command}")
    return "\n".join(lines) + "\n"
