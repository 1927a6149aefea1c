# SPDX-License-Identifier: GPL-2.0
#
# The driver can be loaded and unloaded a hundred times, with requests each time,
# and leaves nothing behind.
#
# machine: module=virtio_scsi driver=rust vmm=qemu,hospes kernel=stock vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=c vmm=qemu kernel=stock vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu,hospes kernel=stock vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# set: long
# limit: 900

. /tests/lib.sh

slab() { awk '/^Slab:/ { print $2 }' /proc/meminfo; }

cycle() { driver_load && disk_verify 0 --direct --io-size 1M && driver_unload; }

rounds() {
	local number
	for number in $(seq "$1"); do
		cycle || { echo "in round $number"; return 1; }
	done
}

nothing_left() {
	[ ! -e "/sys/module/$MODULE" ] && [ ! -e "/sys/bus/$BUS/drivers/$MODULE" ] &&
		[ -z "$(ls /sys/class/scsi_host)" ] && ! grep -q request /proc/interrupts
}

driver_load
disk_known 0
driver_unload
check "ten times" rounds 10
middle=$(slab)
check "ninety times more" rounds 90
check "nothing is left" nothing_left
# What a round loses shows ninety times; caches are full after ten.
check "memory: $middle KiB after ten rounds, $(slab) after a hundred" \
	[ $(($(slab) - middle)) -lt 4096 ]
