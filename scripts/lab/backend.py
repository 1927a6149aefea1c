# SPDX-License-Identifier: GPL-2.0
"""Where a job runs: here, or inside an emulated machine that has KVM.

A guest on QEMU's emulation, and any guest where the processor has VMX or SVM,
is started here. Our VMM on a processor without them is started in a nested
machine: QEMU emulates an AMD processor with SVM (level 0), a Linux with kvm_amd
(level 1) runs the job, and the guest under test is level 2. The job's outputs
leave level 1 through virtio ports, a block at a time; its serial console
carries nothing but its own kernel's messages.
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from . import cpu, modules
from .guest import NO_SELF_TESTS, Parts
from .initramfs import Archive
from .machine import Machine
from .vmm import FIRMWARE, FIRMWARE_DIRECTORY, memory_mib, qemu_base

OUTPUTS = ("console", "vmm.log", "job.log")
OUTER_MIB = 2048
# Programs of this system that jobs call; hospes and diskcheck come from the tools.
OUTER_PROGRAMS = ("/usr/sbin/e2fsck", "/usr/sbin/debugfs")


@dataclass
class Files:
    """What a job works with."""

    kernel: Path
    initrd: bytes
    others: dict[str, bytes] = field(default_factory=dict)  # in the job's directory


@dataclass
class Session:
    """A job that runs; its outputs grow in `directory`."""

    process: subprocess.Popen[bytes]
    directory: Path
    nested: bool

    @property
    def console(self) -> Path:
        return self.directory / "console"

    def text(self, name: str) -> str:
        """An output as far as it came."""
        path = self.directory / name
        return path.read_text(errors="replace") if path.exists() else ""


class Local:
    """Runs a job in the build root."""

    nested = False

    def names(self, files: Files, scratch: Path) -> tuple[str, str]:
        """Kernel and initrd as the job's command line names them."""
        (scratch / "initrd").write_bytes(files.initrd)
        for name, data in files.others.items():
            (scratch / name).parent.mkdir(exist_ok=True)
            (scratch / name).write_bytes(data)
        return str(files.kernel), "initrd"

    def start(self, script: str, parts: Parts, machine: Machine, directory: Path,
              scratch: Path, files: Files) -> Session:
        """Starts the job."""
        (directory / "job.sh").write_text(script)
        outputs = {name.upper().replace(".", "_"): str(directory / name) for name in OUTPUTS}
        environment = os.environ | outputs
        environment["PATH"] = f"{parts.tools}:{environment['PATH']}"
        process = subprocess.Popen(
            ["busybox", "sh", directory / "job.sh"],
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        return Session(process, directory, nested=False)


class Nested:
    """Runs a job in level 1."""

    nested = True

    def names(self, files: Files, scratch: Path) -> tuple[str, str]:
        """Kernel and initrd as the job's command line names them."""
        return "/guest/vmlinux", "/guest/initrd"

    def start(self, script: str, parts: Parts, machine: Machine, directory: Path,
              scratch: Path, files: Files) -> Session:
        """Starts level 1 with the job as its payload."""
        (directory / "job.sh").write_text(script)
        initrd = scratch / "outer.cpio"
        initrd.write_bytes(self._initramfs(script, parts, machine, files))
        process = subprocess.Popen(
            self._command(parts, _outer_mib(machine), directory, initrd),
            stdin=subprocess.DEVNULL,
            stdout=(directory / "qemu.log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        return Session(process, directory, nested=True)

    def _command(self, parts: Parts, mib: int, directory: Path, initrd: Path) -> list[str]:
        # One processor, and the TSC's rate told: without either the level 1
        # kernel sometimes loses timer interrupts (see Documentation/lab.md).
        append = ("console=ttyS0 loglevel=5 panic=-1 mitigations=off "
                  f"{NO_SELF_TESTS} tsc_early_khz={cpu.tsc_khz()}")
        words = qemu_base(1, mib, "tcg")
        words += ["-kernel", str(parts.image("stock")), "-initrd", str(initrd)]
        words += ["-append", append, "-serial", f"file:{directory}/outer"]
        words += ["-device", "virtio-serial-pci,id=ports"]
        for name in OUTPUTS:
            words += ["-chardev", f"file,id={name},path={directory}/{name}"]
            words += ["-device", f"virtserialport,bus=ports.0,chardev={name},name={name}"]
        return words

    def _initramfs(self, script: str, parts: Parts, machine: Machine, files: Files) -> bytes:
        archive = Archive()
        archive.add_busybox()
        archive.add("init", (parts.root / "tests/guest/outer-init").read_bytes(), 0o755)
        archive.add("job.sh", script, 0o755)
        for tool in ("hospes", "diskcheck"):
            archive.add_program(parts.tools / tool)
        if machine.vmm == "qemu_kvm":
            add_qemu(archive)
        for tool in OUTER_PROGRAMS:
            archive.add_program(tool)
        # Under its whole name: BusyBox has another one.
        archive.add_program("/usr/bin/setpriv", "usr/bin/setpriv")
        self._add_modules(archive, parts, machine)
        for name, data in files.others.items():
            archive.add(f"work/{name}", data)
        archive.add("guest/vmlinux", files.kernel.read_bytes())
        archive.add("guest/initrd", files.initrd)
        for name in ("proc", "sys", "tmp", "work"):
            archive.add_directory(name)
        return archive.finish()

    @staticmethod
    def _add_modules(archive: Archive, parts: Parts, machine: Machine) -> None:
        tree = modules.tree(parts.kernels["stock"])
        wanted = ["kvm_amd"]
        if machine.disks.has("pass"):
            # The job loads scsi_debug itself: it has parameters.
            wanted += ["sd_mod", "sg", "scsi_debug"]
        order = tree.closure(wanted)
        archive.add("modules/order",
                    "".join(f"{name}\n" for name in order if name != "scsi_debug"))
        for name in order:
            archive.add(f"modules/{name}.ko", tree.read(name))


def add_qemu(archive: Archive) -> None:
    """QEMU, for guests of its own in level 1."""
    archive.add_program("/usr/bin/qemu-system-x86_64")
    for path in FIRMWARE:
        archive.add(f"{FIRMWARE_DIRECTORY.lstrip('/')}/{Path(path).name}", Path(path).read_bytes())


def _outer_mib(machine: Machine) -> int:
    """Level 1 holds the guest's memory beyond the usual, and the disks."""
    disks = sum(disk.size for disk in machine.disks.disks) >> 20
    return OUTER_MIB + 2 * (memory_mib(machine) - 512) + disks


def for_machine(machine: Machine) -> Local | Nested:
    """The backend that can run a machine here."""
    return Nested() if machine.on_kvm and not cpu.runs_guests() else Local()
