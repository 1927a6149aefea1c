# SPDX-License-Identifier: GPL-2.0
#
# A controller that is torn out with requests in flight takes those with it and
# nothing else: each of them ends, the driver lets go, and the controller beside
# it never notices.
#
# The kernel's own driver for VMBus waits for those without end.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# host: yes
# limit: 240

. /tests/lib.sh

# Writes to the disk that is going to go: an error is what it must get.
doomed() {
	while diskcheck write --disk 2 --generation 500 --direct --jobs 4 --io-size 4K "$1"; do :; done
	touch /tmp/doomed.ended
}

has_ended() { [ -e /tmp/doomed.ended ]; }

check "driver loads" driver_load
check "the disk that is going to go is not there yet" disk_gone 2
# What its disk holds in the end is left to chance.
rm -f /tmp/leaves.2
before=$(bus_devices)
for number in 1 2; do
	check "add a controller, round $number" host add-controller 2
	check "its disk is found" until_true 30 disk 2
	disk 2 >/dev/null
	rm -f /tmp/doomed.ended
	doomed "$NODE" >/tmp/doomed 2>&1 &
	check "it is written to" until_true 20 disk_busy "${NODE##*/}"
	check "tear it out" host tear-controller
	check "what was in flight ends" until_true 60 has_ended
	check "its disk is gone" until_true 30 disk_gone 2
	check "so is the controller" until_true 30 controllers_are 1
	check "and its place on the bus is free" until_true 30 bus_devices_are "$before"
done
# That writes failed is as it should be.
dmesg -c >/dev/null
check "the other controller works" disk_write 0 --direct
check "every block" disk_verify 0 --direct
check "driver unloads" driver_unload
