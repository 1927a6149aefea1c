# SPDX-License-Identifier: GPL-2.0
#
# A SCSI controller on VMBus is one device of its class with a channel for each
# processor; all of them are opened, I/O goes by several, and after the driver has
# been unloaded and loaded again they are as many as before. One that the host takes
# away is done without, until the driver is loaded the next time.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# host: yes
# limit: 400

. /tests/lib.sh
. /tests/faults.sh

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
# The kernel's own driver does not notice, and waits for what it sent there.
if [ "$DRIVER" = rust ]; then
	for number in 1 2; do
		check "sub-channel $number is taken away" host fault kind=rescind,channel=$number
		check "sub-channel $number: every processor reads" load_by_all
		check "sub-channel $number: disk 1 can be written and read" again
	done
	# What is sent there until the guest hears of it has no answer. The driver gives the
	# controller up after a while, in which it waits for one.
	give_up_after 10
	rm -f /tmp/leaves.1
	provoke >/tmp/provoked 2>&1 &
	load=$!
	until_true 5 disk_busy "${NODE##*/}"
	check "sub-channel 3 is taken away under load" host fault kind=rescind,channel=3
	check "sub-channel 3: every request is ended" until_true 120 ended $load
	dmesg -c >/dev/null
fi
check "driver unloads" driver_unload
check "driver loads again" driver_load
check "as many channels as before" until_true 30 channels_are "$VCPUS"
check "disk is what it was" disk_verify 0 --direct
check "driver unloads in the end" driver_unload
