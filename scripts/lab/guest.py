# SPDX-License-Identifier: GPL-2.0
"""A guest's initial file system and kernel command line."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from . import debian, modules
from .cases import Boot, Case, patience
from .initramfs import Archive
from .machine import Machine

# What a guest loads before its first case: the upper half of SCSI where there
# are disks, and the driver that tells the VMM of a panic.
DISK_MODULES = ["sd_mod", "sg"]
CD_MODULES = ["sr_mod", "isofs"]
BASE_MODULES = ["pvpanic_pci"]
BUS = "hv_vmbus"
# The kernel's own drivers that a case loads besides: of the same bus, or of VMware.
CHILDREN = {BUS: ["hid_hyperv", "hv_balloon", "hv_netvsc", "hv_sock", "hv_storvsc", "hv_utils",
                  "hyperv_keyboard", "pci_hyperv", "uio_hv_generic"],
            "vmw_pvscsi": ["vmw_balloon"]}
# The kernel that another one starts: the lab's cannot be loaded so, it is not relocatable.
NEXT = "stock"
# A kernel tests its ciphers when it boots: two seconds of an emulated machine.
NO_SELF_TESTS = "cryptomgr.notests"
# And it panics if its timer is late, as it is on a busy machine.
COMMAND_LINE = ("console=ttyS0 loglevel=5 printk.devkmsg=on panic=-1 oops=panic mitigations=off "
                f"no_timer_check {NO_SELF_TESTS}")


@dataclass(frozen=True)
class Parts:
    """What the build left for the lab."""

    root: Path  # the checkout
    kernels: dict[str, Path]  # stock, lab, debug: trees of scripts/kernel-tree
    modules: dict[str, Path]  # by kernel: directories with our modules
    tools: Path  # static binaries: hospes, diskcheck
    programs: Path | None = None  # tree of Debian packages of scripts/guest-packages

    def image(self, kernel: str) -> Path:
        """The kernel to boot: an ELF file with a PVH entry."""
        return self.kernels[kernel] / "vmlinux"


def initramfs(parts: Parts, boot: Boot, cases: list[Case]) -> bytes:
    """The guest's file system for these cases of a boot."""
    machine = boot.machine
    archive = Archive()
    archive.add_busybox()
    if machine.module != "none":
        archive.add_program(parts.tools / "diskcheck")
        # Called by its path: BusyBox has a lesser one of that name.
        archive.add_program("/usr/sbin/mke2fs", "usr/sbin/mke2fs")
    archive.add("init", (parts.root / "tests/guest/init").read_bytes(), 0o755)
    for path in sorted((parts.root / "tests").glob("*.sh")):
        archive.add(f"tests/{path.name}", path.read_bytes())
    scale = patience(machine.kernel)
    archive.add("plan", "".join(f"{case.name} {case.limit * scale}\n" for case in cases))
    archive.add("machine", facts(machine, boot.host))
    for case in cases:
        archive.add(f"tests/{case.name}.sh", case.path.read_bytes())
    wanted = sorted({pattern for case in cases for pattern in case.programs})
    if wanted:
        debian.add_programs(archive, parts.programs, wanted)
    if machine.kernel != NEXT and any(case.next_kernel for case in cases):
        archive.add("next/kernel", (parts.kernels[NEXT] / "bzImage").read_bytes())
        after = replace(boot, machine=replace(machine, kernel=NEXT, bus="c"))
        archive.add("next/initrd", initramfs(parts, after, cases))
    _add_modules(archive, parts, machine)
    for name in ("proc", "sys", "tmp", "mnt"):
        archive.add_directory(name)
    return archive.finish()


def command_line(boot: Boot) -> str:
    """The guest kernel's command line."""
    return " ".join([COMMAND_LINE, *(case.cmdline for case in boot.cases if case.cmdline)])


def facts(machine: Machine, host: bool = False) -> str:
    """What a case knows of its machine, as assignments of the shell."""
    disks = machine.disks
    values = {
        "MODULE": machine.module,
        "DRIVER": machine.driver,
        "VMM": machine.vmm,
        "CONTROLLER": machine.controller,
        "KERNEL": machine.kernel,
        "VCPUS": machine.vcpus,
        "DISKS": len(disks),
        "SLOW": _numbers(disk.number for disk in disks.disks if disk.slow),
        "READ_ONLY": _numbers(disk.number for disk in disks.disks if disk.readonly),
        "SPARES": _numbers(disk.number for disk in disks.disks if disk.spare),
        "CD_LUN": _numbers(unit.number for unit in disks.units if unit.kind == "cd"),
        "PASS_LUN": _numbers(unit.number for unit in disks.units if unit.kind == "pass"),
        "HOST": "yes" if host else "",
    }
    values |= {f"SIZE_{disk.number}": disk.size for disk in disks.disks}
    return "".join(f"{key}='{value}'\n" for key, value in values.items())


def _numbers(numbers: Iterable[int]) -> str:
    return " ".join(map(str, numbers))


def _add_modules(archive: Archive, parts: Parts, machine: Machine) -> None:
    tree = _tree(parts.kernels[machine.kernel])
    ours = parts.modules.get(machine.kernel, Path("/nonexistent"))
    wanted = BASE_MODULES if machine.module == "none" else [
        *BASE_MODULES, *DISK_MODULES, *(CD_MODULES if machine.disks.has("cd") else []),
        machine.module]
    order = [name for name in tree.closure(wanted) if name != machine.module]
    archive.add("modules/order", "".join(f"{name}\n" for name in order))
    built = {path.stem: path for path in sorted(ours.rglob("*.ko"))}
    for name in order:
        archive.add(f"modules/{name}.ko", _below(tree, built, machine, name))
    if machine.driver == "rust" and machine.module in built:
        archive.add(f"modules/{machine.module}.ko", modules.stripped(built[machine.module]))
    elif machine.driver == "rust" and machine.module != "none":
        raise LookupError(f"no {machine.module}.ko of ours in {ours}")
    elif machine.module != "none":
        archive.add(f"modules/{machine.module}.ko", tree.read(machine.module))
    for child in CHILDREN.get(machine.module, []):
        needs = [name for name in tree.closure([child]) if name not in {machine.module, *order}]
        archive.add(f"modules/children/{child}.order", "".join(f"{name}\n" for name in needs))
        for name in needs:
            archive.add(f"modules/children/{name}.ko", tree.read(name))
    # Helpers of the tests, and our modules where a case loads all of them.
    for name, path in built.items():
        archive.add(f"modules/ours/{name}.ko", modules.stripped(path))


def _below(tree: modules.Tree, built: dict[str, Path], machine: Machine, name: str) -> bytes:
    """A module that is loaded before the driver under test: the kernel's, or our bus."""
    if name != BUS or machine.bus != "rust":
        return tree.read(name)
    if name not in built:
        raise LookupError(f"no {name}.ko of ours for the {machine.kernel} kernel")
    return modules.stripped(built[name])


@functools.cache
def _tree(kernel: Path) -> modules.Tree:
    return modules.tree(kernel)
