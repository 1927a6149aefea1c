# SPDX-License-Identifier: GPL-2.0
#
# The kernel's option for tests of Hyper-V's drivers: delays before callbacks and
# packets, by files in debugfs. They take what the C bus takes and refuse the rest
# with its errors, nothing is lost while a disk is delayed, and they come and go
# with their device, whoever has one open.
#
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M:spare
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/vmbus.sh

ROOT=/sys/kernel/debug/hyperv
DEVICES=/sys/bus/vmbus/devices

# surface KEY VALUE
surface() { say "  # surface testing: $1 = $2"; }

# The files with their modes, as root sees them.
tree() {
	(cd "$ROOT" && find .) | sort | while read -r name; do
		surface "$name" "$(stat -c '%A' "$ROOT/$name")"
	done
}

# wrote FILE TEXT: what comes of it, and what is in the file then.
wrote() {
	local said=taken
	(printf '%s' "$2" >"$1") 2>/tmp/refusal || said=$(sed 's/.*: //' /tmp/refusal)
	surface "${1##*/} '$2'" "$said, then $(cat "$1")"
}

# set_to FILE VALUE: it is that, and is read again.
set_to() { echo "$2" >"$1" && same "$(cat "$1")" "$2"; }

# refused FILE VALUE: and the old value stays.
refused() {
	local before
	before=$(cat "$1")
	! (echo "$2" >"$1") 2>/dev/null && same "$(cat "$1")" "$before"
}

# read_back: what was written is read, by one and by several.
read_back() { disk_write 0 --direct && disk_exercise 0 2 && disk_verify 0 --direct; }

# read_open NUMBER, write_open NUMBER: by a descriptor of this shell.
read_open() { eval "cat <&$1"; }
write_open() { eval "echo 1 >&$1"; }

# fails_with ERROR COMMAND…
fails_with() {
	local error=$1
	shift
	! "$@" 2>/tmp/refusal && grep -E "$error" /tmp/refusal
}

devices_are() { same "$(ls "$DEVICES" | wc -l)" "$1"; }

check "bus loads" bus_load
controller=$(vmbus_devices | head -n 1)
own=$ROOT/$controller
state=$own/fuzz_test_state
interrupt=$own/delay/fuzz_test_buffer_interrupt_delay
message=$own/delay/fuzz_test_message_delay

tree
check "every device has a directory" same "$(ls "$ROOT")" "$(vmbus_devices)"
for file in "$state" "$interrupt" "$message"; do
	check "${file##*/} is 0" same "$(cat "$file")" 0
	for text in 1 0 2 999 1000 1001 -1 0x10 010 18446744073709551615 18446744073709551616 x '' '7 7'; do
		wrote "$file" "$text"
	done
	check "${file##*/}: back to 0" set_to "$file" 0
done
check "a delay has an end" refused "$interrupt" 1001
check "so has the other" refused "$message" 4294967297
check "on or off" refused "$state" 2

# Every callback and every packet waits.
check "storage driver loads" child_load hv_storvsc
check "disk is there" until_true 30 disks_there
for delays in "0 0" "1000 0" "0 1000" "200 100"; do
	check "interrupts and messages: $delays us" set_to "$interrupt" "${delays% *}"
	check "and messages" set_to "$message" "${delays#* }"
	check "on" set_to "$state" 1
	check "nothing is lost" read_back
	check "off" set_to "$state" 0
	check "nothing is lost" disk_verify 0 --direct
done
check "on while the driver goes" set_to "$state" 1
check "storage driver unloads" child_unload hv_storvsc
check "off" set_to "$state" 0

# A device that comes and goes, without a driver.
vmbus_devices >/tmp/before
check "add a controller" host add-controller 1
check "it is offered" until_true 30 devices_are $(($(wc -l </tmp/before) + 1))
second=$(vmbus_devices | grep -vxFf /tmp/before)
check "it has its files" until_true 10 [ -e "$ROOT/$second/delay/fuzz_test_message_delay" ]
exec 7<>"$ROOT/$second/fuzz_test_state" 8<"$ROOT/$second/delay/fuzz_test_message_delay"
check "an open one can be read" same "$(read_open 7)" 0
check "remove it" host remove-controller
check "it is gone" until_true 30 devices_are "$(wc -l </tmp/before)"
check "its files are gone" until_true 10 [ ! -e "$ROOT/$second" ]
check "an open file has nothing to read" fails_with "I/O error|Input/output" read_open 8
check "and takes nothing" fails_with "I/O error|Input/output" write_open 7
exec 7>&- 8>&-
check "add it again" host add-controller 1
check "it is offered" until_true 30 devices_are $(($(wc -l </tmp/before) + 1))
again=$(vmbus_devices | grep -vxFf /tmp/before)
check "it has its files again" until_true 10 [ -e "$ROOT/$again/fuzz_test_state" ]
check "they begin with 0" same "$(cat "$ROOT/$again/fuzz_test_state")" 0
check "remove it" host remove-controller
check "its files are gone" until_true 30 [ ! -e "$ROOT/$again" ]

# An open file keeps the module.
exec 7<"$state"
check "the bus stays while a file is open" fails_with . rmmod "$MODULE"
exec 7<&-
if bus_can_go; then
	check "bus unloads" bus_unload
	check "nothing is left" [ ! -e "$ROOT" ]
	check "bus loads again" bus_load
	check "every device has a directory" same "$(ls "$ROOT")" "$(vmbus_devices)"
	check "bus unloads in the end" bus_unload
fi
