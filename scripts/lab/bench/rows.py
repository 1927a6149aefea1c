# SPDX-License-Identifier: GPL-2.0
"""Results: ours beside a reference, of one run."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A line of a table. `ratio` is ours to the reference's, medians; `spread` is
    how far apart the repetitions of either are, as a share of the median."""

    metric: str
    unit: str
    ours: float
    reference: float
    reference_name: str
    ratio: float
    spread: float


def row(metric: str, unit: str, ours: list[float], reference: list[float], name: str) -> Row:
    """A row of repeated measurements."""
    mine, theirs = statistics.median(ours), statistics.median(reference)
    ratio = mine / theirs if theirs else float("nan")
    return Row(metric, unit, round(mine, 3), round(theirs, 3), name, round(ratio, 3),
               round(max(_spread(ours), _spread(reference)), 4))


def _spread(values: list[float]) -> float:
    middle = statistics.median(values)
    return (max(values) - min(values)) / middle if middle else 0.0


def write(path: Path, rows: list[Row]) -> None:
    """The file that others read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rows": [asdict(one) for one in rows]}, indent=1) + "\n")


def table(rows: list[Row]) -> str:
    """The rows for people, as a table of Markdown."""
    cells = [["metric", "unit", "ours", "reference", "ratio", "spread"]]
    for one in rows:
        cells.append([one.metric, one.unit, f"{one.ours:g}", f"{one.reference:g} ({one.reference_name})",
                      f"{one.ratio:.3f}", f"{100 * one.spread:.2f} %"])
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |"
             for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)
