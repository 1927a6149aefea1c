# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own drivers for synthetic devices load on the bus, bind to what the
# host offers, and leave it again. What root writes about devices, drivers and
# channels is done, or refused with the error that the C bus has for it, what
# lsvmbus reads is there, and a process can have a device for itself.
#
# machine: module=hv_vmbus driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=lab vcpus=4 disks=1x4M set=long
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M set=long
# limit: 240
# order: last

. /tests/lib.sh
. /tests/vmbus.sh

DRIVERS=/sys/bus/vmbus/drivers
DEVICES=/sys/bus/vmbus/devices
SCSI=ba6163d9-04a1-4d29-b605-72e2ffb1dc7f
# Those that find no device here, by their modules.
IDLE="hv_utils hv_netvsc hyperv_keyboard hid_hyperv pci_hyperv hv_sock uio_hv_generic"

# refused ERROR FILE TEXT: writing fails with that error.
refused() {
	local error=$1 file=$2
	shift 2
	if (echo "$*" >"$file") 2>/tmp/refusal; then
		echo "'$*' was taken by $file"
		return 1
	fi
	grep -q "$error" /tmp/refusal || { cat /tmp/refusal; return 1; }
}

driver_of() { basename "$(readlink "$DEVICES/$1/driver")"; }

has_driver() { [ "$(driver_of "$1")" = "$2" ]; }

has_no_driver() { [ ! -e "$DEVICES/$1/driver" ]; }

# directory MODULE: that of its driver.
directory() { echo "$DRIVERS/$1" | sed 's/pci_hyperv$/hv_pci/'; }

# devices MODULE: those that it has.
devices() { ls "$(directory "$1")" | grep -- '-.*-.*-.*-'; }

all_idle_load() {
	local driver
	for driver in $IDLE; do
		check "$driver loads" child_load "$driver"
		check "$driver is on the bus" [ -d "$(directory "$driver")" ]
		check "$driver has no device" [ -z "$(devices "$driver")" ]
	done
}

all_idle_unload() {
	local driver
	for driver in $IDLE; do
		check "$driver unloads" child_unload "$driver"
		check "$driver has left the bus" [ ! -e "$(directory "$driver")" ]
	done
}

# process_drives: a process opens the channel, has its interrupts, and has none.
process_drives() {
	exec 7<>/dev/uio0 || return 1
	printf '\1\0\0\0' >&7 && same "$(cat "$device/in_intr_mask")" 0 &&
		printf '\0\0\0\0' >&7 && same "$(cat "$device/in_intr_mask")" 1
	set -- $?
	exec 7>&-
	return "$1"
}

# As lsvmbus does: what is it, and which channel interrupts which processor.
lsvmbus() {
	local device id class instance mapping
	for device in "$DEVICES"/*; do
		id=$(cat "$device/id") && class=$(cat "$device/class_id") &&
			instance=$(cat "$device/device_id") && mapping=$(cat "$device/channel_vp_mapping") ||
			return 1
		echo "VMBUS ID $id: Class_ID = $class Device_ID = $instance"
		echo "$mapping" | grep -vE '^[0-9]+:[0-9]+$' && return 1
		[ "${device##*/}" = "$(echo "$instance" | tr -d '{}')" ] || return 1
		echo "$class" | grep -qE '^\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}$' || return 1
		echo "$mapping" | cut -d : -f 1 | while read -r relid; do
			[ -d "$device/channels/$relid" ] || exit 1
		done || return 1
	done
}

# Every file that may be read can be, or says why not, and nothing else happens.
read_all() {
	local file
	for file in "$device"/* "$device"/channels/*/*; do
		[ ! -f "$file" ] || cat "$file" >/dev/null 2>&1
	done
	true
}

check "bus loads" bus_load
controller=$(vmbus_devices | head -n 1)
device=$DEVICES/$controller
check "class of the controller" same "$(cat "$device/class_id")" "{$SCSI}"
check "what udev is told" grep -qx "MODALIAS=$(cat "$device/modalias")" "$device/uevent"
check "nothing is open" same "$(cat "$device/out_intr_mask" 2>&1 | grep -c Invalid)" 1
check "read all files" read_all

all_idle_load

