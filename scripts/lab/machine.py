# SPDX-License-Identifier: GPL-2.0
"""One guest machine: everything that has to be equal for two cases to share a boot."""

from __future__ import annotations

import re
from dataclasses import dataclass

_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


@dataclass(frozen=True)
class Disk:
    """A disk: its number is its LUN, its place in the VMM's list and its pattern's id."""

    number: int
    size: int
    slow: bool = False


@dataclass(frozen=True)
class Disks:
    """The disks of a machine, written as `3x8M+1x4M:slow`."""

    text: str

    def __iter__(self):
        number = 0
        for count, size, slow in self._groups():
            for _ in range(count):
                yield Disk(number, size, slow)
                number += 1

    def __len__(self) -> int:
        return sum(count for count, _, _ in self._groups())

    def _groups(self) -> list[tuple[int, int, bool]]:
        if self.text == "none":
            return []
        groups = []
        for group in self.text.split("+"):
            match = re.fullmatch(r"(\d+)x(\d+)([KMG])(:slow)?", group)
            if not match:
                raise ValueError(f"'{group}' is not COUNTxSIZE[:slow]")
            count, size, unit, slow = match.groups()
            groups.append((int(count), int(size) * _UNITS[unit], bool(slow)))
        return groups


@dataclass(frozen=True)
class Machine:
    """A point of the matrix."""

    module: str = "none"  # the guest driver under test, by its module name
    driver: str = "c"  # rust: ours; c: the kernel's own
    vmm: str = "qemu"  # hospes, qemu
    kernel: str = "stock"  # stock, lab
    vcpus: int = 1
    disks: Disks = Disks("none")

    @property
    def slug(self) -> str:
        """A name for directories and selections."""
        parts = [self.driver, self.vmm, self.kernel, f"{self.vcpus}cpu", self.disks.text]
        return "-".join([self.module, *parts]).replace(":", "_")

    def __str__(self) -> str:
        if self.module == "none":
            return f"{self.vmm}, {self.kernel} kernel"
        driver = "Rust" if self.driver == "rust" else "C"
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
        }
