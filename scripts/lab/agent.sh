#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
#
# Does outside what a guest asks for while it runs: hot-plug, media, faults.
#
#	agent.sh hospes|qemu MODULE <the guest's console
#
# A request is a line `# host NUMBER VERB WORDS…` of the guest's kernel log. The
# answer goes to the guest's serial line, which the file `input` leads to: a line
# `host NUMBER STATUS LINES`, then what the verb said. A request counts once: the
# log shows old lines again where a case has failed. The verbs are the same for
# both VMMs (Documentation/testing.md); BusyBox is all that they need. Files of
# the guest's units are in the current directory.

vmm=$1
module=$2
# What has faults.
faulty=s0
[ "$module" != vmw_balloon ] || faulty=balloon

# hospes: its control socket.

ctl() { hospes ctl --socket control.sock "$@"; }

# Where disk N is: a controller of VMware has one unit a target.
hospes_place() {
	if [ "$module" = vmw_pvscsi ]; then
		echo "target=$1,lun=0"
	else
		echo "lun=$1"
	fi
}

hospes_add() { ctl disk add "path=disk$1,on=${2:-s0},$(hospes_place "$1"),serial=DISK$1"; }
hospes_remove() { ctl disk remove "on=s0,$(hospes_place "$1")"; }
hospes_resize() { ctl disk resize "on=s0,$(hospes_place "$1"),size=$2"; }
hospes_change() { ctl cdrom change "on=s0,$(hospes_place "$1"),path=$2"; }
hospes_eject() { ctl cdrom eject "on=s0,$(hospes_place "$1")"; }
hospes_add_controller() {
	# One like the first.
	case $(ctl devices) in
	*storvsp*) ctl scsi add vmbus,id=s1,channels=1 ;;
	*pvscsi*) ctl scsi add pvscsi,id=s1,max_target=3 ;;
	*) ctl scsi add virtio,id=s1,queues=1,max_target=3 ;;
	esac && hospes_add "$1" s1
}
hospes_remove_controller() { ctl scsi remove id=s1; }
hospes_tear_controller() { ctl scsi remove id=s1,surprise; }
hospes_pause() { ctl pause; }
hospes_resume() { ctl resume; }
# A fault may name another device, as may what lists or clears them.
hospes_fault() {
	case $1 in
	on=*) ctl fault add "$1" ;;
	*) ctl fault add "on=$faulty,$1" ;;
	esac
}
hospes_faults() { ctl faults "on=${1:-$faulty}" | tr '{}' '\n\n'; }
hospes_clear_faults() { ctl fault clear "on=${1:-$faulty}"; }
hospes_counters() { ctl counters | tr '{},' '\n\n\n' | grep -e "${1:-.}"; }

# A word a line, for grep.
hospes_balloon() { ctl balloon "$@" | tr '{},' '\n\n\n' | tr -d '"'; }
# KiB of the VMM that are in memory; others may run, in directories of their own.
hospes_resident() {
	for process in $(pidof hospes); do
		[ "$(readlink "/proc/$process/cwd")" = "$(pwd -P)" ] || continue
		awk '/^VmRSS/ { print $2 }' "/proc/$process/status"
	done
}

# QEMU: its machine protocol, over two pipes.

# say JSON: sends a command and waits for its answer; events pass by.
say() {
	echo "$1" >monitor.in
	while read -r -t 30 reply <&5; do
		case $reply in *'"return"'* | *'"error"'*) return 0 ;; esac
	done
	echo "no answer to $1"
	return 1
}

# monitor COMMAND: a command of the human monitor, which says nothing if all is well.
monitor() {
	say "{\"execute\":\"human-monitor-command\",\"arguments\":{\"command-line\":\"$1\"}}" || return
	case $reply in *'"return": ""'*) return 0 ;; esac
	# It is proud of a drive that it added.
	case $reply in *'"return": "OK'*) return 0 ;; esac
	echo "$1: $reply"
	return 1
}

# Where disk N is: what QEMU's pvscsi offers has one unit a target.
qemu_place() {
	if [ "$module" = vmw_pvscsi ]; then
		echo "scsi-id=$1,lun=0"
	else
		echo "scsi-id=0,lun=$1"
	fi
}

qemu_add() {
	monitor "drive_add 0 if=none,id=d$1,format=raw,file=disk$1" &&
		monitor "device_add scsi-hd,id=u$1,bus=${2:-s0}.0,drive=d$1,$(qemu_place "$1"),serial=DISK$1"
}
qemu_remove() { monitor "device_del u$1"; }
qemu_resize() { monitor "block_resize d$1 $2"; }
qemu_change() { monitor "change d$1 $2 raw read-only"; }
qemu_eject() { monitor "eject -f d$1"; }
qemu_add_controller() {
	monitor "device_add virtio-scsi-pci,id=s1,bus=rp0,disable-legacy=on" && qemu_add "$1" s1
}
qemu_remove_controller() { monitor "device_del s1"; }
qemu_pause() { monitor stop; }
qemu_resume() { monitor cont; }

# Whichever.

# A guest that stands still cannot ask for more.
host_pause() {
	"${vmm}_pause" || return
	sleep "$1"
	"${vmm}_resume"
}

host_own() {
	own=$1
	shift
	sh "own/$own" "$@"
}

perform() {
	verb=$(echo "$1" | tr - _)
	shift
	case $verb in
	pause | own) "host_$verb" "$@" ;;
	add | remove | resize | change | eject | add_controller | remove_controller) "${vmm}_$verb" "$@" ;;
	balloon | resident | fault | faults | clear_faults | counters | tear_controller)
		if [ "$vmm" = qemu ]; then
			echo "QEMU has no $verb"
			return 2
		fi
		"${vmm}_$verb" "$@" ;;
	*)
		echo "nobody outside knows how to $verb"
		return 2 ;;
	esac
}

# answer NUMBER VERB WORDS…
answer() {
	number=$1
	shift
	perform "$@" </dev/null >answer 2>&1
	status=$?
	echo "host: $* -> $status $(head -n 2 answer | tr '\n' ' ' | cut -c 1-200)" >&2
	# A line that is longer than the serial line's buffer would be cut.
	fold -w 1000 answer >folded
	{ echo "host $number $status $(wc -l <folded)"; cat folded; } >input
}

if [ "$vmm" = qemu ]; then
	exec 5<>monitor.out
	say '{"execute":"qmp_capabilities"}'
fi
last=0
busybox awk '/# host [0-9]+ / { sub(/\r$/, ""); sub(/^.*# host /, ""); print; fflush() }' |
	while read -r number words; do
		[ "$number" = $((last + 1)) ] || continue
		last=$number
		# Words are separated by blanks and contain none.
		# shellcheck disable=SC2086
		answer "$number" $words
	done
