# SPDX-License-Identifier: GPL-2.0
#
# For every case: saying things, checking things, disks and the driver under
# test.  A case begins with `. /tests/lib.sh`; /machine says where it runs:
# MODULE, DRIVER (rust or c), VMM, KERNEL, VCPUS, DISKS, SLOW (numbers of slow
# disks) and SIZE_n of each disk.

. /machine

# say TEXT: one line of the result.
say() { printf '<4>%s\n' "$*" >/dev/kmsg; }

# check NAME COMMAND…: a subtest; COMMAND's output is shown if it fails.
check() {
	local name=$1 number
	shift
	number=$(($(cat /tmp/number 2>/dev/null || echo 0) + 1))
	echo $number >/tmp/number
	if "$@" >/tmp/output 2>&1; then
		say "  ok $number $name"
		return 0
	fi
	touch /tmp/failed
	say "  not ok $number $name"
	tail -n 12 /tmp/output | while read -r line; do say "  # $line"; done
	return 1
}

# skip REASON: the case cannot say anything on this machine.
skip() {
	echo "$*" >/tmp/skipped
	exit 0
}

# info KEY=VALUE…: facts for the report.
info() { say "  # info $*"; }

# until_true SECONDS COMMAND…: waits for COMMAND to succeed.
until_true() {
	local tries=$(($1 * 10))
	shift
	while ! "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || return 1
		sleep 0.1
	done
}

# same A B: equality, with both sides shown otherwise.
same() {
	[ "$1" = "$2" ] && return 0
	echo "have '$1', want '$2'"
	return 1
}

# The driver.

# driver_load [PARAMETER=VALUE…]: loads it and waits for all disks.
driver_load() {
	insmod "/modules/$MODULE.ko" "$@" || return 1
	until_true 30 disks_there || { echo "disks found: $(disk_list)"; return 1; }
}

driver_unload() {
	# Something may still be reading a disk that it just found.
	until_true 10 rmmod "$MODULE"
}

driver_loaded() { [ -e "/sys/module/$MODULE" ]; }

# Disks.  Disk N is LUN N on target 0 of the controller.

disk_numbers() { seq 0 $((DISKS - 1)); }

disk_list() { ls /sys/class/scsi_disk | tr '\n' ' '; }

# disk N: its device node.
disk() {
	local device
	device=$(ls -d /sys/class/scsi_disk/*:0:"$1"/device/block/* 2>/dev/null) || return 1
	[ -b "/dev/${device##*/}" ] && echo "/dev/${device##*/}"
}

disks_there() {
	local number
	for number in $(disk_numbers); do
		disk "$number" >/dev/null || return 1
	done
}

# disk_size N: bytes as the guest sees them.
disk_size() {
	local node
	node=$(disk "$1")
	echo $(($(cat "/sys/class/block/${node##*/}/size") * 512))
}

# generation N: what disk N holds, nothing if it is not a plain pattern.
generation() { sed -n 's/^generation=//p' "/tmp/leaves.$1" 2>/dev/null; }

# leaves N GENERATION: what must be found on the disk from outside at the end.
leaves() { echo "generation=$2" >"/tmp/leaves.$1"; }

# disk_write N [OPTION…]: writes the next generation, flushed.
disk_write() {
	local number=$1 next
	shift
	next=$(($(generation "$number") + 1))
	# The first process of a plan knows what the lab wrote before the boot.
	[ "$next" = 1 ] && next=$(next_after_unknown "$number")
	rm -f "/tmp/leaves.$number"
	diskcheck write --disk "$number" --generation "$next" "$@" "$(disk "$number")" &&
		leaves "$number" "$next"
}

# disk_verify N [OPTION…]: every block is what was written last.
disk_verify() {
	local number=$1
	shift
	diskcheck verify --disk "$number" --generation "$(generation "$number")" "$@" \
		"$(disk "$number")"
}

# disk_known N: makes sure that the disk holds a pattern of known generation.
disk_known() {
	[ -n "$(generation "$1")" ] || disk_write "$1" --direct --io-size 256K
}

# A number above all generations that this boot may have written before.
next_after_unknown() {
	local last
	last=$(cat "/tmp/unknown.$1" 2>/dev/null || echo 100)
	echo $((last + 100)) | tee "/tmp/unknown.$1"
}

# drop_caches: what is read next comes from the disk.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
