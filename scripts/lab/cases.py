# SPDX-License-Identifier: GPL-2.0
"""What a case file says about itself.

A case is a shell script tests/GROUP/NAME.sh. Its leading comment says in
sentences what it proves, then in `key: value` lines what it needs:

    # machine: module=virtio_scsi driver=rust,c vmm=hospes,qemu kernel=stock ...
    #          a matrix: every combination of the listed values; may be repeated;
    #          with set=long only where the long tests are asked for
    # set:     long - only where they are, whatever the machine (as always with
    #          kernel=debug)
    # limit:   seconds after which the case has failed (default 60)
    # order:   first | last among the cases of one boot (default: by name)
    # alone:   yes - never shares a boot
    # exit:    how the machine must end, by the name of its exit status
    # cmdline: words for the guest's kernel command line (implies alone)
    # hospes, qemu: words for the command line of that VMM (implies alone)
    # user:    number of the user, without any privilege, that hospes runs as
    #          (implies alone)
    # host:    yes - the case has things done outside (`host` of tests/lib.sh)
    # programs: names, with wildcards, of programs of Debian packages
    #          (scripts/guest-packages)
    # next-kernel: yes - the guest can start the stock kernel, with the same case
"""

from __future__ import annotations

import fnmatch
import itertools
from dataclasses import dataclass, field
from pathlib import Path

from .machine import Disks, Machine

# Limits hold on a machine so many times slower than the one they were measured
# on. They tell a guest that hangs from one that works; they measure nothing.
PATIENCE = 4


def patience(kernel: str) -> int:
    """The same for a guest: sanitizers cost several times the instructions."""
    return PATIENCE * (4 if kernel == "debug" else 1)


KEYS = {"machine", "set", "limit", "order", "alone", "exit", "cmdline", "vmm-limit", "hospes",
        "qemu", "user", "host", "programs", "next-kernel"}
CHOICES = {
    "driver": {"rust", "c"},
    "vmm": {"hospes", "qemu", "qemu_kvm"},
    "kernel": {"stock", "lab", "debug"},
    "bus": {"rust", "c"},
}
SETS = {"default", "long"}


class HeaderError(Exception):
    """A case file whose header makes no sense."""


@dataclass(frozen=True)
class Case:
    """One case file."""

    name: str  # GROUP/NAME
    path: Path
    title: str
    machines: tuple[Machine, ...]
    limit: int = 60
    order: str = "middle"
    alone: bool = False
    exit: str = "power-off"
    cmdline: str = ""
    vmm_limit: int = 0
    long: frozenset[Machine] = frozenset()  # machines for the long tests only
    words: dict[str, str] = field(default_factory=dict)  # for a VMM's command line
    user: int = 0
    host: bool = False
    programs: tuple[str, ...] = ()
    next_kernel: bool = False

    @property
    def group(self) -> str:
        """Directory of the case."""
        return self.name.split("/")[0]

    @property
    def outside(self) -> Path:
        """The case's own script for the other side, if it has one."""
        return self.path.with_suffix(".host.sh")


@dataclass
class Boot:
    """Cases that share a machine, in the order in which they run."""

    machine: Machine
    cases: list[Case] = field(default_factory=list)

    @property
    def host(self) -> bool:
        """Whether a case has things done outside."""
        return any(case.host for case in self.cases)

    @property
    def slug(self) -> str:
        """The directory of its results."""
        if len(self.cases) == 1 and self.cases[0].alone:
            return f"{self.machine.slug}-{self.cases[0].name.split('/')[1]}"
        return self.machine.slug


def load(root: Path) -> list[Case]:
    """All cases below root."""
    paths = sorted(path for path in root.glob("*/*.sh") if not path.name.endswith(".host.sh"))
    return [parse(path, f"{path.parent.name}/{path.stem}") for path in paths]


def parse(path: Path, name: str) -> Case:
    """Reads the leading comment of one case file."""
    title: list[str] = []
    keys: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        key, colon, value = text.partition(":")
        if colon and key in KEYS:
            keys.setdefault(key, []).append(value.strip())
        elif text and not text.startswith(("!", "SPDX")):
            title.append(text)
    try:
        return _case(path, name, " ".join(title), keys)
    except ValueError as error:
        raise HeaderError(f"{path}: {error}") from error


