# SPDX-License-Identifier: GPL-2.0
#
# For every case: saying things, checking things, disks and the driver under
# test.  A case begins with `. /tests/lib.sh`; /machine says where it runs:
# MODULE, DRIVER (rust or c), VMM, CONTROLLER (scsi, fc or ide), KERNEL, VCPUS, DISKS,
# SLOW (numbers of slow disks) and SIZE_n of each disk.

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

# rate: hands what diskcheck said in the last check to the report.
rate() { say "  # rate $(cat /tmp/output)"; }

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

# host VERB WORDS…: has the lab do something outside (scripts/lab/agent.sh), says
# what the lab said and ends as it ended.  The request goes to the console, the
# answer comes by the serial line, which init holds open.  Not for two processes of
# a case at once.
host() {
	local number tag= got= status= lines= line
	number=$(($(cat /tmp/host_number 2>/dev/null || echo 0) + 1))
	echo $number >/tmp/host_number
	say "# host $number $*"
	while [ "$tag" != host ] || [ "$got" != $number ]; do
		read -r -t 60 tag got status lines <&9 || { echo "host: no answer to '$*'"; return 1; }
	done
	while [ "$lines" -gt 0 ]; do
		lines=$((lines - 1))
		read -r -t 60 line <&9 || { echo "host: the answer to '$*' is cut short"; return 1; }
		echo "$line"
	done
	return "$status"
}

# host_own WORDS…: runs the case's own script, tests/GROUP/NAME.host.sh, outside.
host_own() { host own "$(echo "$CASE" | tr / .)" "$@"; }

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

# interrupts_of NAME: how often interrupts of that name came so far, on all
# processors.
interrupts_of() {
	awk -v name="$1" '$NF ~ name { for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) sum += $i }
		END { print sum + 0 }' /proc/interrupts
}

driver_loaded() { [ -e "/sys/module/$MODULE" ]; }

# The bus of the driver's devices, and what their names are like there.
case $MODULE in
vmw_pvscsi) BUS=pci DEVICE='0000:*' ;;
hv_storvsc) BUS=vmbus DEVICE='*-*-*-*-*' ;;
*) BUS=virtio DEVICE='virtio[0-9]*' ;;
esac

# driver_devices: names of the devices that the driver has.
driver_devices() { (cd "/sys/bus/$BUS/drivers/$MODULE" && ls -d $DEVICE); }

# Disks.  Disk N is LUN N on target 0 of its controller; where a target has one unit
# only, LUN 0 on target N; on Hyper-V's, with 255 units a target and two targets a
# bus, the Nth of these; of IDE, the only one of controller N, which is target N there.

disk_numbers() { seq 0 $((DISKS - 1)); }

disk_list() { ls /sys/class/scsi_disk | tr '\n' ' '; }

# place N: sets PLACE to where unit N is, as the end of its address: a process, which
# an answer on standard output takes, costs more than a request under emulation.
# Beyond 255 the kernel's numbers have the address method (flat space, 0x4000) in
# them.
place() {
	if [ "$MODULE" = vmw_pvscsi ] || [ "$CONTROLLER" = ide ]; then
		PLACE=$1:0
	elif [ "$MODULE" = hv_storvsc ]; then
		PLACE=$(($1 / 510)):$(($1 / 255 % 2)):$(($1 % 255))
	elif [ "$1" -lt 256 ]; then
		PLACE=0:$1
	else
		PLACE=0:$((0x4000 + $1))
	fi
}

# disk N: its device node.  Sets NODE as well, for the same reason.
disk() {
	place "$1"
	set -- /sys/class/scsi_disk/*:"$PLACE"/device/block/*
	NODE=/dev/${1##*/}
	[ -b "$NODE" ] && echo "$NODE"
}

# unit N: the device node of a unit that is no disk of the machine's.
unit() {
	place "$1"
	set -- /sys/class/scsi_device/*:"$PLACE"/device/block/*
	[ -b "/dev/${1##*/}" ] && echo "/dev/${1##*/}"
}

# disk_busy NAME: the block device has reads or writes in flight.
disk_busy() {
	local reads writes
	read -r reads writes <"/sys/class/block/$1/inflight"
	[ $((reads + writes)) != 0 ]
}

# disk_gone N: the guest has none of that number.
disk_gone() { ! disk "$1" >/dev/null; }

