# SPDX-License-Identifier: GPL-2.0
"""File systems of guests that are measured."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import modules
from ..guest import BASE_MODULES, DISK_MODULES, Parts
from ..initramfs import Archive
from . import load, marks

COMMAND_LINE = "console=ttyS0 loglevel=3 panic=-1 mitigations=off nokaslr"


@dataclass(frozen=True)
class Subject:
    """A driver whose work is measured: ours (`rust`) or the kernel's own (`c`)."""

    module: str
    driver: str
    kernel: str = "stock"
    bus: str = ""  # the same of hv_vmbus, where that is measured with it

    @property
    def measured(self) -> dict[str, str]:
        """Whose each module is that counts as the driver."""
        return {"hv_vmbus": self.bus, self.module: self.driver} if self.bus else {
            self.module: self.driver}

    def __str__(self) -> str:
        return f"{self.driver}_on_{self.bus}" if self.bus else self.driver


def loaded(parts: Parts, subject: Subject, count: int, symbols: bool = False) -> bytes:
    """A guest that puts the loads on the first disk of the driver's."""
    archive = _driven(parts, subject, DISK_MODULES, load.numbers(count))
    archive.add_program(parts.tools / "ioload")
    if symbols:
        archive.add("modules/symbols", "")
    archive.add("phases", load.script(count))
    return archive.finish()


def scripted(parts: Parts, subject: Subject, phases: Iterable[int], script: str) -> bytes:
    """A guest with the driver and no disks, which does what the script says."""
    archive = _driven(parts, subject, [], phases)
    archive.add("phases", script)
    return archive.finish()


def _driven(parts: Parts, subject: Subject, beside: list[str], phases: Iterable[int]) -> Archive:
    """A guest with the driver, the modules beside it, and marks for these phases."""
    archive = _base(parts)
    tree = modules.tree(parts.kernels[subject.kernel])
    order = tree.closure([*BASE_MODULES, *beside, subject.module])
    measured = {name: _module(parts, subject.kernel, name, driver)
                for name, driver in subject.measured.items()}
    for name in order:
        archive.add(f"modules/{name}.ko", measured.get(name) or tree.read(name))
    archive.add("modules/order", "".join(f"{name}\n" for name in order))
    archive.add("modules/measured", "".join(f"{name}\n" for name in measured))
    archive.add("modules/value_at", f"{marks.VALUE_AT}\n")
    sizes = {name: text_size(data) for name, data in measured.items()}
    for name, data in load.programs(phases, sizes).items():
        archive.add(f"bin/{name}", data, 0o755)
    return archive


def idle(parts: Parts) -> bytes:
    """A guest that says that it is there, and waits."""
    return _base(parts).finish()


def _base(parts: Parts) -> Archive:
    archive = Archive()
    archive.add_busybox()
    archive.add("init", (parts.root / "bench/guest-init").read_bytes(), 0o755)
    for name in ("proc", "sys", "tmp"):
        archive.add_directory(name)
    return archive


def _module(parts: Parts, kernel: str, module: str, driver: str) -> bytes:
    """The module's object file."""
    if driver == "c":
        return modules.tree(parts.kernels[kernel]).read(module)
    return modules.stripped(next(parts.modules[kernel].rglob(f"{module}.ko")))


def text_size(module: bytes) -> int:
    """The size of a module's .text."""
    with tempfile.NamedTemporaryFile(suffix=".ko") as file:
        file.write(module)
        file.flush()
        listing = subprocess.run(["size", "-A", file.name], capture_output=True, text=True,
                                 check=True).stdout
    return next(int(line.split()[1]) for line in listing.splitlines() if line.startswith(".text "))


def disk(path: Path, mib: int) -> Path:
    """A disk with nothing on it, whose blocks are there."""
    path.write_bytes(bytes(mib << 20))
    return path
