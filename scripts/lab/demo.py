"""Guests on our VMM with their disks on our drivers, and a table of what came of each."""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from . import cases, cpu, matrix, modules
from .guest import Parts
from .matrix import Attempt, Runner
from .report import Progress, Verdict

CASE = "demo/first_light"
# What a guest of ours takes its hypervisor for, by the driver of its disks.
_HYPERVISORS = {"virtio_scsi": "KVM", "hv_storvsc": "Hyper-V", "vmw_pvscsi": "VMware"}
_SHOWN = re.compile(r"# shown disks=(?P<disks>\S+) path=(?P<path>\S+) (?P<verb>\w+) .*?"
                    r"rate=(?P<rate>[\d.]+)MiB/s")
_DIGEST = re.compile(r"digest=(\w+)")


def run(parts: Parts, runner: Runner, progress: Progress) -> bool:
    """Runs the demonstration; true if every byte was right."""
    (case,) = [one for one in cases.load(parts.root / "tests") if one.name == CASE]
    boots = [cases.Boot(machine, [case]) for machine in case.machines]
    for boot in boots:
        progress.say(f"a {_HYPERVISORS[boot.machine.module]} guest: {boot.machine}; "
                     f"KVM {cpu.path_to_kvm()}")
    with ThreadPoolExecutor(runner.jobs) as pool:
        guests = list(pool.map(lambda boot: _guest(parts, runner, boot), boots))
    for lines, _ in guests:
        print("\n".join(lines))
    return all(ok for _, ok in guests)


def _guest(parts: Parts, runner: Runner, boot: cases.Boot) -> tuple[list[str], bool]:
    """Boots one, and says what came of it."""
    directory = runner.out / boot.slug
    (case,) = boot.cases
    attempt = runner.attempt(boot, [case], directory)
    verdicts = list(matrix.judge(attempt, [case], boot.machine, directory))
    verdict = verdicts[0] if verdicts else Verdict(
        case.name, False, f"no guest: {matrix.death(attempt)}", boot.machine)
    return summary(parts, boot, attempt, verdict), verdict.ok


def summary(parts: Parts, boot: cases.Boot, attempt: Attempt, verdict: Verdict) -> list[str]:
    """What is shown of a guest."""
    machine = boot.machine
    release = attempt.stream.facts.get("release", "?")
    stock = modules.tree(parts.kernels["stock"]).release
    unmodified = "Debian's, unmodified" if release == stock else f"expected {stock}"
    driver = next(parts.modules["stock"].rglob(f"{machine.module}.ko"))
    lines = [
        "",
        f"guest    of {_HYPERVISORS[machine.module]}",
        f"driver   {driver.relative_to(parts.root)} ({driver.stat().st_size >> 10} KiB)",
        f"VMM      {(parts.tools / 'hospes').relative_to(parts.root)} (static)",
        f"kernel   {release} ({unmodified})",
        f"machine  {attempt.stream.facts.get('cpus', '?')} vCPUs, {len(machine.disks)} disks on "
        f"one controller, KVM {cpu.path_to_kvm()}",
        "",
    ]
    lines += table(attempt, verdict)
    lines.append("")
    lines.append("every byte is right, inside and outside" if verdict.ok
                 else f"FAILED: {verdict.reason}\nsee {verdict.log}")
    return lines


def table(attempt: Attempt, verdict: Verdict) -> list[str]:
    """A row for each disk that was shown, one for those that share theirs."""
    rates: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for line in verdict.lines:
        if match := _SHOWN.search(line):
            rates[match["disks"], match["path"]][match["verb"]] = match["rate"]
    disks = {disk.number: disk for disk in attempt_disks(verdict)}
    rows = [["disk", "size", "path", "write MiB/s", "read MiB/s", "inside", "outside"]]
    for (label, path), rate in rates.items():
        numbers = _numbers(label)
        size = f"{disks[numbers[0]].size >> 20} MiB"
        rows.append([
            label,
            size if len(numbers) == 1 else f"{len(numbers)} x {size}",
            path.replace(",", ", ").replace("-", " "),
            rate.get("wrote", "-"),
            rate.get("verified", "-"),
            _inside(label, verdict),
            _outside(numbers, attempt),
        ])
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows]


def attempt_disks(verdict: Verdict):
    """The disks of the machine that the verdict is about."""
    return verdict.machine.disks.disks if verdict.machine else []


def _numbers(label: str) -> list[int]:
    first, _, last = label.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _inside(label: str, verdict: Verdict) -> str:
    name = re.compile(rf"disks? {re.escape(label)}:")
    checks = [one for one in verdict.subtests if name.match(one.name)]
    return "ok" if checks and all(one.ok for one in checks) else "WRONG"


def _outside(numbers: list[int], attempt: Attempt) -> str:
    wrong = [number for number in numbers if matrix.wrong_outside(attempt, number)]
    if wrong:
        return f"WRONG: disk {wrong[0]}"
    if len(numbers) > 1:
        return f"ok, {len(numbers)} digests"
    digest = _DIGEST.search(attempt.report.outside.get(numbers[0], ""))
    return f"ok, {digest[1]}" if digest else "WRONG"
