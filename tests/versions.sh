# SPDX-License-Identifier: GPL-2.0
#
# For cases about a host that speaks an older version of VMBus: what is the same, and
# what a guest can do with it.

# bus_speaks VERSION: that was agreed on when the bus was loaded, before the case.
bus_speaks() { grep -q "Vmbus version:$1\$" /tmp/boot; }

# on_cpu NUMBER: the files of channels that interrupt that processor.
on_cpu() { grep -lx "$1" /sys/bus/vmbus/devices/*/channels/*/cpu; }

cpu_goes() { echo 0 >"/sys/devices/system/cpu/cpu$1/online"; }

cpu_comes() { echo 1 >"/sys/devices/system/cpu/cpu$1/online"; }

stays() { ! cpu_goes "$1" 2>/dev/null; }

move() { echo "$2" >"$1"; }

cannot_move() { ! move "$@" 2>/dev/null; }

# older_version VERSION moves|stays: the second says what a channel does when root wants
# another processor for it. None moves by itself when its processor is to go: a guest
# could not know when the host has stopped interrupting that.
older_version() {
	local file
	check "version $1 is agreed on" bus_speaks "$1"
	check "driver loads" driver_load
	check "disk 0 is what it was" disk_verify 0 --direct
	check "both processors have a channel" until_true 30 on_cpu 1
	check "so a processor stays" stays 1
	file=$(on_cpu 1)
	if [ "$2" = moves ]; then
		check "the channel can be moved" move "$file" 0
		check "disk 1 can be written and read" again
		check "the processor goes" cpu_goes 1
		check "disk 0 can be read by the other one" disk_verify 0 --direct
		check "the processor comes" cpu_comes 1
	else
		check "the channel cannot be moved" cannot_move "$file" 0
		check "disk 1 can be written and read" again
	fi
	check "driver unloads" driver_unload
	check "driver loads again" driver_load
	check "disk 0 is as it was" disk_verify 0 --direct
	check "disk 1 can be written and read again" again
	check "driver unloads in the end" driver_unload
}

again() { disk_write 1 --direct && disk_verify 1 --direct; }
