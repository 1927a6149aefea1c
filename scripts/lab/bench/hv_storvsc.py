# SPDX-License-Identifier: GPL-2.0
"""Our hv_storvsc against its C twin, and our storvsp beside our virtio-scsi.

No VMM but ours and Hyper-V has such a controller, so all is counted nested: what
the guest executes for a request, how often it is left, and what level 1, which is
KVM and the VMM, executes meanwhile. The bus is the stock kernel's own.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ..guest import Parts
from ..report import Progress
from . import load, nested
from .rows import Row, row

MODULE = "hv_storvsc"
DRIVERS = ("rust", "c")
COUNT = 400
LATENCY_MS = 1
# Fields of counts.Phase by what they are of.
COUNTED = {"instr": "inclusive", "module_instr": "exclusive", "all_instr": "guest"}

Samples = dict[str, dict[str, list[float]]]


def run(parts: Parts, out: Path, plugin: Path, repeats: int, progress: Progress) -> list[Row]:
    """Measures everything."""
    guest: Samples = defaultdict(lambda: defaultdict(list))
    exits: Samples = defaultdict(lambda: defaultdict(list))
    rates: Samples = defaultdict(lambda: defaultdict(list))
    host: Samples = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for module, driver in (*((MODULE, driver) for driver in DRIVERS), ("virtio_scsi", "rust")):
            progress.say(f"{module}, {driver}, {repeat + 1} of {repeats}")
            seen = nested.load_on(parts, out, "hospes", driver, module, COUNT, plugin, LATENCY_MS)
            for pair in load.pairs(COUNT):
                if module == MODULE:
                    for name, field in COUNTED.items():
                        guest[f"{name}_per_{pair.name}"][driver].append(_slope(seen, pair, field))
                    exits[f"exits_per_{pair.name}"][driver].append(_exits(seen, pair))
                    rates[f"iops_{pair.name}"][driver].append(seen.iops[pair.long.number])
                if driver == "rust":
                    host[f"host_instr_per_{pair.name}"][module].append(_slope(seen, pair, "host"))
    return [*_rows(guest, "instructions"), *_rows(exits, "VM exits"),
            *_rows(rates, "requests/s"),
            *(row(metric, "instructions", both[MODULE], both["virtio_scsi"], "virtio_scsi")
              for metric, both in host.items())]


def _rows(samples: Samples, unit: str) -> list[Row]:
    kinds = (*COUNTED, "exits", "iops")
    rank = lambda metric: next(i for i, kind in enumerate(kinds) if metric.startswith(kind))
    return [row(metric, unit, both["rust"], both["c"], "C twin")
            for metric, both in sorted(samples.items(), key=lambda item: (rank(item[0]), item[0]))]


def _slope(seen: nested.Load, pair: load.Pair, field: str) -> float:
    less, more = (getattr(seen.phases[one.number], field) for one in (pair.short, pair.long))
    return (more - less) / pair.requests


def _exits(seen: nested.Load, pair: load.Pair) -> float:
    return (seen.exits[pair.long.number] - seen.exits[pair.short.number]) / pair.requests
