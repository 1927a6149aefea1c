# SPDX-License-Identifier: GPL-2.0
"""Command lines of the VMMs that a guest can run on."""

from __future__ import annotations

from dataclasses import dataclass

from . import cpu
from .machine import Machine

GUEST_MIB = 512
# A slow disk: each request takes this long, or this many are done per second.
SLOW_LATENCY_MS = 20
SLOW_PER_SECOND = 40
# Highest target of our controllers: guests scan them all at every load, and an
# empty one costs as much as one with disks. QEMU always has 255.
MAX_TARGET = 3

# Documented in Documentation/vmm.md.
HOSPES_STATUS = {
    "power-off": 0,
    "reset": 32,
    "triple-fault": 33,
    "panic": 34,
    "time-limit": 36,
}


@dataclass(frozen=True)
class Boot:
    """Files and command line of a guest."""

    kernel: str
    initrd: str
    append: str
    limit: int = 0  # seconds; the VMM's own time limit


def command(machine: Machine, boot: Boot) -> list[str]:
    """What starts the machine, with its console on standard output."""
    return {"qemu": qemu, "hospes": hospes}[machine.vmm](machine, boot)


def qemu_base(cpus: int, mib: int, accel: str) -> list[str]:
    """A QEMU machine without devices that ends when the guest would restart."""
    model = "host" if accel == "kvm" else "EPYC"
    # With a thread for each processor, emulation sometimes runs an instruction
    # that another processor has already patched away (int3).
    acceleration = "kvm" if accel == "kvm" else f"tcg,thread={'multi' if cpus == 1 else 'single'}"
    return (
        f"qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -M q35"
        f" -accel {acceleration} -cpu {model} -smp {cpus} -m {mib}"
    ).split()


def qemu(machine: Machine, boot: Boot) -> list[str]:
    """QEMU with its own model of the controller."""
    words = qemu_base(machine.vcpus, GUEST_MIB, "kvm" if cpu.runs_guests() else "tcg")
    words += ["-kernel", boot.kernel, "-initrd", boot.initrd, "-append", boot.append]
    words += ["-serial", "stdio"]
    if machine.module == "virtio_scsi":
        queues = f"num_queues={machine.vcpus}"
        words += ["-device", f"virtio-scsi-pci,id=s0,{queues},disable-legacy=on"]
        for disk in machine.disks:
            throttle = f",throttling.iops-total={SLOW_PER_SECOND}" if disk.slow else ""
            drive = f"if=none,id=d{disk.number},format=raw,file=disk{disk.number}{throttle}"
            words += ["-drive", drive]
            place = f"scsi-id=0,lun={disk.number},serial=DISK{disk.number}"
            words += ["-device", f"scsi-hd,bus=s0.0,drive=d{disk.number},{place}"]
    return words


def hospes(machine: Machine, boot: Boot) -> list[str]:
    """Our VMM."""
    words = ["hospes", "run", "--kernel", boot.kernel, "--initrd", boot.initrd]
    words += ["--cmdline", boot.append, "--cpus", str(machine.vcpus), "--memory", f"{GUEST_MIB}M"]
    words += ["--counters", "counters.json"]
    if boot.limit:
        words += ["--time-limit", str(boot.limit)]
    if machine.module == "virtio_scsi":
        words += ["--scsi", f"virtio,id=s0,queues={machine.vcpus},max_target={MAX_TARGET}"]
        for disk in machine.disks:
            latency = f",latency_ms={SLOW_LATENCY_MS}" if disk.slow else ""
            place = f"on=s0,lun={disk.number},serial=DISK{disk.number}"
            words += ["--disk", f"path=disk{disk.number},{place}{latency}"]
    return words
