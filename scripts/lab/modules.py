# SPDX-License-Identifier: GPL-2.0
"""Kernel modules for a guest, uncompressed and in loading order."""

from __future__ import annotations

import functools
import lzma
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


def module_name(path: str) -> str:
    """`kernel/drivers/scsi/sd_mod.ko.xz` is `sd_mod`."""
    return Path(path).name.split(".")[0].replace("-", "_")


@dataclass
class Tree:
    """The modules of one kernel (a directory lib/modules/RELEASE)."""

    directory: Path

    def __post_init__(self) -> None:
        self._depends: dict[str, tuple[str, list[str]]] = {}
        for line in (self.directory / "modules.dep").read_text().splitlines():
            path, _, depends = line.partition(":")
            self._depends[module_name(path)] = (path, depends.split())
        builtin = self.directory / "modules.builtin"
        self._builtin = {module_name(line) for line in builtin.read_text().splitlines()}

    @property
    def release(self) -> str:
        return self.directory.name

    def closure(self, names: list[str]) -> list[str]:
        """The named modules and what they need, each after what it needs.

        Built-in ones are left out; an unknown one is an error.
        """
        order: list[str] = []
        for name in names:
            if name in self._depends:
                _, depends = self._depends[name]
                for one in [*map(module_name, reversed(depends)), name]:
                    if one not in order:
                        order.append(one)
            elif name not in self._builtin:
                raise LookupError(f"kernel {self.release} has no module {name}")
        return order

    def is_module(self, name: str) -> bool:
        """Whether the kernel has it as a module, not built in."""
        return name in self._depends

    def read(self, name: str) -> bytes:
        """The module's object file."""
        path = self.directory / self._depends[name][0]
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data


@functools.cache
def stripped(path: Path) -> bytes:
    """A module without what only a debugger reads, as packages ship it."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / path.name
        subprocess.run(["strip", "--strip-debug", "-o", out, path], check=True)
        return out.read_bytes()


def tree(kernel: Path) -> Tree:
    """The modules of a kernel tree as scripts/kernel-tree makes it."""
    directories = sorted((kernel / "modroot/lib/modules").iterdir())
    return Tree(directories[0])
