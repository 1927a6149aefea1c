# SPDX-License-Identifier: GPL-2.0
"""One guest machine: everything that has to be equal for two cases to share a boot."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_FLAGS = {"slow", "ro", "pi1", "pi3", "spare"}


@dataclass(frozen=True)
class Unit:
    """A logical unit: its number is its LUN, and a disk's place and pattern."""

    number: int
    kind: str = "disk"  # disk, cd, pass
    size: int = 0  # of a disk
    flags: frozenset[str] = frozenset()

    @property
    def slow(self) -> bool:
        """Requests take long."""
        return "slow" in self.flags

    @property
    def spare(self) -> bool:
        """Its file is there, but only the case has it attached."""
        return "spare" in self.flags

    @property
    def readonly(self) -> bool:
        """The guest cannot write."""
        return "ro" in self.flags

    @property
    def protection(self) -> int:
        """Its type of protection information, 0 for none."""
        return 1 if "pi1" in self.flags else 3 if "pi3" in self.flags else 0


@dataclass(frozen=True)
class Disks:
    """The units of a machine, written as `3x8M+1x4M:slow+1x4M:spare+cd`."""

    text: str

    @property
    def units(self) -> list[Unit]:
        """All of them."""
        units: list[Unit] = []
        for group in [] if self.text == "none" else self.text.split("+"):
            count, kind, size, flags = _group(group)
            units += [Unit(len(units) + index, kind, size, flags) for index in range(count)]
        return units

    @property
    def disks(self) -> list[Unit]:
        """Those whose content is a pattern, attached or not."""
        return [unit for unit in self.units if unit.kind == "disk"]

    @property
    def attached(self) -> list[Unit]:
        """Those that the machine starts with."""
        return [unit for unit in self.units if not unit.spare]

    def __len__(self) -> int:
        """Disks that a driver finds: the first numbers."""
        return sum(not unit.spare for unit in self.disks)

    def has(self, kind: str) -> bool:
        """Whether there is a unit of a kind."""
        return any(unit.kind == kind for unit in self.units)

    def check(self) -> None:
        """Raises ValueError for a text that makes no sense."""
        order = [unit.kind != "disk" or unit.spare for unit in self.units]
        if order != sorted(order):
            raise ValueError(f"'{self.text}': spare disks and other units come after the disks")


def _group(text: str) -> tuple[int, str, int, frozenset[str]]:
    if text in ("cd", "pass"):
        return 1, text, 0, frozenset()
    match = re.fullmatch(r"(\d+)x(\d+)([KMG])((?::\w+)*)", text)
    flags = frozenset(filter(None, match[4].split(":"))) if match else frozenset()
    if not match or flags - _FLAGS:
        raise ValueError(f"'{text}' is not COUNTxSIZE[:FLAG…], cd or pass")
    return int(match[1]), "disk", int(match[2]) * _UNITS[match[3]], flags


@dataclass(frozen=True)
class Machine:
    """A point of the matrix."""

    module: str = "none"  # the guest driver under test, by its module name
    driver: str = "c"  # rust: ours; c: the kernel's own
    vmm: str = "qemu"  # hospes, qemu (its own emulation), qemu_kvm
    kernel: str = "stock"  # stock, lab, debug
    vcpus: int = 1
    disks: Disks = Disks("none")
    bus: str = "c"  # what is below the driver, for hv_storvsc: rust: our hv_vmbus
    controller: str = "scsi"  # of hv_storvsc: scsi, fc (Fibre Channel), ide

    @property
    def on_kvm(self) -> bool:
        """Whether it takes KVM to run it, here or in level 1."""
        return self.vmm != "qemu"

    @property
    def slug(self) -> str:
        """A name for directories and selections."""
        parts = [self.driver, self.vmm, self.kernel, f"{self.vcpus}cpu", self.disks.text]
        parts += ["rust_bus"] if self.bus == "rust" else []
        parts += [self.controller] if self.controller != "scsi" else []
        return "-".join([self.module, *parts]).replace(":", "_")

    def __str__(self) -> str:
        if self.module == "none":
            return f"{self.vmm}, {self.kernel} kernel"
        driver = f"{'Rust' if self.driver == 'rust' else 'C'} {self.module}"
        driver += " on the Rust bus" if self.bus == "rust" else ""
        driver += f" ({self.controller})" if self.controller != "scsi" else ""
        return f"{driver}, {self.vmm}, {self.kernel}, {self.vcpus} vCPU, {self.disks.text}"

    def as_dict(self) -> dict[str, object]:
        """For results.json."""
        return {
            "module": self.module,
            "driver": self.driver,
            "vmm": self.vmm,
            "kernel": self.kernel,
            "vcpus": self.vcpus,
            "disks": self.disks.text,
            "bus": self.bus,
            "controller": self.controller,
        }
