# SPDX-License-Identifier: GPL-2.0
"""Command lines of the VMMs that a guest can run on."""

from __future__ import annotations

from dataclasses import dataclass

from . import cpu
from .machine import Machine, Unit

# A slow disk: each request takes this long, or this many are done per second.
SLOW_LATENCY_MS = 20
SLOW_PER_SECOND = 40
# Highest target of our controllers: guests scan them all at every load, and an
# empty one costs as much as one with disks. QEMU always has 255.
MAX_TARGET = 3

# Units of a target, where guests look for so many only.
LUNS = {"hv_storvsc": 255, "vmw_pvscsi": 1}

# What a port of Fibre Channel is called: those of its node and its own.
WWNN, WWPN = "5000c50000000010", "5000c50000000020"

# Media and devices besides disks, in the directory of the job.
CD, OTHER_CD, PASS = "cd.iso", "cd2.iso", "pass"

# Documented in Documentation/vmm.md.
HOSPES_STATUS = {
    "power-off": 0,
    "reset": 32,
    "triple-fault": 33,
    "panic": 34,
    "time-limit": 36,
}


# What QEMU reads besides its program, and where that is in level 1.
FIRMWARE_DIRECTORY = "/firmware"
FIRMWARE = ("/usr/share/seabios/bios-256k.bin", "/usr/share/seabios/bios-microvm.bin",
            "/usr/share/qemu/qboot.rom", "/usr/share/qemu/pvh.bin",
            "/usr/share/qemu/linuxboot_dma.bin", "/usr/share/qemu/kvmvapic.bin")
# What of Hyper-V a guest of QEMU's sees; the bus needs the SynIC.
HYPERV = ("hv-relaxed,hv-vapic,hv-vpindex,hv-runtime,hv-time,hv-synic,hv-stimer,"
          "hv-stimer-direct,hv-frequencies")
# Else QEMU makes one up at each start, and what two drivers see would differ.
BALLOON_INSTANCE = "9a1d1ee5-0e2c-4d1f-8f43-6d3b4f4c9b10"

# What our VMM is VMware by. There, every machine has a balloon.
VMWARE = ["--personality", "vmware", "--balloon", "vmware"]

# Where the agent outside (tests/host/agent.sh) reaches the VMM.
CONTROL, MONITOR = "control.sock", "monitor"


@dataclass(frozen=True)
class Boot:
    """Files and command line of a guest."""

    kernel: str
    initrd: str
    append: str
    limit: int = 0  # seconds; the VMM's own time limit
    host: bool = False  # somebody outside will talk to the VMM and the guest
    words: tuple[str, ...] = ()  # whatever else the command line has


def command(machine: Machine, boot: Boot) -> list[str]:
    """What starts the machine, with its console on standard output."""
    return {"qemu": qemu, "qemu_kvm": qemu_kvm, "hospes": hospes}[machine.vmm](machine, boot)


def memory_mib(machine: Machine) -> int:
    """A sanitizer keeps an eighth of all memory, and units want some, too."""
    return 1024 if machine.kernel == "debug" or len(machine.disks) > 256 else 512


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
    accel = "kvm" if cpu.runs_guests() else "tcg"
    words = qemu_base(machine.vcpus, memory_mib(machine), accel)
    words += ["-kernel", boot.kernel, "-initrd", boot.initrd, "-append", boot.append]
    words += ["-serial", "stdio"]
    if boot.host:
        words += ["-chardev", f"pipe,id=m0,path={MONITOR}", "-mon", "chardev=m0,mode=control"]
        # Its root bus takes no guests; this port does.
        words += ["-device", "pcie-root-port,id=rp0,slot=1"]
    if machine.module == "vmw_balloon":
        raise ValueError("QEMU has no balloon port")
    if machine.module == "virtio_scsi":
        queues = f"num_queues={machine.vcpus}"
        words += ["-device", f"virtio-scsi-pci,id=s0,{queues},disable-legacy=on"]
        for unit in machine.disks.attached:
            words += _qemu_unit(unit)
    if machine.module == "vmw_pvscsi":
        words += ["-device", "pvscsi,id=s0"]
        for unit in machine.disks.attached:
            words += _qemu_unit(unit, own_target=True)
    return [*words, *boot.words]


def qemu_kvm(machine: Machine, boot: Boot) -> list[str]:
    """QEMU with KVM, which gives it a VMBus, and the one device that it has there."""
    if machine.module != "hv_vmbus" or len(machine.disks.units):
        raise ValueError("QEMU's VMBus has no disks, and no other bus is tested with KVM")
    words = qemu_base(machine.vcpus, memory_mib(machine), "kvm")
    words[words.index("-cpu") + 1] += f",{HYPERV}"
    words += ["-L", FIRMWARE_DIRECTORY, "-serial", "stdio"]
    words += ["-kernel", boot.kernel, "-initrd", boot.initrd, "-append", _trusting(boot.append)]
    words += ["-device", "vmbus-bridge"]
    return [*words, "-device", f"hv-balloon,id=b0,instanceid={BALLOON_INSTANCE}", *boot.words]


