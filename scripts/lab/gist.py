# SPDX-License-Identifier: GPL-2.0
"""What matters of a kernel's report, for where there is room for a few lines only.

Registers, code bytes, and what merely lay on the stack are left out; they are in
the console's file. What stays is what happened, where, and who called, the
innermost first.
"""

from __future__ import annotations

import re

# Most lines that are kept.
LINES = 18
_HEAD = re.compile(
    r"BUG: |Oops: |#PF: |general protection|Kernel panic|WARNING: |kernel BUG at|panicked|"
    r"RIP: 0010:|Comm: |INFO: |CR2: "
)
_FRAME = re.compile(r"^ +(?!\?)[\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+")
_CONTEXT = re.compile(r"^ *</?(IRQ|TASK|SOFTIRQ|NMI)>$")
_RUST = re.compile(r"_R[\w.]+")
_CRATE = re.compile(r"Cs[0-9A-Za-z]+_")
_LENGTH = re.compile(r"(\d+)_?")
_NAME = re.compile(r"[A-Za-z_]\w*")


def gist(lines: list[str]) -> list[str]:
    """The lines of a kernel's report that say most, or the last of any other text."""
    if not any(_HEAD.search(line) for line in lines):
        return lines[-LINES:]
    kept = [line for line in lines if line.startswith(("  ok ", "  not ok "))][-1:]
    for line in lines:
        if _HEAD.search(line) or _FRAME.match(line) or _CONTEXT.match(line):
            kept.append(_RUST.sub(lambda symbol: readable(symbol[0]), line))
    return kept[:LINES]


def readable(symbol: str) -> str:
    """The names in a mangled Rust symbol: each is there with its length before it."""
    symbol = _CRATE.sub("C", symbol)
    names: list[str] = []
    at = 0
    while match := _LENGTH.search(symbol, at):
        at = match.end()
        name = symbol[at : at + int(match[1])]
        if _NAME.fullmatch(name):
            names.append(name)
            at += len(name)
    return "::".join(names) or symbol
