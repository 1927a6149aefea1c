# SPDX-License-Identifier: GPL-2.0
#
# Resets while requests are in flight lose nothing and damage nothing: requests that
# a reset ends are sent again, on this disk and without disturbing its neighbour.
# They are resets of the logical unit where a controller can do that, else of all it
# has. Writes carry a number that counts up, so one that is carried out twice would
# bring an old number back.
#
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# limit: 180
# order: last

. /tests/lib.sh

# The tool holds no lock on what it works on: load comes from other processes.
load() {
	disk_sequence "$1" "$2" --direct --io-size 16K --jobs 8 --random >"/tmp/load.$1" 2>&1
	echo $? >"/tmp/status.$1"
}

ended_well() {
	cat "/tmp/load.$1"
	[ "$(cat "/tmp/status.$1")" = 0 ]
}

# Hyper-V's controller only knows a reset of its bus, by the host of the SCSI layer.
scope=device
[ "$MODULE" != hv_storvsc ] || scope=host
reset_one() { diskcheck reset --scope "$scope" "$1"; }

check "driver loads" driver_load
disk_known 0
disk_known 3
slow=$(disk 3)
load 3 10 &
load 0 40 &
for number in 1 2 3 4; do
	until_true 5 disk_busy "${slow##*/}"
	check "reset $number of the slow disk, busy" reset_one "$slow"
	sleep 0.3
done
check "reset of its neighbour" reset_one "$(disk 0)"
wait
check "requests of the slow disk all succeeded" ended_well 3
check "requests of its neighbour all succeeded" ended_well 0
check "slow disk, every block" disk_verify 3 --direct
check "neighbour, every block" disk_verify 0 --direct
check "driver unloads" driver_unload
