# SPDX-License-Identifier: GPL-2.0
"""Command line of the lab; scripts/test and scripts/demo call it."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from . import backend, cases, guest, matrix, tsc
from .report import Progress, Summary


def main() -> int:
    """Runs a sub-command."""
    args = _arguments()
    return args.run(args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(required=True)

    test = commands.add_parser("test", help="run cases and print a verdict")
    _common(test)
    test.add_argument("--select", default="", metavar="PATTERN",
                      help="cases: name, group or wildcard, with @MACHINE behind it")
    test.add_argument("--list", action="store_true", help="print what would run")
    test.set_defaults(run=_test)
    return parser.parse_args()


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", type=Path, required=True, help="the checkout")
    parser.add_argument("--out", type=Path, required=True, help="where results go")
    parser.add_argument("--kernel", action="append", default=[], metavar="NAME=TREE")
    parser.add_argument("--modules", action="append", default=[], metavar="NAME=DIRECTORY")
    parser.add_argument("--tools", type=Path, required=True, help="static hospes and diskcheck")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1)


def _parts(args: argparse.Namespace) -> guest.Parts:
    return guest.Parts(args.root, _paths(args.kernel), _paths(args.modules), args.tools)


def _paths(words: list[str]) -> dict[str, Path]:
    pairs = (word.partition("=") for word in words)
    return {name: Path(path) for name, _, path in pairs}


def _test(args: argparse.Namespace) -> int:
    pairs = cases.select(cases.load(args.root / "tests"), args.select)
    boots = cases.boots(pairs)
    if args.list:
        for boot in boots:
            print(boot.machine, *(f"  {case.name}" for case in boot.cases), sep="\n")
        return 0
    progress = Progress()
    runner = matrix.Runner(_parts(args), args.out, progress, args.jobs)
    progress.say(f"{len(pairs)} cases in {len(boots)} boots, {args.jobs} at a time, "
                 f"KVM {backend.path_to_kvm()}")
    tsc.khz()
    summary = Summary(runner.run(boots), {"kvm": backend.path_to_kvm(),
                                          "lab_deaths": runner.lab_deaths})
    summary.write(args.out)
    print(summary.line())
    return int(summary.failed)


if __name__ == "__main__":
    sys.exit(main())
