# SPDX-License-Identifier: GPL-2.0
"""Our vmw_balloon against its C twin.

Only our VMM has such a port, so all is counted nested. The host sets a target, and the
guest gives or takes pages until its own counters say that it is there; a short way and
one three times as long, as with requests. By batches of pages of 2 MiB, and by batches
of 4 KiB from a host that knows no larger ones.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..guest import Parts
from ..report import Progress
from . import guests, nested
from .rows import Row, row

DRIVERS = ("rust", "c")
# The kernel counts pages of 4 KiB.
FRAMES_A_MIB = 256
# Fields of counts.Phase by what they are of.
COUNTED = {"instr": "inclusive", "module_instr": "exclusive", "host_instr": "host"}
UNITS = {"exits": "VM exits", "pages": "pages/s"}
# Kernel's counters by what they are of.
DIRECTIONS = {"give": "balloon_inflate", "take": "balloon_deflate"}


@dataclass(frozen=True)
class Size:
    """Pages of a size, from a host with the capabilities for them."""

    name: str
    frames: int  # pages of 4 KiB in one
    capabilities: str
    mib: int  # what the short way is

    @property
    def pages(self) -> int:
        """By how many the long way is longer."""
        return 2 * self.mib * FRAMES_A_MIB // self.frames


# So many that what a guest waits for at either end, a tenth of a second, is little beside.
SIZES = (Size("2m", 512, "all", 192),
         Size("4k", 1, "basic+batched+signalled+64-bit-target", 64))
GUEST_MIB = 1024


@dataclass(frozen=True)
class Phase:
    """One way."""

    number: int
    direction: str
    target: int  # MiB in the balloon at its end
    sum: int  # MiB that have gone in that direction since the guest began


def phases(size: Size) -> Iterator[Phase]:
    """All phases: the short way up and down, and the long one."""
    number = total = 0
    for mib in (size.mib, 3 * size.mib):
        total += mib
        for direction, target in (("give", mib), ("take", 0)):
            number += 1
            yield Phase(number, direction, target, total)


def run(parts: Parts, out: Path, plugin: Path, repeats: int, progress: Progress) -> list[Row]:
    """Measures everything."""
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for size in SIZES:
            for driver in DRIVERS:
                progress.say(f"pages of {size.name}, {driver}, {repeat + 1} of {repeats}")
                seen = _run(parts, out, plugin, size, driver)
                for metric, value in _figures(size, seen):
                    samples[metric][driver].append(value)
    return [row(metric, UNITS.get(metric.split("_")[0], "instructions"), both["rust"], both["c"],
                "C twin")
            for metric, both in sorted(samples.items(), key=lambda item: _rank(item[0]))]


def _run(parts: Parts, out: Path, plugin: Path, size: Size, driver: str) -> nested.Load:
    """One machine."""
    subject = guests.Subject("vmw_balloon", driver)
    steps = list(phases(size))
    initrd = guests.scripted(parts, subject, [step.number for step in steps], script(steps))
    targets = " ".join(f"{step.target}M" for step in steps)
    balloon = f"--personality vmware --balloon vmware,caps={size.capabilities}"
    words = nested.hospes(balloon, GUEST_MIB)
    log = out / f"load-hospes-vmw_balloon-{size.name}-{driver}"
    return nested.run(parts, log, subject, initrd, f"exec_balloon '{targets}' {words}\n", plugin)


def script(steps: list[Phase]) -> str:
    """The phases, for the guest's shell."""
    # What the kernel still does after it has started is over by then, and the driver has begun.
    lines = ["sleep 3"]
    lines += [f"awaited {step.number} {DIRECTIONS[step.direction]} {step.sum * FRAMES_A_MIB}"
              for step in steps]
    return "\n".join(lines) + "\n"


def _figures(size: Size, seen: nested.Load) -> Iterator[tuple[str, float]]:
    """What is read off a run, by metric."""
    by_direction = defaultdict(list)
    for step in phases(size):
        by_direction[step.direction].append(step.number)
    for direction, (short, long) in by_direction.items():
        name = f"{direction}_{size.name}"
        for metric, key in COUNTED.items():
            more, less = (getattr(seen.phases[number], key) for number in (long, short))
            yield f"{metric}_per_{name}", (more - less) / size.pages
        yield f"exits_per_{name}", (seen.exits[long] - seen.exits[short]) / size.pages
        # Of the long way alone: the guest looks ten times a second.
        yield f"pages_{name}", 1.5 * size.pages * 1000 / max(seen.ms[long], 1)


def _rank(metric: str) -> tuple[int, str]:
    kinds = (*COUNTED, *UNITS)
    return next(place for place, kind in enumerate(kinds) if metric.startswith(kind)), metric
