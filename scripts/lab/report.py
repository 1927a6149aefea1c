# SPDX-License-Identifier: GPL-2.0
"""Verdicts, and how they are shown: progress, KTAP, JSON, one line, a table."""

from __future__ import annotations

import json
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from .gist import gist
from .ktap import Result, Stream
from .machine import Machine

# Characters of a line in a list of failures.
_SHORT = 240


@dataclass
class Verdict:
    """What a case, on a machine or on the host, came to."""

    name: str
    ok: bool
    reason: str = ""
    machine: Machine | None = None
    skip: str | None = None
    seconds: float = 0.0
    log: str = ""
    subtests: list[Result] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    scene: list[str] = field(default_factory=list)  # what to show of a failure
    hung: bool = False  # the guest went silent, and nothing says why
    repeated: str = ""  # why a first boot did not decide it

    @property
    def title(self) -> str:
        return f"{self.name} [{self.machine}]" if self.machine else self.name

    def as_dict(self) -> dict[str, object]:
        """For results.json."""
        return {
            "name": self.name,
            "machine": self.machine.as_dict() if self.machine else None,
            "ok": self.ok,
            "skip": self.skip,
            "reason": self.reason,
            "repeated": self.repeated,
            "seconds": round(self.seconds, 2),
            "log": self.log,
            "subtests": [{"name": one.name, "ok": one.ok} for one in self.subtests],
        }


class Progress:
    """Says on standard error what is going on; safe from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._up: set[tuple[str, int]] = set()

    def say(self, text: str) -> None:
        """One line with the time since the start."""
        seconds = int(time.monotonic() - self._start)
        with self._lock:
            print(f"[{seconds // 60:3}:{seconds % 60:02}] {text}", file=sys.stderr, flush=True)

    def stage(self, slug: str, stream: Stream) -> None:
        """A guest has come a step further."""
        if stream.facts and len(stream.cases) <= 1 and (slug, id(stream)) not in self._up:
            self._up.add((slug, id(stream)))
            self.say(f"     {slug}: guest is up ({stream.facts.get('boot', '?')} s of its own)")
        if stream.running:
            self.say(f"     {slug}: {stream.running.name}")

    def verdict(self, verdict: Verdict, *, brief: bool = False) -> None:
        """A case is decided; `brief` shows no more of a failure than what matters most."""
        if verdict.skip:
            self.say(f"skip {verdict.title}: {verdict.skip}")
        elif verdict.ok:
            self.say(f"ok   {verdict.title} ({verdict.seconds:.1f} s)")
        else:
            self.say(f"FAIL {verdict.title}: {verdict.reason}")
            for line in gist(verdict.scene) if brief else verdict.scene:
                self.say(f"     | {line}")
            if verdict.log:
                self.say(f"     see {verdict.log}")


@dataclass
class Summary:
    """All verdicts of a run."""

    verdicts: list[Verdict]
    lab: dict[str, object]

    def line(self) -> str:
        """The last line of a run."""
        failed = sum(not one.ok for one in self.verdicts)
        skipped = sum(one.skip is not None for one in self.verdicts)
        repeated = sum(bool(one.repeated) for one in self.verdicts)
        text = f"{len(self.verdicts) - failed - skipped} passed, {failed} failed"
        text += f", {skipped} skipped" if skipped else ""
        return f"{text}, {repeated} repeated" if repeated else text

    @property
    def failed(self) -> bool:
        """A run without a verdict has not passed either."""
        return not self.verdicts or any(not one.ok for one in self.verdicts)

    def tell(self, progress: Progress) -> None:
        """Failures, skips and the lab's own faults, once more, where nobody overlooks them.

        A line for each comes last: all that is left where only an end is kept.
        """
        for verdict in self.verdicts:
            if verdict.skip or not verdict.ok:
                progress.verdict(verdict, brief=True)
        for death in self.lab.get("lab_deaths") or []:
            progress.say(f"the lab itself failed, boot repeated: {death}"[:_SHORT])
        for verdict in self.verdicts:
            if verdict.repeated:
                progress.say(f"repeated: {verdict.title}: {verdict.repeated}"[:_SHORT])
            if not verdict.ok:
                progress.say(f"FAIL {verdict.title}: {verdict.reason}"[:_SHORT])

    def write(self, out: Path) -> None:
        """Leaves results.json and results.ktap."""
        out.mkdir(parents=True, exist_ok=True)
        document = {"lab": self.lab, "results": [one.as_dict() for one in self.verdicts]}
        (out / "results.json").write_text(json.dumps(document, indent=1) + "\n")
        (out / "results.ktap").write_text(self.ktap())

    def ktap(self) -> str:
        """The run in the kernel's test format."""
        lines = ["KTAP version 1", f"1..{len(self.verdicts)}"]
        for number, one in enumerate(self.verdicts, 1):
            if one.subtests:
                lines += ["  KTAP version 1", f"  1..{len(one.subtests)}"]
            for place, sub in enumerate(one.subtests, 1):
                lines.append(f"  {'ok' if sub.ok else 'not ok'} {place} {sub.name}")
            if one.reason:
                lines.append(f"# {one.reason}")
            directive = f" # SKIP {one.skip}" if one.skip else ""
            verdict = "ok" if one.ok else "not ok"
            lines.append(f"{verdict} {number} {one.title}{directive}")
        return "\n".join(lines) + "\n"