# Which driver a device is for.
check "a GUID is needed" refused Invalid "$DRIVERS/hv_netvsc/new_id" "ba6163d9"
check "no braces" refused Invalid "$DRIVERS/hv_netvsc/new_id" "{$SCSI}"
check "no such id to remove" refused "No such device" "$DRIVERS/hv_netvsc/remove_id" "$SCSI"
check "another driver is forced" sh -c "echo nobody >$device/driver_override"
check "storage driver loads" child_load hv_storvsc
check "it is not the one" has_no_driver "$controller"
check "the bus does not bind it" sh -c "echo >$device/driver_override"
check "storage driver is bound" sh -c "echo $controller >$DRIVERS/hv_storvsc/bind"
check "and has the device" has_driver "$controller" hv_storvsc
check "disk is there" until_true 30 disks_there
check "contents are right" disk_verify 0 --direct
check "lsvmbus" lsvmbus
check "read all files" read_all

# What is counted moves.
before=$(cat "$device"/channels/*/interrupts | awk '{ sum += $1 } END { print sum }')
check "write" disk_write 0 --direct
after=$(cat "$device"/channels/*/interrupts | awk '{ sum += $1 } END { print sum }')
check "interrupts were counted" [ "$after" -gt "$before" ]

# Moving a channel to another processor.
channel=$(echo "$device"/channels/* | cut -d ' ' -f 1)
check "not a number" refused "Input/output error" "$channel/cpu" x
check "no such processor" refused Invalid "$channel/cpu" 4000
if [ "$VCPUS" -gt 1 ]; then
	check "offline processor" sh -c "echo 0 >/sys/devices/system/cpu/cpu$((VCPUS - 1))/online"
	check "is refused" refused Invalid "$channel/cpu" $((VCPUS - 1))
	check "online again" sh -c "echo 1 >/sys/devices/system/cpu/cpu$((VCPUS - 1))/online"
	for cpu in 1 0; do
		check "to processor $cpu" sh -c "echo $cpu >$channel/cpu"
		check "it is there" same "$(cat "$channel/cpu")" "$cpu"
		check "read by it" disk_verify 0 --direct
	done
fi

# A class that is added to a driver.
check "storage driver unloads" child_unload hv_storvsc
check "device has no driver" has_no_driver "$controller"
check "a closed channel stays" refused "Input/output error" "$device/channels/$(ls "$device/channels" | head -n 1)/cpu" 0
other=11111111-2222-3333-4444-555555555555
check "an id is added" sh -c "echo $other >$DRIVERS/hv_netvsc/new_id"
check "once" refused "File exists" "$DRIVERS/hv_netvsc/new_id" "$other"
check "it is removed" sh -c "echo $other >$DRIVERS/hv_netvsc/remove_id"
check "once" refused "No such device" "$DRIVERS/hv_netvsc/remove_id" "$other"

# All leave, and all come back.
all_idle_unload
if bus_can_go; then
	check "bus unloads" bus_unload
	check "sysfs is empty" [ ! -e /sys/bus/vmbus ]
	check "a clock event still comes" sleep 0.1
	check "bus loads again" bus_load
	check "storage driver loads again" child_load hv_storvsc
	check "disk is there" until_true 30 disks_there
	check "contents are unchanged" disk_verify 0 --direct
	check "storage driver unloads" child_unload hv_storvsc
	all_idle_load
	all_idle_unload
	check "bus unloads" bus_unload
fi

# This one has no way out, nor has the bus below it.
check "bus loads for good" bus_load
check "hv_balloon loads" child_load hv_balloon
check "hv_balloon has no device" [ -z "$(devices hv_balloon)" ]

# A driver that lets a process have the device.
check "uio_hv_generic loads" child_load uio_hv_generic
check "it takes the class" sh -c "echo $SCSI >$DRIVERS/uio_hv_generic/new_id"
check "it has the device" has_driver "$controller" uio_hv_generic
check "the rings can be mapped" [ -e "$device"/channels/*/ring ]
check "memory is named" grep -qx txrx_rings /sys/class/uio/uio0/maps/map0/name
check "a process drives it" process_drives
check "and again" process_drives
check "the channel is closed" same "$(cat "$device/state")" 2
check "uio_hv_generic unloads" child_unload uio_hv_generic
check "device has no driver" has_no_driver "$controller"
check "the rings cannot be mapped" [ ! -e "$device"/channels/*/ring ]

# On the C bus the next driver would be called as that one was: in the interrupt.
if bus_can_go; then
	check "storage driver loads after it" child_load hv_storvsc
	check "disk is there" until_true 30 disks_there
	check "contents are what they were" disk_verify 0 --direct
	check "storage driver unloads" child_unload hv_storvsc
fi
