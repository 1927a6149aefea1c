# SPDX-License-Identifier: GPL-2.0
#
# A SCSI controller on VMBus is one device of its class with a channel for each
# processor; all of them are opened, I/O goes by several, and after the driver has
# been unloaded and loaded again they are as many as before.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 240

. /tests/lib.sh

CLASS={ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}

# controllers: the devices of the class.
controllers() {
	local device
	for device in /sys/bus/vmbus/devices/*; do
		[ "$(cat "$device/class_id")" = $CLASS ] && echo "$device"
	done
}

one_controller() { same "$(controllers | wc -l)" 1; }

# open_channels: channels of the controller that are open; sub-channels have a
# directory of their own once they are.
channels_are() {
	same "$(ls -d "$(controllers)"/channels/*/ | wc -l)" "$1"
}

# On how many processors a channel interrupts.
spread() {
	cat "$(controllers)"/channels/*/cpu | sort -u | wc -l
}

load_by_all() {
	local cpu=0
	while [ $cpu -lt "$VCPUS" ]; do
		taskset "$(printf %x $((1 << cpu)))" dd if="$(disk 0)" of=/dev/null bs=64k iflag=direct \
			2>/dev/null || return 1
		cpu=$((cpu + 1))
	done
}

# busy_channels: channels that signalled the guest.
busy_channels() {
	cat "$(controllers)"/channels/*/interrupts | grep -vc '^0$'
}

check "driver loads" driver_load
check "one controller" one_controller
check "a channel for each processor" until_true 30 channels_are "$VCPUS"
check "they are spread" [ "$(spread)" -gt 1 ]
check "every processor reads" load_by_all
check "by several channels" [ "$(busy_channels)" -gt 1 ]
check "driver unloads" driver_unload
check "driver loads again" driver_load
check "as many channels as before" until_true 30 channels_are "$VCPUS"
check "disk is what it was" disk_verify 0 --direct
check "driver unloads in the end" driver_unload