# each_disk COMMAND…: runs it for each disk that there is, with its number and its
# node behind.  In one go: to look for each of a thousand is a million steps.
each_disk() {
	local entry number bus
	for entry in /sys/class/scsi_disk/*/device/block/*; do
		[ -e "$entry" ] || continue
		number=${entry%/device/block/*}
		[ "$MODULE" != vmw_pvscsi ] && [ "$CONTROLLER" != ide ] || number=${number%:0}
		if [ "$MODULE" = hv_storvsc ] && [ "$CONTROLLER" != ide ]; then
			number=${number##*/}
			number=${number#*:}
			bus=${number%%:*}
			number=${number#*:}
			number=$((bus * 510 + ${number%:*} * 255 + ${number#*:}))
		else
			number=${number##*:}
			[ "$number" -lt 256 ] || number=$((number - 0x4000))
		fi
		"$@" "$number" "/dev/${entry##*/}"
	done
}

disks_there() {
	local count=0
	each_disk count_disk 2>/dev/null
	[ $count = "$DISKS" ]
}

# What was passed through has a higher number.
count_disk() {
	[ "$1" -lt "$DISKS" ] && [ -b "$2" ] && count=$((count + 1))
}

# disk_size N: bytes as the guest sees them.
disk_size() {
	local node
	node=$(disk "$1")
	echo $(($(cat "/sys/class/block/${node##*/}/size") * 512))
}

# generation N: the generation of the pattern on disk N; nothing if there is no
# whole one, because a case made a file system or was cut short.
generation() {
	local line=
	[ -e "/tmp/leaves.$1" ] && read -r line <"/tmp/leaves.$1"
	case $line in generation=*) echo "${line#generation=}" ;; esac
}

# leaves N GENERATION: what the lab must find on the disk at the end.
leaves() {
	echo "generation=$2" >"/tmp/leaves.$1"
	echo "$2" >"/tmp/latest.$1"
}

# leaves_ext4 N GENERATION: an ext4 with one file, /pattern, of that generation.
leaves_ext4() { echo "form=ext4 generation=$2" >"/tmp/leaves.$1"; }

# next_generation N: one that the disk has not held before in this boot.
next_generation() {
	local next
	read -r next <"/tmp/latest.$1"
	next=$((next + 1))
	echo $next >"/tmp/latest.$1"
	echo $next
}

# disk_write N [OPTION…]: writes the next generation, flushed.
disk_write() {
	local number=$1 next
	shift
	next=$(next_generation "$number")
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

# disk_exercise N ROUNDS [OPTION…]: overwrites and reads back while others do.
disk_exercise() {
	local number=$1 rounds=$2 now
	shift 2
	now=$(generation "$number")
	rm -f "/tmp/leaves.$number"
	echo $((now + rounds)) >"/tmp/latest.$number"
	diskcheck exercise --disk "$number" --generation "$now" --rounds "$rounds" "$@" \
		"$(disk "$number")" && leaves "$number" $((now + rounds))
}

# disk_sequence N WRITES [OPTION…]: writes the same places again and again, with a
# number that counts up, and reads them each time.
disk_sequence() {
	local number=$1 writes=$2 now
	shift 2
	now=$(generation "$number")
	rm -f "/tmp/leaves.$number"
	echo $((now + writes)) >"/tmp/latest.$number"
	diskcheck sequence --disk "$number" --generation "$now" --writes "$writes" "$@" \
		"$(disk "$number")" && leaves "$number" $((now + writes))
}

# disk_known N: makes sure that disk N holds a pattern of known generation.
disk_known() { [ -n "$(generation "$1")" ] || disk_write "$1" --direct --io-size 256K; }

# all_disks PLUS: a line "NUMBER GENERATION NODE" for each disk, the generation
# being that of the last write and so many more.  Without any process, of which a
# thousand take minutes under emulation.
all_disks() { each_disk list_disk "$1"; }

list_disk() {
	local latest
	read -r latest <"/tmp/latest.$2"
	echo "$2 $((latest + $1)) $3"
}

# all_done WORD: what diskcheck says is about that many disks.
all_done() {
	local said
	read -r said
	same "$said" "$1 disks=$DISKS"
}

# all_verify [OPTION…]: every block of every disk is what was written last.
all_verify() { all_disks 0 | diskcheck many verify "$@" | all_done verified; }

# all_write [OPTION…]: writes the next generation to every disk, flushed.
all_write() {
	local number=0 latest
	rm -f /tmp/leaves.*
	all_disks 1 | diskcheck many write "$@" | all_done wrote || return 1
	while [ "$number" -lt "$DISKS" ]; do
		read -r latest <"/tmp/latest.$number"
		leaves "$number" $((latest + 1))
		number=$((number + 1))
	done
}

# Controllers.

# controllers_are N: the SCSI layer has so many hosts.
controllers_are() {
	set -- "$1" /sys/class/scsi_host/host*
	[ -e "$2" ] || set -- "$1"
	same $(($# - 1)) "$1"
}

# bus_devices: how many devices there are on the bus that controllers are on.
bus_devices() {
	case $MODULE in
	hv_*) ls /sys/bus/vmbus/devices ;;
	*) ls /sys/bus/pci/devices ;;
	esac | wc -l
}

bus_devices_are() { same "$(bus_devices)" "$1"; }

# The processor.

# cpu_field NAME: what the kernel says of the first processor.
cpu_field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }

# words LIST: one a line, sorted.
words() { echo "$@" | tr ' ' '\n' | sort -u; }

# cpu_flags_are FLAGS LINUX: the kernel names all of FLAGS, and nothing but those
# and LINUX, which are its own.
cpu_flags_are() {
	words $(cpu_field flags) >/tmp/have
	words $1 >/tmp/want
	words $1 $2 >/tmp/known
	same "$(grep -vxFf /tmp/have /tmp/want | xargs)" "" || return 1
	same "$(grep -vxFf /tmp/known /tmp/have | xargs)" ""
}

# drop_caches: what is read next comes from the disk.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