def _qemu_unit(unit: Unit, own_target: bool = False) -> list[str]:
    """A unit is one of target 0, or the only one of a target of its own."""
    number = unit.number
    target, lun = (number, 0) if own_target else (0, number)
    if unit.kind == "pass" or unit.protection:
        raise ValueError(f"QEMU has no unit like number {number}")
    model, drive = "scsi-hd", f"file=disk{number}"
    if unit.kind == "cd":
        model, drive = "scsi-cd", f"file={CD},media=cdrom,readonly=on"
    if unit.slow:
        drive += f",throttling.iops-total={SLOW_PER_SECOND}"
    if unit.readonly:
        drive += ",readonly=on"
    place = f"bus=s0.0,drive=d{number},scsi-id={target},lun={lun},serial=DISK{number}"
    return ["-drive", f"if=none,id=d{number},format=raw,discard=unmap,{drive}",
            "-device", f"{model},id=u{number},{place}"]


def hospes(machine: Machine, boot: Boot) -> list[str]:
    """Our VMM."""
    words = ["hospes", "run", "--kernel", boot.kernel, "--initrd", boot.initrd]
    words += ["--cmdline", _trusting(boot.append), "--cpus", str(machine.vcpus)]
    words += ["--memory", f"{memory_mib(machine)}M", "--counters", "counters.json"]
    if boot.limit:
        words += ["--time-limit", str(boot.limit)]
    if boot.host:
        words += ["--serial", "stdout,stdin", "--control", f"path={CONTROL}"]
    if controller := _hospes_controller(machine):
        words += controller
        for unit in machine.disks.attached:
            words += _hospes_unit(unit, machine)
    return [*words, *boot.words]


def _hospes_controller(machine: Machine) -> list[str]:
    """What the driver under test drives."""
    if machine.module == "virtio_scsi":
        protected = any(unit.protection for unit in machine.disks.units)
        return ["--scsi", f"virtio,id=s0,queues={machine.vcpus},max_target={MAX_TARGET}"
                + (",protection=on" if protected else "")]
    if machine.module in ("hv_storvsc", "hv_vmbus"):
        return ["--personality", "hyperv", *_vmbus_controllers(machine)]
    if machine.module == "vmw_balloon":
        return VMWARE
    if machine.module == "vmw_pvscsi":
        return [*VMWARE, "--scsi", f"pvscsi,id=s0{_pvscsi_targets(machine)}"]
    return []


def _vmbus_controllers(machine: Machine) -> list[str]:
    """One for all units, or, of IDE, one for each."""
    channels = f"channels={machine.vcpus}"
    if machine.controller == "fc":
        return ["--scsi", f"vmbus,id=s0,kind=fc,wwnn={WWNN},wwpn={WWPN},{channels}"]
    if machine.controller == "ide":
        units = machine.disks.attached
        if len(units) > 2:
            raise ValueError("an IDE cable has two disks")
        return [word for unit in units
                for word in ("--scsi", f"vmbus,id=s{unit.number},kind=ide,position={unit.number}")]
    return ["--scsi", f"vmbus,id=s0,{channels}"]


def _pvscsi_targets(machine: Machine) -> str:
    """More targets than disks would only be looked for."""
    return f",max_target={max(MAX_TARGET, len(machine.disks.units) + 4)}"


def _trusting(append: str) -> str:
    """A kernel without kvmclock finds nothing in an emulated level 1 that it could
    check its counter by, and then never stops its timer: four idle vCPUs with a
    thousand interrupts a second leave time for little else."""
    return append if cpu.runs_guests() else f"{append} tsc=reliable"


def _hospes_unit(unit: Unit, machine: Machine) -> list[str]:
    """A unit is one of target 0, or of the next if a target has only so many, or the
    only one of a controller of its own."""
    luns = LUNS.get(machine.module)
    target, lun = divmod(unit.number, luns) if luns else (0, unit.number)
    place = f"on=s0,target={target},lun={lun}"
    if machine.controller == "ide":
        place = f"on=s{unit.number}"
    if unit.kind == "cd":
        return ["--cdrom", f"path={CD},{place}"]
    if unit.kind == "pass":
        return ["--passthrough", f"path={PASS},{place}"]
    extra = f",latency_ms={SLOW_LATENCY_MS}" if unit.slow else ""
    extra += ",readonly" if unit.readonly else ""
    extra += f",protection={unit.protection}" if unit.protection else ""
    return ["--disk", f"path=disk{unit.number},{place},serial=DISK{unit.number}{extra}"]
