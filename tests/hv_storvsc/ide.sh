# SPDX-License-Identifier: GPL-2.0
#
# Disks of an IDE controller: each is a device of its own on the bus, with one unit,
# which is the target that the device's instance names. They are read and written
# like any other, are taken from the driver and given back, and do not come and go.
#
# machine: module=hv_storvsc controller=ide driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M
# machine: module=hv_storvsc controller=ide driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# host: yes
# limit: 180

. /tests/lib.sh

driver=/sys/bus/vmbus/drivers/$MODULE

# device N: the one that disk N is.
device() {
	local name
	for name in $(driver_devices); do
		set -- "$1" "$driver/$name"/host*/target*:0:"$1"
		[ ! -d "$2" ] || echo "$name"
	done
}

# The second group of a GUID is bytes 4 and 5.
instance_names() { same "$(device "$1" | cut -d - -f 2)" "000$1"; }

refused_outside() {
	if host remove 0; then
		echo "a disk of IDE was taken away"
		return 1
	fi
}

check "driver loads" driver_load
check "two controllers" controllers_are 2
check "both of IDE" same "$(cat /sys/bus/vmbus/devices/*/class_id | grep -c 32412632)" 2
check "with a queue each" same "$(cat /sys/class/scsi_host/host*/nr_hw_queues | tr '\n' ' ')" "1 1 "
for number in 0 1; do
	check "disk $number is what its instance names" instance_names $number
	check "disk $number has its size" same "$(disk_size $number)" "$(eval echo "\$SIZE_$number")"
	check "disk $number: read what was written outside" disk_verify $number --direct
	check "disk $number: write" disk_write $number --direct --io-size 1M
	check "disk $number: read" disk_verify $number --direct --io-size 1M
done
check "overwrite and read at the same time" disk_exercise 1 2 --direct --jobs 4 --random --io-size 16K
check "a disk stays" refused_outside

second=$(device 1)
check "unbind the second" sh -c "echo $second >$driver/unbind"
check "its disk is gone" until_true 10 disk_gone 1
check "the first is as it was" disk_verify 0 --direct
check "bind it" sh -c "echo $second >$driver/bind"
check "its disk is back" until_true 30 disk 1
check "as it was" disk_verify 1 --direct
for number in 1 2 3; do
	check "driver unloads, $number" driver_unload
	check "driver loads again" driver_load
	check "disk 1 is as it was" disk_verify 1 --direct
done
check "driver unloads in the end" driver_unload
