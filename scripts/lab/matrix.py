# SPDX-License-Identifier: GPL-2.0
"""Boots machines until every case has its verdict.

Cases of one machine share a boot. When a guest dies, the case that ran has
failed, and the ones after it get a fresh boot. A nested machine that dies in
the lab's own way - level 1 stalls, or KVM gives up in it - is told apart: it is
started once more, and counted; so is any machine that goes silent before its
first case, when no driver under test has been loaded. A case whose nested guest
just stops, with nothing in any log, is run once more, too: an event that the
processor's emulation loses or delivers twice looks like that. A case that stops a
second time has failed, and those that did not are counted.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import backend, cpu, guest, iso, job, ktap, vmm, watch
from .cases import PATIENCE, Boot, Case, patience
from .machine import Machine
from .report import Progress, Verdict

# What the VMM says when KVM gives up, which is taken for the emulator's doing.
_KVM_TROUBLE = re.compile(r"KVM could not go on: .*")
# Lines shown of a case that failed, counted from its end.
_SCENE = 24


@dataclass
class Attempt:
    """One boot and what became of it."""

    stream: ktap.Stream
    report: job.Report
    killed: str | None
    session: backend.Session
    seconds: float
    tail: list[str]

    @property
    def lab_death(self) -> str | None:
        """Why the lab, not the guest, is to blame."""
        if self.killed and not self.stream.started and not self.stream.fatal:
            return f"{self.killed}, before any case"
        if not self.session.nested:
            return None
        outer = ktap.Stream()
        for line in self.session.text("outer").splitlines():
            outer.feed(line, 0)
        if outer.fatal or outer.stalled:
            return f"level 1: {outer.fatal or outer.stalled}"
        if not self.report.booted:
            return "level 1 did not come as far as the guest"
        if trouble := _KVM_TROUBLE.search(self.session.text("vmm.log")):
            return trouble[0]
        return None

    @property
    def hung(self) -> bool:
        """Whether a nested guest went silent, and nothing anywhere says why."""
        running = self.stream.running
        # A guest that is alive to say that its time is over tells what it waits for.
        spoke = running and any("# timeout: " in line for line in running.lines)
        return bool(self.session.nested and self.killed and not self.stream.fatal and not spoke)


@dataclass
class Runner:
    """Runs boots, some at a time."""

    parts: guest.Parts
    out: Path
    progress: Progress
    jobs: int
    lab_deaths: list[str] = field(default_factory=list)

    def run(self, boots: list[Boot]) -> list[Verdict]:
        """All verdicts, in the order of the boots."""
        with ThreadPoolExecutor(self.jobs) as pool:
            return [verdict for verdicts in pool.map(self._boot, boots) for verdict in verdicts]

    def _boot(self, boot: Boot) -> list[Verdict]:
        if boot.machine.disks.has("pass") and not backend.for_machine(boot.machine).nested:
            reason = "no device of this machine is lent to a guest"
            return [_verdict(case, boot.machine, True, "", skip=reason) for case in boot.cases]
        try:
            return list(self._until_decided(boot))
        except Exception as error:  # A fault of the lab must not pass for a success.
            self.progress.say(f"{boot.slug}: {error!r}")
            return [_verdict(case, boot.machine, False, f"lab: {error!r}") for case in boot.cases]

    def _until_decided(self, boot: Boot) -> Iterator[Verdict]:
        waiting = list(boot.cases)
        boots = 0
        hung: dict[str, str] = {}
        while waiting:
            boots += 1
            directory = self.out / (boot.slug if boots == 1 else f"{boot.slug}.{boots}")
            attempt = self.attempt(boot, waiting, directory)
            verdicts = list(judge(attempt, waiting, boot.machine, directory))
            if not verdicts:  # Not one case was decided: all fail for the same reason.
                reason = f"no case ran: {death(attempt)}"
                verdicts = [_verdict(case, boot.machine, False, reason, directory)
                            for case in waiting]
            last = verdicts[-1]
            if last.hung and last.name not in hung:
                hung[last.name] = last.reason
                self.progress.say(f"{boot.slug}: {last.name} stopped, once more: {last.reason}")
                verdicts.pop()
            for verdict in verdicts:
                verdict.repeated = hung.get(verdict.name, "")
                self.progress.verdict(verdict)
                yield verdict
            waiting = waiting[len(verdicts) :]

    def attempt(self, boot: Boot, cases: list[Case], directory: Path) -> Attempt:
        """Boots a machine, once more if the lab itself failed."""
        attempt = self.start(boot, cases, directory)
        blame = attempt.lab_death
        if blame:
            self.lab_deaths.append(f"{boot.slug}: {blame}")
            self.progress.say(f"{boot.slug}: the lab itself failed ({blame}), once more")
            attempt = self.start(boot, cases, directory.with_name(directory.name + ".retry"))
        return attempt

    def start(self, boot: Boot, cases: list[Case], directory: Path) -> Attempt:
        """Boots a machine and follows it to its end."""
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        place = backend.for_machine(boot.machine)
        limits = _limits(cases, boot.machine, place.nested)
        stream = ktap.Stream()
        started = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="lab-") as scratch:
            session = self._session(boot, cases, place, directory, Path(scratch), limits)
            tail = watch.Tail(session.console)
            try:
                killed = watch.follow(session.process, tail, stream, limits,
                                      lambda: self.progress.stage(boot.slug, stream))
            finally:
                watch.kill(session.process)
        report = job.parse(session.text("job.log"))
        if report.counters:
            (directory / "counters.json").write_text(json.dumps(report.counters, indent=1) + "\n")
        lines = session.text("console").splitlines()
        return Attempt(stream, report, killed, session, time.monotonic() - started, lines[-8:])

    def _session(self, boot: Boot, cases: list[Case], place: backend.Local | backend.Nested,
                 directory: Path, scratch: Path, limits: watch.Limits) -> backend.Session:
        files = backend.Files(
            kernel=self.parts.image(boot.machine.kernel),
            initrd=guest.initramfs(self.parts, boot, cases),
            others=_files(self.parts, boot),
        )
        kernel, initrd = place.names(files, scratch)
        limit = max((case.vmm_limit for case in cases), default=0) or limits.total
        words = tuple(word for case in boot.cases
                      for word in shlex.split(case.words[boot.machine.vmm]))
        command = vmm.command(
            boot.machine, vmm.Boot(kernel, initrd, _append(boot), limit, boot.host, words)
        )
        user = max(case.user for case in boot.cases)
        script = job.script(boot.machine, command, boot.host, user)
        return place.start(script, self.parts, boot.machine, directory, scratch, files)


def _files(parts: guest.Parts, boot: Boot) -> dict[str, bytes]:
    """What the job's directory holds besides kernel and initrd."""
    files = {}
    if boot.machine.disks.has("cd"):
        files |= {vmm.CD: iso.TEST_IMAGE, vmm.OTHER_CD: iso.OTHER_IMAGE}
    if boot.host:
        files["agent.sh"] = (parts.root / "scripts/lab/agent.sh").read_bytes()
    for case in boot.cases:
        if case.outside.exists():
            files[f"own/{case.name.replace('/', '.')}"] = case.outside.read_bytes()
    return files


