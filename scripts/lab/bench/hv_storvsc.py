# SPDX-License-Identifier: GPL-2.0
"""Our hv_storvsc and hv_vmbus against their C twins, and our storvsp beside our
virtio-scsi.

No VMM but ours and Hyper-V has such a controller, so all is counted nested: what
driver and bus execute for a request, how often the guest is left, and what level 1,
which is KVM and the VMM, executes meanwhile. Time is real there: what a guest
executes beside its driver depends on how slow the machine is.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from ..guest import Parts
from ..report import Progress
from . import counts, guests, load, nested
from .rows import Row, row

# So many that a few interrupts more or less, which come as time has it, change little.
COUNT = 1200
# In the lab kernel, where the bus is a module.
REFERENCE = guests.Subject("hv_storvsc", "c", "lab", "c")
SUBJECTS = tuple(guests.Subject("hv_storvsc", driver, "lab", bus)
                 for driver, bus in (("rust", "rust"), ("rust", "c"), ("c", "rust")))
# The other controller of ours.
BESIDE = guests.Subject("virtio_scsi", "rust", "lab")
# Fields of counts.Phase by what they are of.
COUNTED = {"instr": "inclusive", "module_instr": "exclusive", "host_instr": "host"}
# Counters of a channel by what they are of: requests and answers that the other side was told of.
TOLD = {"signals": "kicks", "interrupts": "signals"}
UNITS = {"exits": "VM exits", "iops": "requests/s", "signals": "signals",
         "interrupts": "interrupts"}

Samples = dict[str, dict[str, list[float]]]


def run(parts: Parts, out: Path, plugin: Path, repeats: int, progress: Progress) -> list[Row]:
    """Measures everything."""
    samples: Samples = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for subject in (REFERENCE, *SUBJECTS, BESIDE):
            progress.say(f"{subject.module}, {subject}, {repeat + 1} of {repeats}")
            seen = nested.load_on(parts, out, "hospes", subject, COUNT, plugin)
            _write_profiles(out, subject, seen)
            for metric, value in _figures(seen):
                samples[metric][f"{subject.module} {subject}"].append(value)
    return [one for metric, found in sorted(samples.items(), key=_rank)
            for one in _rows(metric, found)]


def _write_profiles(out: Path, subject: guests.Subject, seen: nested.Load) -> None:
    for pair in load.pairs(COUNT):
        less, more = (seen.phases[one.number] for one in (pair.short, pair.long))
        profile = counts.by_function(less, more, pair.requests, seen.symbols)
        counts.write_profile(out / f"{subject.module}-{subject}-{pair.name}.txt", profile)


def _figures(seen: nested.Load):
    """What is read off a run, by metric."""
    for pair in load.pairs(COUNT):
        slope = lambda of: (of(pair.long.number) - of(pair.short.number)) / pair.requests
        for metric, name in COUNTED.items():
            yield (f"{metric}_per_{pair.name}",
                   slope(lambda number: getattr(seen.phases[number], name)))
        yield f"exits_per_{pair.name}", slope(seen.exits.__getitem__)
        yield f"iops_{pair.name}", seen.iops[pair.long.number]
    for channel in _channels(seen):
        for metric, counter in TOLD.items():
            yield f"{metric}_per_request", channel[counter] / channel["commands"]


def _channels(seen: nested.Load) -> list[dict[str, int]]:
    devices = seen.counters.get("vmbus", {}).get("devices", {})
    return [channel for device in devices.values() for channel in device["channels"]]


def _rows(metric: str, found: dict[str, list[float]]):
    """Each of ours beside the twins, and what the host does beside virtio."""
    unit = UNITS.get(metric.split("_")[0], "instructions")
    reference = found[f"{REFERENCE.module} {REFERENCE}"]
    if metric.startswith("host"):
        ours = found[f"{SUBJECTS[0].module} {SUBJECTS[0]}"]
        yield row(metric, unit, ours, found[f"{BESIDE.module} {BESIDE}"], "virtio_scsi")
        return
    for subject in SUBJECTS:
        ours = found[f"{subject.module} {subject}"]
        yield row(f"{metric}_{subject}", unit, ours, reference, "c_on_c")


def _rank(item: tuple[str, dict[str, list[float]]]) -> tuple[int, str]:
    metric = item[0]
    kinds = (*COUNTED, *UNITS)
    return next(place for place, kind in enumerate(kinds) if metric.startswith(kind)), metric
