# SPDX-License-Identifier: GPL-2.0
#
# What everybody knows the bus by: aliases, parameters, symbols, what is in sysfs
# of the bus, its devices, their channels and drivers with its modes, what udev is
# told, what the kernel's log says. The case only lists them; the lab compares the
# lists of our driver and of its C twin on the same machine.
#
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=lab vcpus=4 disks=1x4M set=long
# machine: module=hv_vmbus driver=rust,c vmm=qemu_kvm kernel=lab vcpus=1 disks=none set=long
# limit: 120

. /tests/lib.sh
. /tests/vmbus.sh

# surface GROUP KEY VALUE
surface() { say "  # surface $1: $2 = $3"; }

# values GROUP DIRECTORY NAME…: what is in files; an error is part of the surface.
values() {
	local group=$1 directory=$2 name value
	shift 2
	for name in "$@"; do
		value=unreadable
		[ ! -e "$directory/$name" ] || value=$(cat "$directory/$name" 2>/dev/null | tr '\n' ' ')
		surface "$group" "$name" "$value"
	done
}

# tree GROUP DIRECTORY DEPTH: names and modes. Channels have numbers that differ
# from boot to boot.
tree() {
	(cd "$2" && find . -maxdepth "$3") | sort | while read -r name; do
		surface "$1" "$(echo "$name" | sed 's/^\.\/[0-9][0-9]*/N/')" "$(stat -c '%A' "$2/$name")"
	done
}

symbols() {
	tr '\0' '\n' <"/modules/$MODULE.ko" | grep -a '^__ksymtab_' | sort -u |
		while read -r name; do surface symbol "${name#__ksymtab_}" exported; done
}

module_info() {
	tr '\0' '\n' <"/modules/$MODULE.ko" |
		grep -aE '^(alias|parm|parmtype|depends|name|version|license|description|softdep)=' | sort -u |
		while read -r line; do surface modinfo "${line%%=*}" "${line#*=}"; done
	values parameter "/sys/module/$MODULE/parameters" max_version
	tree module "/sys/module/$MODULE/parameters" 1
}

bus() {
	tree bus /sys/bus/vmbus 2
	values bus /sys/bus/vmbus hibernation
}

device() {
	local name=$1 device=/sys/bus/vmbus/devices/$1
	surface device name "$name"
	surface device place "$(readlink -f "$device" | sed 's/.*\/LNX/LNX/')"
	values device "$device" uevent modalias class_id device_id vendor device state numa_node \
		driver_override in_intr_mask
	surface device "channels of" "$(wc -l <"$device/channel_vp_mapping")"
	surface device "processors of" "$(sed 's/.*://' "$device/channel_vp_mapping" | sort | tr '\n' ' ')"
	tree device "$device" 1
	tree channel "$device/channels" 2
}

# Which channel is which, by its place among those of the device.
channels() {
	local directory
	for directory in /sys/bus/vmbus/devices/"$1"/channels/*; do
		values channel "$directory" subchannel_id in_mask
		surface channel uevent "$(tr '\n' ' ' <"$directory/uevent" 2>/dev/null)"
	done
}

every_device() {
	local name
	for name in $(vmbus_devices); do device "$name" && channels "$name"; done
}

check "bus loads" bus_load
symbols
module_info
bus
every_device
# QEMU has no disks on its bus, but a balloon, whose driver cannot be unloaded.
child=hv_storvsc
[ "$VMM" != qemu_kvm ] || child=hv_balloon
check "a driver loads" child_load $child
if [ $child = hv_storvsc ]; then
	check "disk is there" until_true 30 disks_there
fi
tree driver /sys/bus/vmbus/drivers/$child 1
every_device
if [ $child = hv_storvsc ]; then
	check "driver unloads" child_unload $child
fi
# That a module is not from the kernel's tree is said by who loads it.
dmesg | sed -n '/out-of-tree module/d; s/.*\(hv_vmbus: .*\)/\1/p' | while read -r line; do surface log line "$line"; done
check "listed" true
if bus_can_go && [ $child = hv_storvsc ]; then check "bus unloads" bus_unload; fi
