# SPDX-License-Identifier: GPL-2.0
#
# Direct I/O of several sizes, in order and scattered, by one thread and by
# eight, brings every block to its place and back; what the lab wrote before the
# boot is found unchanged, and what is written is found by the lab afterwards.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=c vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=hospes,qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=c,rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# order: first
# limit: 180

. /tests/lib.sh

check "driver loads and finds $DISKS disks" driver_load
for number in $(disk_numbers); do
	check "disk $number has its size" same "$(disk_size "$number")" "$(eval echo "\$SIZE_$number")"
	check "disk $number: read what was written outside" disk_verify "$number" --direct
done
check "64K in order" disk_write 0 --direct
check "64K in order, read" disk_verify 0 --direct
rate
check "4K scattered, 8 threads" disk_write 1 --direct --io-size 4K --random --jobs 8
check "4K scattered, 8 threads, read" disk_verify 1 --direct --io-size 4K --random --jobs 8
rate
check "1M in order, 4 threads" disk_write 2 --direct --io-size 1M --jobs 4
check "1M in order, 4 threads, read" disk_verify 2 --direct --io-size 1M --jobs 4
rate
check "driver unloads" driver_unload
