# SPDX-License-Identifier: GPL-2.0
"""Disc images for the CD-ROM cases: ISO 9660, one directory, no extensions.

The layout is ECMA-119's: 16 empty sectors, the primary volume descriptor, the
end of the descriptors, the two path tables, the root directory, the files. Every
number of more than a byte is there in both byte orders, or in two tables.
"""

from __future__ import annotations

import hashlib
import struct

SECTOR = 2048
_DESCRIPTOR, _END, _TABLE_LITTLE, _TABLE_BIG, _ROOT, _FILES = 16, 17, 18, 19, 20, 21
# Every image is of the same moment: years since 1900, month, day, time, zone.
_RECORDED = bytes((126, 1, 1, 0, 0, 0, 0))
_CREATED = b"2026010100000000\0"
_NEVER = b"0" * 16 + b"\0"


def image(volume: str, files: dict[str, bytes]) -> bytes:
    """An image with these files. Names are as ISO 9660 has them: `A-Z0-9_.`."""
    place, records, contents = _FILES, [], []
    for name, content in sorted(files.items()):
        records.append(_record(place, len(content), f"{name};1".encode(), directory=False))
        contents.append(_padded(content))
        place += len(contents[-1]) // SECTOR
    itself = _record(_ROOT, SECTOR, b"\0", directory=True)
    parent = _record(_ROOT, SECTOR, b"\1", directory=True)
    root = _padded(itself + parent + b"".join(records))
    if len(root) > SECTOR:
        raise ValueError("more files than fit into one sector of directory")
    descriptors = _descriptor(volume, place, itself) + _padded(b"\xffCD001\1")
    tables = _padded(_path_table("<")) + _padded(_path_table(">"))
    return bytes(16 * SECTOR) + descriptors + tables + root + b"".join(contents)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % SECTOR)


def _both(size: str, number: int) -> bytes:
    return struct.pack("<" + size, number) + struct.pack(">" + size, number)


def _record(place: int, length: int, name: bytes, directory: bool) -> bytes:
    flags = bytes((2 if directory else 0, 0, 0))
    fields = _both("I", place) + _both("I", length) + _RECORDED + flags + _both("H", 1)
    body = b"\0" + fields + bytes((len(name),)) + name
    body += bytes((len(body) + 1) % 2)
    return bytes((len(body) + 1,)) + body


def _path_table(order: str) -> bytes:
    return struct.pack(order + "BBIH", 1, 0, _ROOT, 1) + b"\0\0"


def _descriptor(volume: str, sectors: int, root: bytes) -> bytes:
    def text(value: str, length: int) -> bytes:
        return value.encode().ljust(length)

    head = b"\1CD001\1\0" + text("", 32) + text(volume, 32) + bytes(8)
    sizes = _both("I", sectors) + bytes(32) + _both("H", 1) + _both("H", 1)
    table_length = len(_path_table("<"))
    tables = _both("H", SECTOR) + _both("I", table_length)
    tables += struct.pack("<II", _TABLE_LITTLE, 0) + struct.pack(">II", _TABLE_BIG, 0)
    names = text("", 4 * 128 + 3 * 37)
    dates = _CREATED + _CREATED + _NEVER + _NEVER
    return _padded(head + sizes + tables + root + names + dates + b"\1")


def _with_sums(volume: str, files: dict[str, bytes]) -> bytes:
    """An image that can be checked by `sha256sum -c` on itself."""
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name.lower()}\n"
        for name, content in sorted(files.items())
    )
    return image(volume, files | {"SUMS.TXT": sums.encode()})


def _pattern(seed: str, length: int) -> bytes:
    """Bytes without repetition."""
    blocks = range(-(-length // 32))
    return b"".join(hashlib.sha256(f"{seed} {n}".encode()).digest() for n in blocks)[:length]


# What is in the drive of a machine with one, and what a case can put there.
TEST_IMAGE = _with_sums("HOSPES_ONE", {
    "DATA.BIN": _pattern("one", 3_000_001),
    "README.TXT": b"The first disc.\n",
})
OTHER_IMAGE = _with_sums("HOSPES_TWO", {
    "OTHER.BIN": _pattern("two", 1_500_000),
    "README.TXT": b"The second disc.\n",
})
