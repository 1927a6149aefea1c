# SPDX-License-Identifier: GPL-2.0
"""Programs that do nothing but tell bench/tcg-count where a guest has come to.

Each is an ELF file of one page: the mark (see bench/tcg-count/count.rs), exit(0).
"""

from __future__ import annotations

import struct

PHASE, MODULE_START, MODULE_SIZE, END, ENTRY_START, ENTRY_END = 1, 2, 3, 4, 5, 6

_BASE = 0x400000
_CODE_AT = 0x78  # behind the file's header and its one program header
_NOP = bytes.fromhex("0f1f80") + b"HSPS"
_EXIT = bytes.fromhex("b83c000000 31ff 0f05")  # mov $60, %eax; xor %edi, %edi; syscall

# Where the value begins in the file; its last byte is the command.
VALUE_AT = _CODE_AT + len(_NOP) + 2


def program(command: int, value: int = 0) -> bytes:
    """The program that gives `command` with `value`, of 56 bits."""
    constant = (command << 56) | (value & ((1 << 56) - 1))
    code = _NOP + b"\x48\xb8" + struct.pack("<Q", constant) + _EXIT
    size = _CODE_AT + len(code)
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 2, 62, 1, _BASE + _CODE_AT,
                         64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + code
