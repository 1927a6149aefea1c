# SPDX-License-Identifier: GPL-2.0
"""Initial file systems: a cpio writer, and programs with the libraries they need.

Archives are not compressed: unpacking is what would cost time in an emulated
machine.
"""

from __future__ import annotations

import functools
import re
import shutil
import stat
import subprocess
from pathlib import Path


class Archive:
    """A cpio archive in the `newc` format, the one that the kernel unpacks."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._names: set[str] = set()
        self.add_device("dev/console", 5, 1)

    def add(self, name: str, data: bytes | str, mode: int = 0o644) -> None:
        """A regular file; its directories come by themselves."""
        content = data.encode() if isinstance(data, str) else data
        self._entry(name, stat.S_IFREG | mode, content)

    def add_link(self, name: str, target: str) -> None:
        """A symbolic link."""
        self._entry(name, stat.S_IFLNK | 0o777, target.encode())

    def add_device(self, name: str, major: int, minor: int) -> None:
        """A character device."""
        self._entry(name, stat.S_IFCHR | 0o600, b"", (major, minor))

    def add_directory(self, name: str) -> None:
        """An empty directory."""
        self._entry(name, stat.S_IFDIR | 0o755, b"")

    def add_program(self, path: str | Path, name: str | None = None) -> None:
        """A program of this system with its shared libraries."""
        found = Path(shutil.which(str(path)) or path)
        self.add(name or f"bin/{found.name}", found.read_bytes(), 0o755)
        for library in libraries(found):
            self.add(library.lstrip("/"), Path(library).read_bytes(), 0o755)

    def add_busybox(self) -> None:
        """BusyBox under all its names."""
        self.add("bin/busybox", Path("/bin/busybox").read_bytes(), 0o755)
        for applet in applets():
            self.add_link(f"bin/{applet}", "busybox")

    def finish(self) -> bytes:
        """The whole archive."""
        end = bytearray(self._data)
        self._append(end, "TRAILER!!!", 0, b"", (0, 0), 1)
        return bytes(end)

    def _entry(self, name: str, mode: int, data: bytes, device: tuple[int, int] = (0, 0)) -> None:
        if name in self._names:
            return
        parent = str(Path(name).parent)
        if parent not in (".", "/"):
            self._entry(parent, stat.S_IFDIR | 0o755, b"")
        self._names.add(name)
        self._append(self._data, name, mode, data, device, len(self._names))

    @staticmethod
    def _append(
        out: bytearray, name: str, mode: int, data: bytes, device: tuple[int, int], inode: int
    ) -> None:
        path = name.encode() + b"\0"
        links = 2 if stat.S_ISDIR(mode) else 1
        fields = [inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(path), 0]
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        out += bytes(-len(out) % 4)
        out += data
        out += bytes(-len(out) % 4)


@functools.cache
def libraries(program: Path) -> list[str]:
    """The files that a dynamically linked program needs, its loader included."""
    listing = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return re.findall(r"(?:=> )?(/\S+) \(0x", listing.stdout)


@functools.cache
def applets() -> list[str]:
    """The commands that BusyBox has."""
    listing = subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True)
    return [name for name in listing.stdout.split() if name != "busybox"]
