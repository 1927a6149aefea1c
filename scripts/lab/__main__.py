# SPDX-License-Identifier: GPL-2.0
"""Command line of the lab; scripts/test and scripts/demo call it."""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from pathlib import Path

from . import bench, cases, cpu, demo, guest, host, matrix, modules, surface, table
from .report import Progress, Summary


def main() -> int:
    """Runs a sub-command."""
    args = _arguments()
    return args.run(args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the checkout")
    parser.add_argument("--out", type=Path, required=True, help="where results go")
    commands = parser.add_subparsers(required=True)
    test = commands.add_parser("test", help="run cases and print a verdict")
    _parts_arguments(test)
    test.add_argument("--select", default="", metavar="PATTERN",
                      help="cases: name, group or wildcard, with @MACHINE behind it")
    test.add_argument("--long", action="store_true", help="the long ones as well")
    test.set_defaults(run=_test)
    shown = commands.add_parser("demo", help="a guest of each hypervisor, and a table")
    _parts_arguments(shown)
    shown.set_defaults(run=_demo)
    measured = commands.add_parser("bench", help="measure, and print a table")
    measured.add_argument("name", choices=sorted(bench.WHAT))
    _parts_arguments(measured)
    measured.add_argument("--plugin", type=Path, required=True, help="bench/tcg-count, built")
    measured.add_argument("--repeats", type=int, default=3)
    measured.add_argument("--json", type=Path, required=True, help="where the rows go")
    measured.set_defaults(run=_bench)
    listing = commands.add_parser("list", help="print what would run")
    listing.add_argument("--select", default="", metavar="PATTERN")
    listing.add_argument("--long", action="store_true")
    listing.set_defaults(run=_list)
    rendered = commands.add_parser("table", help="put the last results into README.md")
    rendered.set_defaults(run=_table)
    return parser.parse_args()


def _parts_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kernel", action="append", default=[], metavar="NAME=TREE")
    parser.add_argument("--modules", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--tools", type=Path, required=True, help="static hospes and diskcheck")
    parser.add_argument("--programs", type=Path, help="tree of scripts/guest-packages")
    parser.add_argument("--cargo-target", type=Path, required=True,
                        help="where cargo keeps what it compiled")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)


def _parts(args: argparse.Namespace) -> guest.Parts:
    return guest.Parts(args.root, _paths(args.kernel), _paths(args.modules), args.tools,
                       args.programs)


def _paths(words: list[str]) -> dict[str, Path]:
    pairs = (word.partition("=") for word in words)
    return {name: Path(path) for name, _, path in pairs}


def _test(args: argparse.Namespace) -> int:
    parts = _parts(args)
    progress = Progress()
    verdicts = host.run(host.checks(args.root, args.cargo_target), args.out, args.select, progress)
    pairs = cases.select(cases.load(args.root / "tests"), args.select, args.long)
    boots = cases.boots(pairs)
    if not pairs and cases.select(cases.load(args.root / "tests"), args.select, long=True):
        progress.say("what the pattern names runs only in the long tests (make test-long)")
    runner = matrix.Runner(parts, args.out, progress, args.jobs)
    if boots:
        progress.say(f"{len(pairs)} cases in {len(boots)} boots, {args.jobs} at a time, "
                     f"KVM {cpu.path_to_kvm()}, TSC {cpu.tsc_khz()} kHz")
        verdicts += runner.run(boots)
    compared = surface.compare(verdicts)
    for verdict in compared:
        progress.verdict(verdict)
    summary = Summary(verdicts + compared, _lab(parts, runner))
    summary.write(args.out)
    summary.tell(progress)
    print(summary.line())
    return int(summary.failed)


def _lab(parts: guest.Parts, runner: matrix.Runner) -> dict[str, object]:
    return {
        "date": datetime.date.today().isoformat(),
        "kvm": cpu.path_to_kvm(),
        "kernels": {name: modules.tree(tree).release for name, tree in parts.kernels.items()},
        "lab_deaths": runner.lab_deaths,
    }


def _demo(args: argparse.Namespace) -> int:
    progress = Progress()
    parts = _parts(args)
    runner = matrix.Runner(parts, args.out, progress, os.cpu_count() or 1)
    return int(not demo.run(parts, runner, progress))


def _bench(args: argparse.Namespace) -> int:
    out = args.out / args.name
    out.mkdir(parents=True, exist_ok=True)
    rows = bench.WHAT[args.name](_parts(args), out, args.plugin, args.repeats, Progress())
    bench.rows.write(args.json, rows)
    print(bench.rows.table(rows))
    return 0


def _list(args: argparse.Namespace) -> int:
    chosen = cases.select(cases.load(args.root / "tests"), args.select, args.long)
    for boot in cases.boots(chosen):
        print(boot.slug, *(f"  {case.name}" for case in boot.cases), sep="\n")
    return 0


def _table(args: argparse.Namespace) -> int:
    table.update(args.root / "README.md", table.render(args.out / "results.json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
