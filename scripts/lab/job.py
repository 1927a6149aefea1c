# SPDX-License-Identifier: GPL-2.0
"""The steps around a guest, as one shell script.

The script fills the disks with their patterns, runs the VMM, and verifies the
disks from outside. The same text runs in the build root and, as the payload of
the outer guest, in a nested machine, so it keeps to what BusyBox knows. It finds
its files in the current directory and its outputs in $CONSOLE, $VMM_LOG and
$JOB_LOG, each a file or a port. Where a case has things done outside, the guest's
console goes through agent.sh.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field

from . import vmm
from .machine import Machine, Unit

SCRIPT = """\
#!/bin/sh
# Made by the lab; see scripts/lab/job.py.
exec >"$JOB_LOG" 2>&1
echo "job: start"
fill() {{ diskcheck write --size "$2" --disk "$1" --generation 1 --io-size 1M "disk$1" >/dev/null; }}
ext4() {{ [ "$(dd if="disk$1" bs=1 skip=1080 count=2 2>/dev/null | od -An -tx1 | tr -d ' ')" = 53ef ]; }}
outside() {{
	if ext4 "$1"; then
		e2fsck -fn "disk$1" >fsck.log 2>&1 || {{ echo "outside disk=$1 bad: $(tail -n 2 fsck.log)"; return; }}
		debugfs -R "dump /pattern dump$1" "disk$1" >/dev/null 2>&1
		echo "outside disk=$1 form=ext4 $(diskcheck verify --disk "$1" "dump$1" 2>&1)"
		rm -f "dump$1"
	else
		echo "outside disk=$1 form=raw $(diskcheck verify --disk "$1" --io-size 1M "disk$1" 2>&1)"
	fi
}}
{fill}
echo "job: boot"
{run}
echo "job: status=$status"
[ -e counters.json ] && echo "counters: $(tr -d '\\n' <counters.json)"
{verify}
echo "job: end"
"""


# What a VMM's output goes through where nobody listens to the guest, and where
# somebody does. The fourth descriptor keeps the guest's input open.
PLAIN = """\
{command} </dev/null >"$CONSOLE" 2>"$VMM_LOG"
status=$?"""
HEARD = """\
mkfifo input monitor.in monitor.out && exec 4<>input 3<>monitor.in || {{ echo "job: no pipes"; exit 1; }}
{{ {command} <input 2>"$VMM_LOG"; echo $? >status; }} | tee "$CONSOLE" | sh agent.sh {vmm} {module}
read -r status <status"""
# A disk of level 1 for a unit that is passed through.
SCSI_DEBUG = """\
insmod /modules/scsi_debug.ko dev_size_mb=8 delay=0 || {{ echo "job: no scsi_debug"; exit 1; }}
for node in /sys/class/scsi_generic/*; do
	case $(cat "$node/device/model") in scsi_debug*) ln -s "/dev/${{node##*/}}" {name} ;; esac
done
[ -e {name} ] || {{ echo "job: scsi_debug has no device"; exit 1; }}"""


def script(machine: Machine, command: list[str], host: bool = False, user: int = 0) -> str:
    """The job for a machine that `command` starts."""
    disks = machine.disks.disks
    before = [_fill(disk) for disk in disks]
    if machine.disks.has("pass"):
        before.append(SCSI_DEBUG.format(name=vmm.PASS))
    if user:
        before.append(f"chown -R {user}:{user} .")
        command = [*_unprivileged(user), *command]
    run = (HEARD if host else PLAIN).format(
        command=shlex.join(command), vmm=machine.vmm, module=machine.module)
    return SCRIPT.format(
        fill="\n".join(before),
        run=run,
        verify="\n".join(f"outside {disk.number}" for disk in disks),
    )


def _fill(disk: Unit) -> str:
    failure = f'echo "job: cannot fill disk {disk.number}"; exit 1'
    return f"fill {disk.number} {disk.size} || {{ {failure}; }}"


def _unprivileged(user: int) -> list[str]:
    """util-linux' program; BusyBox has another one of that name."""
    return ["/usr/bin/setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups",
            "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]


@dataclass
class Report:
    """What the job said."""

    started: bool = False
    booted: bool = False
    ended: bool = False
    status: int | None = None
    counters: dict[str, object] | None = None
    outside: dict[int, str] = field(default_factory=dict)
    host: list[str] = field(default_factory=list)  # what the agent did
    other: list[str] = field(default_factory=list)


def parse(text: str) -> Report:
    """Reads a job's output, as far as it came."""
    report = Report()
    for line in text.replace("\r", "").splitlines():
        if line == "job: start":
            report.started = True
        elif line == "job: boot":
            report.booted = True
        elif line == "job: end":
            report.ended = True
        elif line.startswith("job: status="):
            report.status = int(line.partition("=")[2])
        elif line.startswith("outside disk="):
            number, _, found = line.removeprefix("outside disk=").partition(" ")
            report.outside[int(number)] = found
        elif line.startswith("counters: "):
            report.counters = _json(line.removeprefix("counters: "))
        elif line.startswith("host: "):
            report.host.append(line.removeprefix("host: "))
        else:
            report.other.append(line)
    return report


def _json(text: str) -> dict[str, object] | None:
    try:
        return json.loads(text)
    except ValueError:
        return None
