# SPDX-License-Identifier: GPL-2.0
#
# Loaded and unloaded ten times, the driver finds all disks each time, and
# leaves nothing behind: no memory, no interrupt, no sysfs entry.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 180

. /tests/lib.sh

slab() { awk '/^Slab:/ { print $2 }' /proc/meminfo; }

cycle() { driver_load && disk_verify 0 --direct --io-size 1M && driver_unload; }

ten() {
	local number
	for number in $(seq 10); do
		cycle || { echo "in round $number"; return 1; }
	done
}

nothing_left() {
	grep virtio /proc/interrupts | grep -v -e config
	[ ! -e "/sys/module/$MODULE" ] && [ ! -e "/sys/bus/$BUS/drivers/$MODULE" ] &&
		[ -z "$(ls /sys/class/scsi_host)" ] && ! grep -q -e request -e "$MODULE" /proc/interrupts
}

driver_load
disk_known 0
driver_unload
before=$(slab)
check "ten times" ten
check "nothing is left" nothing_left
# Other things allocate as well; a driver that lost one request's memory a
# round would show a multiple of this.
check "memory: $before KiB before, $(slab) after" [ $(($(slab) - before)) -lt 4096 ]
