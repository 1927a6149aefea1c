# SPDX-License-Identifier: GPL-2.0
"""Results as a guest prints them.

A guest writes its results into its kernel's log, so that they and the kernel's
own messages arrive as whole lines in one order. A boot looks like this:

    KTAP version 1
    1..2
    # case virtio_scsi/direct limit=60
      ok 1 every block is written
      not ok 2 every block is read back
      # diskcheck: disk 0 block 7 ...
    not ok 1 virtio_scsi/direct
    # leaves disk=0 generation=3
    # end
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field

_STAMP = re.compile(r"^\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
_RESULT = re.compile(
    r"^(?P<indent> *)(?P<verdict>ok|not ok) (?P<number>\d+)(?: -)?(?: (?P<name>[^#]*?))?"
    r"(?: *# *(?P<directive>SKIP|TODO|TIMEOUT|XFAIL|ERROR)\b *(?P<why>.*))?$"
)
_CASE = re.compile(r"^# case (?P<name>\S+) limit=(?P<limit>\d+)$")
_FATAL = re.compile(
    r"Kernel panic - not syncing: .*|BUG: .*|Oops: .*|general protection fault.*|"
    r"Unable to handle kernel .*|rust_kernel: panicked .*|Internal error: .*"
)
# Lines shown of a kernel's trouble: what came before it, and its own report.
_BEFORE = 8
_REPORT = 40
_STALL = re.compile(r"soft lockup|rcu.*(?:stall|starved)|Watchdog CPU:|hard LOCKUP|hung_task")


def strip(line: str) -> str:
    """A console line without carriage return and the kernel's time stamp."""
    return _STAMP.sub("", line.rstrip("\r\n"))


@dataclass(frozen=True)
class Result:
    """One `ok` or `not ok` line."""

    name: str
    ok: bool
    depth: int = 0
    skip: str | None = None


def result(line: str) -> Result | None:
    """Parses a result line, or says that it is none."""
    match = _RESULT.match(line)
    if not match:
        return None
    directive = match["directive"]
    return Result(
        name=(match["name"] or "").strip(),
        ok=match["verdict"] == "ok",
        depth=len(match["indent"]) // 2,
        skip=(match["why"] or "no reason given") if directive == "SKIP" else None,
    )


@dataclass
class CaseRun:
    """What became of one case."""

    name: str
    limit: int
    started: float
    ended: float | None = None
    result: Result | None = None
    subtests: list[Result] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)

    def failure(self) -> str:
        """Why the guest itself failed the case: its first bad subtest and what it said."""
        for index, line in enumerate(self.lines):
            found = result(line)
            if found and not found.ok:
                said = [text.strip(" #") for text in self.lines[index + 1 : index + 4]
                        if text.startswith("  #")]
                return ": ".join([found.name, *said[:2]])
        notes = [line.strip(" #") for line in self.lines if line.startswith("  # ")]
        return notes[-1] if notes else "failed without a word"


@dataclass
class Stream:
    """Follows one guest's console."""

    cases: list[CaseRun] = field(default_factory=list)
    leaves: dict[int, dict[str, str]] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    started: bool = False
    ended: bool = False
    fatal: str | None = None
    stalled: str | None = None
    scene: list[str] = field(default_factory=list)  # the lines around `fatal`
    _recent: deque[str] = field(default_factory=lambda: deque(maxlen=_BEFORE))

    @property
    def running(self) -> CaseRun | None:
        """The case that has begun and not ended."""
        if self.cases and self.cases[-1].result is None:
            return self.cases[-1]
        return None

    def feed(self, raw: str, now: float) -> None:
        """Takes one console line that arrived at `now`."""
        line = strip(raw)
        self._trouble(line)
        if line == "KTAP version 1":
            self.started = True
        elif match := _CASE.match(line):
            self.cases.append(CaseRun(match["name"], int(match["limit"]), now))
        elif line.startswith("# leaves "):
            words = _words(line)
            self.leaves[int(words.get("disk", "-1"))] = words
        elif line.startswith("# guest "):
            self.facts.update(_words(line))
        elif line == "# end":
            self.ended = True
        elif self.running:
            self._in_case(self.running, line, now)

    def _in_case(self, case: CaseRun, line: str, now: float) -> None:
        case.lines.append(line)
        found = result(line)
        if found is None:
            return
        if found.depth:
            case.subtests.append(found)
        elif found.name == case.name:
            case.result = found
            case.ended = now

    def _trouble(self, line: str) -> None:
        if self.fatal is None and (match := _FATAL.search(line)):
            self.fatal = match[0]
            self.scene = list(self._recent)
        if self.fatal is None:
            self._recent.append(line)
        elif len(self.scene) < _BEFORE + _REPORT:
            self.scene.append(line)
        if self.stalled is None and _STALL.search(line):
            self.stalled = line


def _words(line: str) -> dict[str, str]:
    """The key=value words of a line."""
    pairs = (word.partition("=") for word in line.split())
    return {key: value for key, equals, value in pairs if equals}
