# SPDX-License-Identifier: GPL-2.0
#
# Commands that are aborted while they are in flight are ended by the device,
# each exactly once, and carried out again when they are sent again: the load
# sees no error, no write is lost, and none is carried out once more after a later
# one (its number would be back). A module of the tests asks for the
# aborts, because a command of this driver never times out by itself.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 120
# order: last

. /tests/lib.sh

poke=/sys/module/scsi_eh_poke/parameters

load() {
	disk_sequence 3 10 --direct --io-size 16K --jobs 8 --random >/tmp/load 2>&1
	echo $? >/tmp/load.status
}

ended_well() {
	cat /tmp/load
	[ "$(cat /tmp/load.status)" = 0 ]
}

# value NAME: what the module counted.
value() { cat "$poke/$1"; }

check "driver loads" driver_load
disk_known 3
host=$(ls -d /sys/class/scsi_host/host*)
load &
check "abort 20 commands in flight" \
	insmod /modules/ours/scsi_eh_poke.ko host="${host##*/host}" count=20
wait
check "requests all succeeded" ended_well
check "no abort failed" same "$(value failed)" 0
say "  # aborted $(value aborted), idle $(value idle)"
check "some commands were aborted" [ "$(value aborted)" -gt 0 ]
check "every block" disk_verify 3 --direct
rmmod scsi_eh_poke
check "driver unloads" driver_unload
