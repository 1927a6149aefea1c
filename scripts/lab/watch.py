# SPDX-License-Identifier: GPL-2.0
"""Follows a guest's console while its machine runs, under time limits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .ktap import Stream


class Tail:
    """Complete lines of a growing file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self.bytes = 0

    def lines(self) -> list[str]:
        """What was completed since the last call."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        self.bytes += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [line.decode(errors="replace") for line in lines]


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    word: int  # until the guest's kernel says anything
    boot: int  # until the guest says that it runs cases
    case: int  # added to a case's own limit, which the guest enforces itself
    end: int  # from the last case to the end of everything
    total: int  # for the whole machine, whatever it does


def follow(
    process: subprocess.Popen[bytes],
    console: Tail,
    stream: Stream,
    limits: Limits,
    progress: Callable[[], None],
) -> str | None:
    """Reads the console until the process ends.

    Returns why the process had to be killed, or nothing if it ended by itself.
    """
    started = changed = time.monotonic()
    while True:
        running = process.poll() is None
        now = time.monotonic()
        before = (stream.started, len(stream.cases), stream.running is None)
        for line in console.lines():
            stream.feed(line, now)
        if before != (stream.started, len(stream.cases), stream.running is None):
            changed = now
            progress()
        if not running:
            return None
        over = _over(stream, limits, console.bytes, now - started, now - changed)
        if over:
            kill(process)
            for line in console.lines():
                stream.feed(line, now)
            return over
        time.sleep(0.1)


def _over(stream: Stream, limits: Limits, said: int, total: float,
          unchanged: float) -> str | None:
    """Which limit is exceeded."""
    if total > limits.total:
        return f"the machine ran for more than {limits.total} s"
    if not said and total > limits.word:
        return f"the guest did not say a word within {limits.word} s"
    if not stream.started and unchanged > limits.boot:
        return f"no guest after {limits.boot} s"
    if stream.running and unchanged > stream.running.limit + limits.case:
        return f"no result after {stream.running.limit} s, and the guest did not end"
    if stream.started and not stream.running and unchanged > limits.end:
        return f"the machine did not end within {limits.end} s of its last case"
    return None


def kill(process: subprocess.Popen[bytes]) -> None:
    """Ends a process that leads a group of its own, and the group."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
