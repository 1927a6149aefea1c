# SPDX-License-Identifier: GPL-2.0
"""Our VMM against QEMU: how soon a guest runs, what memory that takes beyond the
guest's own, and what the host executes for a request."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ..guest import Parts
from ..report import Progress
from . import guests, load, nested
from .rows import Row, row

COUNT = 300
REFERENCES = ("qemu-microvm", "qemu-q35")
# Fields of nested.Boot, and their units.
BOOT = {"start_to_init": "ms", "start_to_kernel": "ms", "memory_beyond_guest": "KiB"}


def run(parts: Parts, out: Path, plugin: Path, repeats: int, progress: Progress) -> list[Row]:
    """Measures everything."""
    return [*_boots(parts, out, repeats, progress),
            *requests("virtio_scsi", parts, out, plugin, repeats, progress)]


def _boots(parts: Parts, out: Path, repeats: int, progress: Progress) -> list[Row]:
    progress.say(f"boots of hospes and {', '.join(REFERENCES)}, {repeats} each")
    seen = nested.boots(parts, out, ("hospes", *REFERENCES), repeats)
    rows = []
    for name in REFERENCES:
        for metric, unit in BOOT.items():
            ours, theirs = ([getattr(boot, metric) for boot in seen[vmm]]
                            for vmm in ("hospes", name))
            rows.append(row(f"{metric}_vs_{name.removeprefix('qemu-')}", unit, ours, theirs, name))
    return rows


def requests(module: str, parts: Parts, out: Path, plugin: Path, repeats: int,
             progress: Progress) -> list[Row]:
    """What the host executes for a request of the kernel's own driver."""
    subject = guests.Subject(module, "c")
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for vmm in ("hospes", "qemu-q35"):
            progress.say(f"requests on {vmm}, {repeat + 1} of {repeats}")
            seen = nested.load_on(parts, out, vmm, subject, COUNT, plugin)
            for pair in load.pairs(COUNT):
                less, more = (seen.phases[one.number] for one in (pair.short, pair.long))
                cost = (more.host - less.host) / pair.requests
                samples[f"host_instr_per_{pair.name}"][vmm].append(cost)
    return [row(metric, "instructions", both["hospes"], both["qemu-q35"], "qemu-q35")
            for metric, both in samples.items()]
