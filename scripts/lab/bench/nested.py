# SPDX-License-Identifier: GPL-2.0
"""Guests of our VMM and of QEMU under KVM, in one environment.

Both run as a payload of level 1 (see scripts/lab/backend.py), which is always
emulated here, also where the processor has KVM: instructions can be counted only
there.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import backend, cpu, modules
from ..guest import Parts
from ..initramfs import Archive
from ..vmm import FIRMWARE_DIRECTORY, qemu_base
from . import counts, guests

LIMIT = 900
GUEST_MIB = 256
BEGIN = re.compile(r"^begin (\d+) exits=(\d+)")
END = re.compile(r"^end (\d+) exits=(\d+) (.*)")
VALUE = re.compile(r"(\w+)=([\d.]+)")
COUNTERS, SYMBOL = "counters: ", "symbol: "
UP = re.compile(r"^up (\S+) ms=(\d+) kernel_ms=(\d+) beyond_kib=(\d+)")


@dataclass(frozen=True)
class Controller:
    """What a driver's disks are on, in the words of either VMM."""

    hospes: str
    qemu: str = ""  # at its fastest; empty where it has none
    places: tuple[tuple[int, int], ...] = ((0, 0), (0, 1))  # target and LUN of the disks


_CONTROLLERS = {
    # A thread for the device, as it has one with us.
    "virtio_scsi": Controller(
        "--scsi virtio,id=s0,queues=1,max_target=1",
        "-object iothread,id=t0 -device virtio-scsi-pci,id=s0,num_queues=1,iothread=t0"),
    "vmw_pvscsi": Controller("--scsi pvscsi,id=s0,max_target=1", "-device pvscsi,id=s0",
                             ((0, 0), (1, 0))),
    "hv_storvsc": Controller("--personality hyperv --scsi vmbus,id=s0,channels=1"),
}
_DISKS = ("data", "other")


@dataclass
class Boot:
    """What was seen of a guest that boots."""

    start_to_init: float  # ms from process start to the guest's first process
    start_to_kernel: float  # ms of those before the guest's kernel has a clock
    memory_beyond_guest: float  # KiB of the process beyond the guest's memory


@dataclass
class Load:
    """What was seen of a guest under load, by phase."""

    exits: dict[int, int] = field(default_factory=dict)
    iops: dict[int, float] = field(default_factory=dict)
    ms: dict[int, float] = field(default_factory=dict)  # of phases that say how long they took
    phases: dict[int, counts.Phase] = field(default_factory=dict)
    counters: dict[str, Any] = field(default_factory=dict)  # our VMM's, of the whole run
    symbols: counts.Symbols = field(default_factory=lambda: counts.Symbols(""))  # the guest's


def load_on(parts: Parts, out: Path, vmm: str, subject: guests.Subject, count: int,
            plugin: Path | None = None) -> Load:
    """Runs the loads in a guest; with the plugin, counts what it and the host execute."""
    initrd = guests.loaded(parts, subject, count, symbols=plugin is not None)
    job = f"exec_load {vmm} {command(vmm, subject.module)}\n"
    return run(parts, out / f"load-{vmm}-{subject.module}-{subject}", subject, initrd, job, plugin)


