# SPDX-License-Identifier: GPL-2.0
"""Programs of Debian packages for a guest, with the libraries they need.

scripts/guest-packages unpacks packages and what they depend on into a tree of
their own. Only what the wanted programs are linked with goes into the guest: one
of them (fio) depends on half a distribution.
"""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

from .initramfs import Archive

_PLACES = ("usr/bin", "usr/sbin")
_LIBRARIES = ("usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/ceph", "usr/lib",
              "usr/lib64")


def add_programs(archive: Archive, tree: Path | None, patterns: list[str]) -> None:
    """Puts the programs that the patterns name into the archive."""
    if tree is None:
        raise LookupError("no Debian packages for guests were made")
    for pattern in patterns:
        found = [path for place in _PLACES for path in sorted((tree / place).glob(pattern))]
        if not found:
            raise LookupError(f"no package of {tree} has a program {pattern}")
        for program in found:
            _add_program(archive, tree, program)


def _add_program(archive: Archive, tree: Path, program: Path) -> None:
    data = program.resolve().read_bytes()
    archive.add(str(program.relative_to(tree)), data, 0o755)
    if not data.startswith(b"\x7fELF"):
        return
    for library in closure(tree, program):
        place = "lib64" if library.name.startswith("ld-linux") else "lib"
        archive.add(f"{place}/{library.name}", library.resolve().read_bytes(), 0o755)


def closure(tree: Path, program: Path) -> list[Path]:
    """The libraries that a program needs, and those that they need."""
    found: dict[str, Path] = {}
    waiting = list(needed(program))
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _library(tree, name)
            waiting += needed(found[name])
    return list(found.values())


def _library(tree: Path, name: str) -> Path:
    for directory in _LIBRARIES:
        if (tree / directory / name).exists():
            return tree / directory / name
    raise LookupError(f"no package of {tree} has the library {name}")


@functools.cache
def needed(path: Path) -> tuple[str, ...]:
    """The names that an ELF file asks its loader for, its loader among them."""
    text = subprocess.run(["readelf", "--wide", "--dynamic", "--program-headers", path],
                          capture_output=True, text=True, check=True).stdout
    names = re.findall(r"\(NEEDED\).*\[(.+)\]", text)
    loader = re.findall(r"program interpreter: .*/([^/\]]+)\]", text)
    return tuple(names + loader)
