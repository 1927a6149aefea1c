# SPDX-License-Identifier: GPL-2.0
#
# What everybody knows the driver by: aliases, what it depends on, its parameter, its
# file in debugfs, line by line, the counters of the kernel, its interrupt, what the
# kernel's log says. The case only lists them; the lab compares the lists of our driver
# and of its C twin on the same machine.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=lab vcpus=1 set=long
# host: yes
# limit: 120

. /tests/lib.sh
. /tests/balloon.sh

# surface GROUP KEY VALUE
surface() { say "  # surface $1: $2 = $3"; }

module_info() {
	tr '\0' '\n' <"/modules/$MODULE.ko" |
		grep -aE '^(alias|parm|parmtype|depends|name|version|license|description)=' | sort -u |
		while read -r line; do surface modinfo "${line%%=*}" "${line#*=}"; done
}

parameters() {
	local file
	for file in "/sys/module/$MODULE/parameters"/*; do
		[ -e "$file" ] || continue
		surface parameter "${file##*/} ($(stat -c %a "$file"))" "$(cat "$file")"
	done
	surface module attributes "$(ls "/sys/module/$MODULE" | tr '\n' ' ')"
}

# Numbers are what the driver did so far. How long a line is says how they are written.
debug_file() {
	local line
	surface debugfs mode "$(stat -c %A $BALLOON)"
	# The kernel's driver counts from when the file was looked at first.
	cat $BALLOON >/dev/null
	# In the order in which they are: what reads the file may count lines.
	cat -n $BALLOON | while read -r number line; do
		surface debugfs "line $number" "${line%%:*}, ${#line} characters"
	done
	surface debugfs "what the host can do" "$(balloon_says "balloon capabilities")"
	surface debugfs "what is used" "$(balloon_says "used capabilities")"
	surface debugfs "is resetting" "$(balloon_says "is resetting")"
}

kernel_counters() {
	grep -o '^balloon_[a-z]*' /proc/vmstat | while read -r name; do surface vmstat "$name" present; done
}

log() {
	dmesg | sed -n '/out-of-tree module/d; /module verification failed/d; s/.*\(vmw_balloon: .*\)/\1/p' | while read -r line; do
		surface log line "$line"
	done
}

check "loads" balloon_load
module_info
parameters
check "some pages go to the host" balloon_to 8
debug_file
kernel_counters
surface interrupt vmw_vmci "$(grep -c vmw_vmci /proc/interrupts)"
log
check "all of it comes back" balloon_to 0
check "listed" true
check "unloads" driver_unload
surface debugfs "after that" "$(ls /sys/kernel/debug | grep -c vmmemctl)"