def run(parts: Parts, log: Path, subject: guests.Subject, initrd: bytes, job: str,
        plugin: Path | None) -> Load:
    """Runs a job whose guest says of its phases what is read off here."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        scratch = Path(directory)
        text = _level_1(parts, scratch, subject.kernel, initrd, job, plugin, log)
        found = Load()
        if plugin:
            found.phases = counts.read(scratch / "counts")
    found.symbols = counts.Symbols("\n".join(
        line.removeprefix(SYMBOL) for line in text.splitlines() if line.startswith(SYMBOL)))
    before: dict[int, int] = {}
    for line in text.splitlines():
        if match := BEGIN.match(line):
            before[int(match[1])] = int(match[2])
        elif match := END.match(line):
            number = int(match[1])
            found.exits[number] = int(match[2]) - before[number]
            values = {name: float(value) for name, value in VALUE.findall(match[3])}
            found.iops[number] = values.get("iops", 0.0)
            found.ms[number] = values.get("ms", 0.0)
        elif line.startswith(COUNTERS):
            found.counters = json.loads(line.removeprefix(COUNTERS))
    return found


def boots(parts: Parts, out: Path, vmms: tuple[str, ...],
          repeats: int) -> dict[str, list[Boot]]:
    """Boots of guests, by VMM; they take turns."""
    job = "".join(f"exec_boot {vmm} {command(vmm)}\n"
                  for _ in range(repeats) for vmm in vmms)
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        text = _level_1(parts, Path(directory), "stock", guests.idle(parts), job, None, out / "boots")
    found: dict[str, list[Boot]] = {vmm: [] for vmm in vmms}
    for line in text.splitlines():
        if match := UP.match(line):
            total, kernel, beyond = map(float, match.groups()[1:])
            found[match[1]].append(Boot(total, total - kernel, beyond))
    return found


def hospes(words: str, mib: int = GUEST_MIB) -> str:
    """What starts our VMM on level 1 with these words beside, as words of its shell."""
    return f"{command('hospes', mib=mib)} {words}"


def command(vmm: str, module: str = "", mib: int = GUEST_MIB) -> str:
    """What starts a guest on level 1, as words of its shell; with two disks for a driver."""
    # Level 1's counter is this machine's. No kernel can calibrate it there, nor check
    # it by another clock, and without that it never stops its timer.
    line = f"{guests.COMMAND_LINE} tsc_early_khz={cpu.tsc_khz()} tsc=reliable"
    if vmm == "hospes":
        words = f"hospes run --kernel /guest/vmlinux --initrd /guest/initrd --cpus 1 --memory {mib}M"
        words += f" --cmdline '{line}'"
        if not module:
            return words
        words += f" --counters /work/counters.json {_CONTROLLERS[module].hospes}"
        places = _CONTROLLERS[module].places
        return words + "".join(f" --disk path=/work/{name},on=s0,target={target},lun={lun}"
                               for name, (target, lun) in zip(_DISKS, places))
    machine = {"qemu-microvm": "microvm,pit=off,pic=off,rtc=off", "qemu-q35": "q35"}[vmm]
    words = (f"qemu-system-x86_64 -L {FIRMWARE_DIRECTORY} -nodefaults -no-user-config -display none -no-reboot"
             f" -M {machine},memory-backend=ram -accel kvm -cpu host -smp 1 -m {GUEST_MIB}"
             f" -object memory-backend-memfd,id=ram,size={GUEST_MIB}M,share=on -serial stdio"
             f" -kernel /guest/vmlinux -initrd /guest/initrd -append '{line}'")
    if module:
        words += f" {_CONTROLLERS[module].qemu}"
        for name, (target, lun) in zip(_DISKS, _CONTROLLERS[module].places):
            words += (f" -drive if=none,id={name},format=raw,aio=io_uring,file=/work/{name}"
                      f" -device scsi-hd,bus=s0.0,drive={name},scsi-id={target},lun={lun}")
    return words


def _level_1(parts: Parts, scratch: Path, kernel: str, initrd: bytes, job: str,
             plugin: Path | None, log: Path) -> str:
    """Runs a job in level 1; its output."""
    (scratch / "outer.cpio").write_bytes(_initramfs(parts, kernel, initrd, job))
    append = f"console=ttyS0 loglevel=3 panic=-1 mitigations=off tsc_early_khz={cpu.tsc_khz()}"
    words = qemu_base(1, 2048, "tcg") + [
        "-kernel", str(parts.image("stock")), "-initrd", str(scratch / "outer.cpio"),
        "-append", append, "-serial", f"file:{log}.console",
        "-device", "virtio-serial-pci,id=ports", "-chardev", f"file,id=job,path={log}",
        "-device", "virtserialport,bus=ports.0,chardev=job,name=job"]
    if plugin:
        words += ["-plugin", f"file={plugin},out={scratch}/counts"]
    subprocess.run(words, check=True, timeout=LIMIT, stdin=subprocess.DEVNULL)
    return log.read_text(errors="replace")


def _initramfs(parts: Parts, kernel: str, initrd: bytes, job: str) -> bytes:
    archive = Archive()
    archive.add_busybox()
    archive.add("init", (parts.root / "bench/outer-init").read_bytes(), 0o755)
    archive.add("job.sh", job)
    archive.add_program(parts.tools / "hospes")
    backend.add_qemu(archive)
    tree = modules.tree(parts.kernels["stock"])
    order = tree.closure(["kvm_amd"])
    archive.add("modules/order", "".join(f"{name}\n" for name in order))
    for name in order:
        archive.add(f"modules/{name}.ko", tree.read(name))
    archive.add("guest/vmlinux", parts.image(kernel).read_bytes())
    archive.add("guest/initrd", initrd)
    for name in ("proc", "sys", "tmp", "work"):
        archive.add_directory(name)
    return archive.finish()
