"""Guests of each hypervisor that our VMM can be, their disks and memory on our drivers,
and tables of what came of it."""

from __future__ import annotations

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from . import cases, cpu, matrix, modules
from .guest import Parts
from .machine import Machine
from .matrix import Attempt, Runner
from .report import Progress, Verdict

GROUP = "demo"
# What a guest of ours takes its hypervisor for, by the driver of its disks.
_HYPERVISORS = {"virtio_scsi": "KVM", "hv_storvsc": "Hyper-V", "vmw_pvscsi": "VMware"}
# Drivers of ours in a guest, where that is more than the one of its disks.
_DRIVERS = {"vmw_pvscsi": ["vmw_pvscsi", "vmw_balloon"]}
_SHOWN = re.compile(r"# shown disks=(?P<disks>\S+) path=(?P<path>\S+) (?P<verb>\w+) .*?"
                    r"rate=(?P<rate>[\d.]+)MiB/s")
_BALLOON = re.compile(r"# shown balloon=(?P<balloon>\d+) vmm=(?P<vmm>\d+)")
_DIGEST = re.compile(r"digest=(\w+)")


def run(parts: Parts, runner: Runner, progress: Progress) -> bool:
    """Runs the demonstration; true if every byte was right."""
    every = [case for case in cases.load(parts.root / "tests") if case.group == GROUP]
    boots = cases.boots([(case, machine) for case in every for machine in case.machines])
    # In the order in which they are shown.
    boots.sort(key=lambda boot: list(_HYPERVISORS).index(boot.machine.module))
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
    attempt = runner.attempt(boot, boot.cases, directory)
    verdicts = list(matrix.judge(attempt, boot.cases, boot.machine, directory))
    for case in boot.cases[len(verdicts):]:
        verdicts.append(Verdict(case.name, False, f"did not run: {matrix.death(attempt)}",
                                boot.machine, log=str(directory)))
    return summary(parts, boot, attempt, verdicts), all(one.ok for one in verdicts)


def summary(parts: Parts, boot: cases.Boot, attempt: Attempt,
            verdicts: list[Verdict]) -> list[str]:
    """What is shown of a guest."""
    machine = boot.machine
    release = attempt.stream.facts.get("release", "?")
    stock = modules.tree(parts.kernels["stock"]).release
    unmodified = "Debian's, unmodified" if release == stock else f"expected {stock}"
    drivers = [_module(parts, name) for name in _DRIVERS.get(machine.module, [machine.module])]
    lines = [
        "",
        f"guest    of {_HYPERVISORS[machine.module]}",
        *(f"driver   {driver}" for driver in drivers),
        f"VMM      {(parts.tools / 'hospes').relative_to(parts.root)} (static)",
        f"kernel   {release} ({unmodified})",
        f"machine  {attempt.stream.facts.get('cpus', '?')} vCPUs, {len(machine.disks)} disks on "
        f"one controller, KVM {cpu.path_to_kvm()}",
    ]
    said = [line for verdict in verdicts for line in verdict.lines]
    for shown in (table(attempt, machine, said, verdicts), balloon(said)):
        lines += ["", *shown] if shown else []
    wrong = [f"FAILED: {one.name}: {one.reason}\nsee {one.log}" for one in verdicts if not one.ok]
    return [*lines, "", *(wrong or ["every byte is right, inside and outside"])]


def _module(parts: Parts, name: str) -> str:
    path = next(parts.modules["stock"].rglob(f"{name}.ko"))
    return f"{path.relative_to(parts.root)} ({path.stat().st_size >> 10} KiB)"


def table(attempt: Attempt, machine: Machine, said: list[str],
          verdicts: list[Verdict]) -> list[str]:
    """A row for each disk that was shown, one for those that share theirs."""
    rates: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    for match in filter(None, map(_SHOWN.search, said)):
        rates[match["disks"], match["path"]][match["verb"]] = match["rate"]
    disks = {disk.number: disk for disk in machine.disks.disks}
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
            _inside(label, verdicts),
            _outside(numbers, attempt),
        ])
    return _aligned(rows)


def balloon(said: list[str]) -> list[str]:
    """A row for each time that the balloon was looked at; nothing without one."""
    found = [match for match in map(_BALLOON.search, said) if match]
    rows = [["balloon", "the VMM's resident size"]]
    rows += [[f"{match['balloon']} MiB", f"{match['vmm']} MiB"] for match in found]
    return _aligned(rows) if found else []


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
            for row in rows]


def _numbers(label: str) -> list[int]:
    first, _, last = label.partition("-")
    return list(range(int(first), int(last or first) + 1))


def _inside(label: str, verdicts: list[Verdict]) -> str:
    name = re.compile(rf"disks? {re.escape(label)}:")
    checks = [one for verdict in verdicts for one in verdict.subtests if name.match(one.name)]
    return "ok" if checks and all(one.ok for one in checks) else "WRONG"


def _outside(numbers: list[int], attempt: Attempt) -> str:
    wrong = [number for number in numbers if matrix.wrong_outside(attempt, number)]
    if wrong:
        return f"WRONG: disk {wrong[0]}"
    if len(numbers) > 1:
        return f"ok, {len(numbers)} digests"
    digest = _DIGEST.search(attempt.report.outside.get(numbers[0], ""))
    return f"ok, {digest[1]}" if digest else "WRONG"
