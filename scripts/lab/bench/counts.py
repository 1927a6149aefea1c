# SPDX-License-Identifier: GPL-2.0
"""What bench/tcg-count wrote, by phase, and by function where asked."""

from __future__ import annotations

import bisect
import re
from dataclasses import dataclass, field
from pathlib import Path

_PHASE = re.compile(r"phase (\d+) guest (\d+) host (\d+)")


@dataclass
class Phase:
    """Executed instructions."""

    guest: int
    host: int
    inclusive: int = 0  # the module and what it called
    exclusive: int = 0  # the module alone
    blocks: list[tuple[int, int, int]] = field(default_factory=list)  # address, inclusive, total


def read(path: Path) -> dict[int, Phase]:
    """All phases of a run, by number."""
    phases: dict[int, Phase] = {}
    current = None
    for line in path.read_text().splitlines():
        if match := _PHASE.fullmatch(line):
            number, guest, host = map(int, match.groups())
            current = phases[number] = Phase(guest, host)
        elif current:
            address, inclusive, exclusive, total = line.split()
            current.inclusive += int(inclusive)
            current.exclusive += int(exclusive)
            current.blocks.append((int(address, 16), int(inclusive), int(total)))
    return phases


class Symbols:
    """The functions of a kernel, as its /proc/kallsyms lists them."""

    def __init__(self, text: str) -> None:
        found = []
        for line in text.splitlines():
            words = line.split()
            if len(words) >= 3 and words[1] in "tTwW":
                module = words[3] if len(words) > 3 else ""
                found.append((int(words[0], 16), f"{words[2]} {module}".strip()))
        found.sort()
        self._addresses = [address for address, _ in found]
        self._names = [name for _, name in found]

    def name(self, address: int) -> str:
        """The function that an address is in."""
        index = bisect.bisect_right(self._addresses, address) - 1
        return self._names[index] if index >= 0 else "user space"


def by_function(less: Phase, more: Phase, operations: int, symbols: Symbols) -> dict[str, float]:
    """Instructions an operation inside of the module's calls, by function."""
    totals: dict[str, float] = {}
    for phase, sign in ((more, 1), (less, -1)):
        for address, inclusive, _ in phase.blocks:
            if inclusive:
                name = symbols.name(address)
                totals[name] = totals.get(name, 0) + sign * inclusive / operations
    return dict(sorted(totals.items(), key=lambda item: -item[1]))


def of_function(less: Phase, more: Phase, operations: int, symbols: Symbols, name: str) -> float:
    """Instructions an operation in a function, whoever calls it."""
    return sum(sign * total for phase, sign in ((more, 1), (less, -1))
               for address, _, total in phase.blocks
               if symbols.name(address) == name) / operations


def write_profile(path: Path, profile: dict[str, float]) -> None:
    """Leaves one for who wants to know more."""
    lines = [f"{value:10.2f}  {name}" for name, value in profile.items() if abs(value) >= 0.05]
    path.write_text("\n".join(lines) + "\n")