def _case(path: Path, name: str, title: str, keys: dict[str, list[str]]) -> Case:
    if not title:
        raise ValueError("no sentence says what the case proves")
    if "machine" not in keys:
        raise ValueError("no machine")
    lines = [(matrix(line), line_set(line)) for line in keys["machine"]]
    every = keys.get("set", ["default"])[-1]
    if every not in SETS:
        raise ValueError(f"set={every} is not known")
    short = {machine for machines, which in lines for machine in machines
             if which == every == "default" and machine.kernel != "debug"}
    last = {key: values[-1] for key, values in keys.items()}
    words = {key: " ".join(keys.get(key, [])) for key in ("cmdline", "hospes", "qemu", "programs")}
    vmm_limit, user = int(last.get("vmm-limit", "0")), int(last.get("user", "0"))
    exit_name = last.get("exit", "power-off")
    special = bool(words["cmdline"] or words["hospes"] or words["qemu"] or vmm_limit or user)
    return Case(
        name=name,
        path=path,
        title=title,
        machines=tuple(machine for machines, _ in lines for machine in machines),
        long=frozenset(machine for machines, _ in lines for machine in machines) - short,
        limit=int(last.get("limit", "60")),
        order=last.get("order", "middle"),
        alone=special or exit_name != "power-off" or last.get("alone", "no") == "yes",
        exit=exit_name,
        cmdline=words["cmdline"],
        vmm_limit=vmm_limit,
        words={vmm: words.get(vmm, "") for vmm in CHOICES["vmm"]},
        user=user,
        host=last.get("host", "no") == "yes",
        programs=tuple(words["programs"].split()),
        next_kernel=last.get("next-kernel", "no") == "yes",
    )


def line_set(line: str) -> str:
    """Which tests one `machine:` line belongs to."""
    sets = [word.removeprefix("set=") for word in line.split() if word.startswith("set=")]
    if set(sets) - SETS:
        raise ValueError(f"set={sets[-1]} is not known")
    return sets[-1] if sets else "default"


def matrix(line: str) -> list[Machine]:
    """Every machine of one `machine:` line."""
    values: dict[str, list[str]] = {}
    for word in line.split():
        key, equals, value = word.partition("=")
        if key == "set":
            continue
        if not equals or key not in Machine.__dataclass_fields__:
            raise ValueError(f"'{word}' is not a property of a machine")
        values[key] = value.split(",")
        unknown = set(values[key]) - CHOICES.get(key, set(values[key]))
        if unknown:
            raise ValueError(f"{key}={','.join(sorted(unknown))} is not known")
    return [
        _machine(dict(zip(values, combination)))
        for combination in itertools.product(*values.values())
    ]


def _machine(values: dict[str, str]) -> Machine:
    disks = Disks(values.pop("disks", "none"))
    disks.check()  # A bad text is an error of the header, not of a later boot.
    vcpus = int(values.pop("vcpus", "1"))
    return Machine(**values, vcpus=vcpus, disks=disks)


def select(cases: list[Case], pattern: str, long: bool = False) -> list[tuple[Case, Machine]]:
    """Pairs of case and machine that a pattern names, with the long ones or without.

    The pattern is a case (`direct`, `virtio_scsi/direct`), a group or module
    (`virtio_scsi`), with shell wildcards; after an `@` a pattern for machines
    may follow (`direct@*rust*hospes*`). Several are separated by commas.
    """
    chosen = []
    for case in cases:
        for machine in dict.fromkeys(case.machines):
            if machine in case.long and not long:
                continue
            if any(_matches(case, machine, one) for one in (pattern or "*").split(",")):
                chosen.append((case, machine))
    return chosen


def _matches(case: Case, machine: Machine, pattern: str) -> bool:
    what, _, where = pattern.partition("@")
    names = (case.name, case.name.split("/")[1], case.group, machine.module)
    fits = any(fnmatch.fnmatchcase(name, what or "*") for name in names)
    return fits and fnmatch.fnmatchcase(machine.slug, where or "*")


def boots(pairs: list[tuple[Case, Machine]]) -> list[Boot]:
    """Groups cases by machine. Unit tests come first, because what they find
    explains the rest; then the longest boots, so that none is last alone."""
    shared: dict[Machine, Boot] = {}
    alone: list[Boot] = []
    rank = {"first": 0, "middle": 1, "last": 2}
    for case, machine in pairs:
        if case.alone:
            alone.append(Boot(machine, [case]))
        else:
            shared.setdefault(machine, Boot(machine)).cases.append(case)
    for boot in shared.values():
        boot.cases.sort(key=lambda case: (rank[case.order], case.name))
    return sorted(
        [*shared.values(), *alone],
        key=lambda boot: (
            boot.cases[0].group != "kunit",
            not boot.machine.on_kvm,
            -len(boot.cases),
            boot.slug,
        ),
    )
