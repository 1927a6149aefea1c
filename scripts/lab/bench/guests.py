# SPDX-License-Identifier: GPL-2.0
"""File systems of guests that are measured."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from .. import modules
from ..guest import BASE_MODULES, DISK_MODULES, Parts
from ..initramfs import Archive
from . import load, marks

COMMAND_LINE = "console=ttyS0 loglevel=3 panic=-1 mitigations=off nokaslr"


def loaded(parts: Parts, driver: str, module: str, count: int, symbols: bool = False) -> bytes:
    """A guest that puts the loads on the first disk of `module`, ours (`rust`) or
    the kernel's own (`c`)."""
    archive = _base(parts)
    archive.add_program(parts.tools / "ioload")
    tree = modules.tree(parts.kernels["stock"])
    order = tree.closure([*BASE_MODULES, *DISK_MODULES, module])
    for name in order:
        archive.add(f"modules/{name}.ko", tree.read(name) if name != module
                    else measured(parts, driver, module))
    archive.add("modules/order", "".join(f"{name}\n" for name in order))
    archive.add("modules/measured", f"{module}\n")
    archive.add("modules/value_at", f"{marks.VALUE_AT}\n")
    if symbols:
        archive.add("modules/symbols", "")
    size = text_size(measured(parts, driver, module))
    for name, data in load.programs(count, size).items():
        archive.add(f"bin/{name}", data, 0o755)
    archive.add("phases", load.script(count))
    return archive.finish()


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


def measured(parts: Parts, driver: str, module: str) -> bytes:
    """The module's object file."""
    if driver == "c":
        return modules.tree(parts.kernels["stock"]).read(module)
    return modules.stripped(next(parts.modules["stock"].rglob(f"{module}.ko")))


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