def _append(boot: Boot) -> str:
    """The command line; an emulated kernel cannot calibrate its counter by itself.

    Every level sees the counter of this machine.
    """
    line = guest.command_line(boot)
    return line if cpu.runs_guests() else f"{line} tsc_early_khz={cpu.tsc_khz()}"


def _limits(cases: list[Case], machine: Machine, nested: bool) -> watch.Limits:
    scale = patience(machine.kernel)
    boot = scale * ((180 if nested else 90) + len(machine.disks))  # The job fills them first.
    total = boot + scale * (sum(case.limit for case in cases) + 60)
    return watch.Limits(word=boot // 2, boot=boot, case=scale * 20, end=scale * 120, total=total)


def judge(attempt: Attempt, cases: list[Case], machine: Machine,
          directory: Path) -> Iterator[Verdict]:
    """Verdicts of the cases that this boot decided, in order."""
    runs = {run.name: run for run in attempt.stream.cases}
    for case in cases:
        run = runs.get(case.name)
        if case.exit != "power-off":
            if run or attempt.report.ended:
                yield _exit_verdict(case, machine, attempt, directory)
            return
        if run is None:
            return
        (directory / f"{case.name.replace('/', '.')}.log").write_text("\n".join(run.lines) + "\n")
        verdict = _verdict(case, machine, False, "", directory)
        verdict.subtests = run.subtests
        verdict.lines = run.lines
        verdict.seconds = (run.ended or run.started) - run.started
        if run.result is None:
            verdict.reason = death(attempt)
            verdict.hung = attempt.hung
            verdict.scene = attempt.stream.scene or run.lines[-_SCENE:]
            yield verdict
            return
        verdict.ok = run.result.ok
        verdict.skip = run.result.skip
        if not run.result.ok:
            verdict.reason = run.failure()
            verdict.scene = run.lines[-_SCENE:]
        is_last = case is cases[-1]
        if is_last and verdict.ok and (fault := outside(attempt) or bad_end(attempt, machine)):
            verdict.ok, verdict.reason = False, fault
            verdict.scene = attempt.stream.scene
        yield verdict


def death(attempt: Attempt) -> str:
    """Why a guest ended before its time, as exactly as can be said."""
    if attempt.stream.fatal:
        return attempt.stream.fatal
    status = attempt.report.status
    reason = attempt.killed or (
        f"the VMM ended with status {status}" if status is not None else "the machine ended"
    )
    detail = [ktap.strip(line) for line in attempt.tail[-3:]]
    log = attempt.session.text("vmm.log").strip().splitlines()
    other = attempt.report.other[-2:]
    return "; ".join([reason, *other, *log[-2:], *(f"console: {line}" for line in detail)])


def outside(attempt: Attempt) -> str | None:
    """What is wrong with the disks as seen from outside."""
    faults = (wrong_outside(attempt, number) for number in sorted(attempt.stream.leaves))
    return next(filter(None, faults), None)


def wrong_outside(attempt: Attempt, number: int) -> str | None:
    """What is wrong with one disk: it must hold what the guest said it left there."""
    words = attempt.stream.leaves.get(number)
    if words is None:
        return f"the guest does not say what it left on disk {number}"
    found = attempt.report.outside.get(number, "not looked at")
    want = f"generation={words['generation']} "
    form = f"form={words.get('form', 'raw')} "
    if "verified " in found and want in found and found.startswith(form):
        return None
    return f"outside, disk {number} is not {form}{want}but: {found}"


def bad_end(attempt: Attempt, machine: Machine) -> str | None:
    """How the machine's end differs from a guest that powered itself off."""
    if attempt.killed:
        return attempt.killed
    if attempt.stream.fatal:
        return attempt.stream.fatal
    if not attempt.stream.ended or not attempt.report.ended:
        return death(attempt)
    if attempt.report.status != 0:
        return f"{machine.vmm} ended with status {attempt.report.status} after power-off"
    return None


def _exit_verdict(case: Case, machine: Machine, attempt: Attempt, directory: Path) -> Verdict:
    want = vmm.HOSPES_STATUS.get(case.exit)
    status = attempt.report.status
    arrived = bool(attempt.stream.cases)
    ok = arrived and status is not None and status == want
    reason = "" if ok else f"exit status {status}, not {want} ({case.exit}); {death(attempt)}"
    verdict = _verdict(case, machine, ok, reason, directory)
    verdict.seconds = attempt.seconds
    return verdict


def _verdict(case: Case, machine: Machine, ok: bool, reason: str,
             directory: Path | None = None, skip: str | None = None) -> Verdict:
    return Verdict(name=case.name, machine=machine, ok=ok, reason=reason, skip=skip,
                   log=str(directory) if directory else "")
