# SPDX-License-Identifier: GPL-2.0
#
# An adapter that lies, loses, repeats and stalls does no more to the guest than its
# own disks: nothing panics, warns, hangs for ever or reaches another's memory. Every
# request ends, if not by itself then by one means of recovery after the other, and
# with an adapter that is right again everything works.
#
# The kernel's own driver has no chance here: it takes whatever context comes for one
# of its own, and a ring whose index is too far ahead for one that is full of them.
#
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=3x2M set=long
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=3x2M set=long
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=3x2M
# host: yes
# limit: 400

. /tests/lib.sh
. /tests/faults.sh

SECONDS_EACH=2

# all_ended NAME PID: the error handling sees to that by itself.
all_ended() { check "$1: every request is ended" until_true 90 ended "$2"; }

has_disks() { [ "$(ls /sys/class/scsi_disk | wc -l)" = "$1" ]; }

# loaded NAME DISKS FAULT…: the driver loads with that, and has so many disks.
loaded() {
	local name=$1 disks=$2
	shift 2
	loaded_with "$name" "$@"
	check "$name: disks" until_true 30 has_disks "$disks"
	unloaded "$name"
}

# at_once NAME FAULT: something that happens by itself.
at_once() {
	check "$1: $2" host fault "$2"
	sleep 1
	check "$1: disk 1 can be written and read" again
	dmesg -c >/dev/null
}

check "driver loads" driver_load
disk_known 0
rm -f /tmp/leaves.1

# Late and wrong answers.
endured delay kind=delay,ms=200,target=1,count=20
endured status kind=status,target=1,percent=30,seed=1
endured busy kind=status,status=8,target=1,count=5
endured "host status of any kind" kind=host-status,code=12,target=1,count=1 \
	kind=host-status,code=18,target=1,count=1 kind=host-status,code=26,target=1,count=1 \
	kind=host-status,code=37,target=1,count=1 kind=host-status,code=38,target=1,count=1 \
	kind=host-status,code=52,target=1,count=1 kind=host-status,code=65535,target=1,count=1
endured noise kind=garbage,target=1,percent=30,seed=3
endured "sense longer than there is" kind=garbage,target=1,status=2,sense_len=4294967295,count=3
endured "more data than asked for" kind=garbage,target=1,transferred=18446744073709551615,count=3
endured "less data than asked for" kind=garbage,target=1,transferred=1,count=3
endured "a status that is no byte" kind=garbage,target=1,status=65535,count=3
# Answers to nothing.
endured "completed twice" kind=twice,target=1,count=20
endured "unknown contexts" kind=unknown-context,target=1,count=5 kind=unknown-context,id=0,target=1,count=5 \
	kind=unknown-context,id=18446744073709551615,target=1,count=5
at_once "interrupts for nothing" kind=interrupts,number=1000
at_once "a threshold that cannot be reached" kind=threshold,value=1000000
# Losses, and the way from one means to the next.
endured "requests that never come back" kind=drop,target=1,count=1
endured "aborts refused" kind=delay,ms=5000,target=1,count=1 kind=refuse,operation=6
endured "resets refused, too" kind=delay,ms=20000,target=1,count=1 kind=refuse,operation=6 \
	kind=refuse,operation=5 kind=refuse,operation=4
# Messages.
at_once "messages about nothing" kind=messages,number=100
at_once "messages about what is there" kind=messages,number=100,id=2
at_once "messages about what was never there" kind=messages,number=100,message=1
at_once "messages of any kind" kind=messages,number=100,message=99
at_once "messages for another bus" kind=messages,number=40,bus=7
at_once "messages for no target" kind=messages,number=40,id=4294967295
at_once "more messages than there can be" kind=message-index
check "messages after a reset: clear" host clear-faults
check "messages after a reset: a reset of the controller" reset_controller
check "messages after a reset: a disk is removed" host remove 2
check "messages after a reset: it goes" until_true 30 disk_gone 2
check "messages after a reset: it is added again" host add 2
check "messages after a reset: it comes" until_true 30 disk 2
dmesg -c >/dev/null

# Broken rings.
mended "completions ahead" kind=completion-index,target=1,count=1
mended "completions far ahead" kind=completion-index,ahead=2147483648,target=1,count=1
survived "completions ahead, and the driver bound again" kind=completion-index,target=1,count=1

# What the adapter says of itself.
loaded "no rings" 0 kind=refuse,operation=3
loaded "no messages" "$DISKS" kind=refuse,operation=8
loaded "no threshold" "$DISKS" kind=refuse,operation=10
loaded "no page about the controller" "$DISKS" kind=refuse,operation=7
loaded "rings larger than they are" 0 kind=sizes,requests=31
loaded "completions larger than they are" 0 kind=sizes,completions=13
loaded "rings of no size" 0 kind=sizes,requests=0
loaded "messages larger than they are" "$DISKS" kind=sizes,messages=31
loaded "no targets" "$DISKS" kind=targets,value=0
loaded "all targets" "$DISKS" kind=targets,value=4294967295
loaded "one target" 1 kind=targets,value=1
check "in the end: disk 0 is as it was" disk_verify 0 --direct
check "in the end: disk 1 can be written and read" again
check "driver unloads" driver_unload
