# SPDX-License-Identifier: GPL-2.0
#
# For the cases that are about the bus: loading it, and drivers on it.

# bus_load [PARAMETER=VALUE…]: loads it, unless a case before left it, and waits
# for its devices.
bus_load() {
	[ -e "/sys/module/$MODULE" ] || insmod "/modules/$MODULE.ko" "$@" || return 1
	until_true 30 vmbus_devices || { echo "no device"; return 1; }
}

# The C bus stops the kernel's own clock event when it goes: its module_exit calls
# hv_stimer_global_cleanup(), though the kernel set that timer up before there was
# a bus, and still counts on it. Nothing that sleeps wakes again. So it stays.
bus_can_go() { [ "$DRIVER" = rust ]; }

bus_unload() { until_true 10 rmmod "$MODULE"; }

# vmbus_devices: the names of all devices.
vmbus_devices() { ls /sys/bus/vmbus/devices | grep .; }

# child_load NAME: loads a C driver of devices on the bus, and what it needs.
child_load() {
	local name
	while read -r name; do
		[ -e "/sys/module/$name" ] || insmod "/modules/children/$name.ko" || return 1
	done <"/modules/children/$1.order"
}

child_unload() { until_true 10 rmmod "$1"; }
