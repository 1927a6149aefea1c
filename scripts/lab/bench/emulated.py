# SPDX-License-Identifier: GPL-2.0
"""Our driver against its C twin, for a controller that QEMU has as well.

Instructions are counted on QEMU's controller, in one emulated machine a driver
and repetition. Exits and requests a second come from our VMM under KVM.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from ..guest import Parts
from ..report import Progress
from ..vmm import qemu_base
from . import counts, guests, load, nested
from .rows import Row, row

DRIVERS = ("rust", "c")
COUNT = 1500
NESTED_COUNT = 400
LIMIT = 900
# The guest's time is that of its instructions, 2 ns each: else it would take as many more timer
# interrupts as the host is busy. Only a single thread of emulation counts.
COUNTED_TIME = ("-icount", "shift=1")
# Every request takes half a millisecond and no I/O of the host's. A faster disk answers
# sometimes while the guest still submits and sometimes once it waits, as the host's load
# has it, and the guest executes hundreds of instructions more for one than for the other.
SLOW_DISK = "driver=null-co,size=16M,latency-ns=500000,read-zeroes=on"


@dataclass(frozen=True)
class Controller:
    """A controller of QEMU's."""

    module: str
    device: str
    places: tuple[tuple[int, int], ...] = ((0, 0), (0, 1))  # target and LUN of the disks
    # What the kernel executes to notify the device, and when it interrupts: the same for
    # each time, so that these count the times.
    called: dict[str, str] = field(default_factory=dict)


VIRTIO_SCSI = Controller("virtio_scsi", "virtio-scsi-pci,id=s0,num_queues=1,disable-legacy=on",
                         called={"notify": "vp_notify", "interrupt": "vring_interrupt"})
# It is notified by a store of the driver's own, and its interrupt is the driver's.
PVSCSI = Controller("vmw_pvscsi", "pvscsi,id=s0", places=((0, 0), (1, 0)))


def instructions(controller: Controller, parts: Parts, out: Path, plugin: Path, repeats: int,
                 progress: Progress) -> list[Row]:
    """What the guest executes for a request."""
    samples: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for driver in DRIVERS:
            progress.say(f"instructions, {driver}, {repeat + 1} of {repeats}")
            phases, symbols = _count(controller, parts, out, plugin, driver)
            for pair in load.pairs(COUNT):
                less, more = phases[pair.short.number], phases[pair.long.number]
                slope = lambda key: (getattr(more, key) - getattr(less, key)) / pair.requests
                samples[f"instr_per_{pair.name}"][driver].append(slope("inclusive"))
                samples[f"module_instr_per_{pair.name}"][driver].append(slope("exclusive"))
                samples[f"all_instr_per_{pair.name}"][driver].append(slope("host"))
                for metric, function in controller.called.items():
                    samples[f"{metric}_instr_per_{pair.name}"][driver].append(
                        counts.of_function(less, more, pair.requests, symbols, function))
                profile = counts.by_function(less, more, pair.requests, symbols)
                counts.write_profile(out / f"{driver}-{pair.name}.txt", profile)
    return [row(metric, "instructions", both["rust"], both["c"], "C twin")
            for metric, both in sorted(samples.items(), key=lambda item: _rank(item[0]))]


def _rank(metric: str) -> tuple[int, str]:
    """What the module costs with all it calls comes first."""
    return ("instr", "module", "all", "notify", "interrupt").index(metric.split("_")[0]), metric


def _count(controller: Controller, parts: Parts, out: Path, plugin: Path,
           driver: str) -> tuple[dict[int, counts.Phase], counts.Symbols]:
    """One machine."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        scratch = Path(directory)
        subject = guests.Subject(controller.module, driver)
        (scratch / "initrd").write_bytes(guests.loaded(parts, subject, COUNT, symbols=True))
        listing = guests.disk(scratch / "symbols", 32)
        words = [word.replace("multi", "single") for word in qemu_base(1, 512, "tcg")] + [
            *COUNTED_TIME,
            "-kernel", str(parts.image("stock")), "-initrd", str(scratch / "initrd"),
            "-append", guests.COMMAND_LINE, "-serial", f"file:{out}/console-{driver}",
            "-plugin", f"file={plugin},out={scratch}/counts", "-device", controller.device]
        drives = (SLOW_DISK, f"format=raw,file={listing}")
        for number, (drive, (target, lun)) in enumerate(zip(drives, controller.places)):
            words += ["-drive", f"if=none,id=d{number},{drive}",
                      "-device", f"scsi-hd,bus=s0.0,drive=d{number},scsi-id={target},lun={lun}"]
        subprocess.run(words, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
        symbols = counts.Symbols(listing.read_bytes().rstrip(b"\0").decode(errors="replace"))
        return counts.read(scratch / "counts"), symbols


def exits(controller: Controller, parts: Parts, out: Path, _plugin: Path, repeats: int,
          progress: Progress) -> list[Row]:
    """How often the guest is left for a request, and how many requests come a second."""
    leaves: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    rates: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for repeat in range(repeats):
        for driver in DRIVERS:
            progress.say(f"exits, {driver}, {repeat + 1} of {repeats}")
            subject = guests.Subject(controller.module, driver)
            seen = nested.load_on(parts, out, "hospes", subject, NESTED_COUNT)
            for pair in load.pairs(NESTED_COUNT):
                less, more = seen.exits[pair.short.number], seen.exits[pair.long.number]
                leaves[f"exits_per_{pair.name}"][driver].append((more - less) / pair.requests)
                rates[f"iops_{pair.name}"][driver].append(seen.iops[pair.long.number])
    return [*(row(metric, "VM exits", both["rust"], both["c"], "C twin")
              for metric, both in leaves.items()),
            *(row(metric, "requests/s", both["rust"], both["c"], "C twin")
              for metric, both in rates.items())]
