# SPDX-License-Identifier: GPL-2.0
"""Checks that need no guest: unit and property tests of the VMM, the shared
protocol code, and the lab itself."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from .ktap import Result
from .report import Progress, Verdict

_CARGO_TEST = re.compile(r"^test (?P<name>\S.*?) \.\.\. (?P<what>ok|FAILED|ignored.*)$")
_PYTHON_TEST = re.compile(r"^(?P<name>test\S* \(\S+\)).* \.\.\. (?P<what>ok|FAIL|ERROR|skipped.*)$")


@dataclass(frozen=True)
class Check:
    """A command whose exit status is the verdict."""

    name: str
    command: tuple[str, ...]
    pattern: re.Pattern[str]
    environment: dict[str, str] = field(default_factory=dict)


def checks(root: Path, cargo_target: Path) -> list[Check]:
    """All of them."""
    cargo = ("cargo", "test", "--workspace", "--no-fail-fast", "--locked",
             "--manifest-path", str(root / "vmm/Cargo.toml"),
             "--target-dir", str(cargo_target))
    python = (sys.executable, "-m", "unittest", "discover", "--verbose",
              "--start-directory", str(root / "scripts/lab/tests"),
              "--top-level-directory", str(root / "scripts"))
    # No crate of any workspace: one file of rustc's own tests.
    ruler = ("sh", "-c", 'rustc --edition 2021 --test "$0" -o /tmp/ruler && /tmp/ruler',
             str(root / "bench/tcg-count/count.rs"))
    rustc = {"RUSTC_WRAPPER": str(root / "scripts/vmm-rustc")}
    return [Check("host/lab", python, _PYTHON_TEST), Check("host/ruler", ruler, _CARGO_TEST),
            Check("host/vmm", cargo, _CARGO_TEST, rustc)]


def run(every: list[Check], out: Path, select: str, progress: Progress) -> list[Verdict]:
    """Runs the checks that the pattern names."""
    verdicts = []
    for check in every:
        if any(_matches(check.name, one) for one in (select or "*").split(",")):
            progress.say(f"     {check.name}: {' '.join(check.command[:3])} …")
            verdicts.append(_run(check, out))
            progress.verdict(verdicts[-1])
    return verdicts


def _matches(name: str, pattern: str) -> bool:
    """As cases are named, but a check has no machine."""
    names = (name, *name.split("/"))
    return "@" not in pattern and any(fnmatch.fnmatchcase(one, pattern) for one in names)


def _run(check: Check, out: Path) -> Verdict:
    out.mkdir(parents=True, exist_ok=True)
    log = out / f"{check.name.replace('/', '.')}.log"
    started = time.monotonic()
    with log.open("wb") as file:
        status = subprocess.run(check.command, stdout=file, stderr=subprocess.STDOUT,
                                env=os.environ | check.environment, check=False).returncode
    text = log.read_text(errors="replace")
    # A run that found no tests has not passed.
    subtests = results(check.pattern, text)
    bad = [one.name for one in subtests if not one.ok]
    verdict = Verdict(check.name, ok=status == 0 and bool(subtests),
                      subtests=subtests, seconds=time.monotonic() - started, log=str(log))
    if not verdict.ok:
        last = text.strip().splitlines()[-1:] or ["no output"]
        verdict.reason = f"failed: {', '.join(bad)}" if bad else f"status {status}: {last[0]}"
    return verdict


def results(pattern: re.Pattern[str], text: str) -> list[Result]:
    """The single tests that a test runner listed."""
    found = filter(None, map(pattern.match, text.splitlines()))
    return [Result(match["name"], match["what"] not in ("FAILED", "FAIL", "ERROR"))
            for match in found]
