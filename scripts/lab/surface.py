# SPDX-License-Identifier: GPL-2.0
"""Compares what our driver and its C twin show to the outside.

Cases print lines `  # surface GROUP: KEY = VALUE`. Two runs of a case that
differ in nothing but the driver must have printed the same ones.
"""

from __future__ import annotations

from dataclasses import replace

from .report import Verdict

_PREFIX = "  # surface "


def compare(verdicts: list[Verdict]) -> list[Verdict]:
    """One verdict for each pair of machines that both ran a listing case."""
    listings = {
        (one.name, one.machine): _listing(one)
        for one in verdicts
        if one.machine and one.ok and _listing(one)
    }
    results = []
    for (name, machine), ours in listings.items():
        twin = listings.get((name, replace(machine, driver="c")))
        if machine.driver == "rust" and twin is not None:
            found = difference(ours, twin)
            results.append(Verdict(f"{name}, same as the C twin's", not found,
                                   "; ".join(found), replace(machine, driver="rust")))
    return results


def difference(ours: list[str], twin: list[str]) -> list[str]:
    """Lines that only one side has."""
    only_ours = [f"only ours: {line}" for line in ours if line not in twin]
    only_twin = [f"only the twin's: {line}" for line in twin if line not in ours]
    return only_ours + only_twin


def _listing(verdict: Verdict) -> list[str]:
    lines = [line.removeprefix(_PREFIX) for line in verdict.lines if line.startswith(_PREFIX)]
    return sorted(lines)
