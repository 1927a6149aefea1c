# SPDX-License-Identifier: GPL-2.0
#
# A disk that grows outside is as large inside without anybody asking, while another is
# in use, and the new room can be used. Where the device has no way to tell, as
# VMware's, the next command brings a unit attention, and somebody has to ask.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=c vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# host: yes
# limit: 120

. /tests/lib.sh

has_size() { [ "$(disk_size "$1")" = "$2" ]; }

attention() { dmesg | grep -q "Capacity data has changed"; }

# told N: makes the guest look, if nobody tells it; the unit attention comes first.
told() {
	[ "$MODULE" = vmw_pvscsi ] || return 0
	NODE=$(disk "$1")
	dd if="$NODE" of=/dev/null bs=4096 count=1 iflag=direct 2>/dev/null
	until_true 10 attention || { echo "no unit attention"; return 1; }
	dmesg -c >/dev/null
	echo 1 >"/sys/block/${NODE##*/}/device/rescan"
}

# The block layer learns the size of a disk that is in use when it is told; a disk
# that nobody has open is looked at anew when it is opened.
check "driver loads" driver_load
disk_known 1
check "grow" host resize 1 8M
check "the guest is told" told 1
check "the guest sees it" until_true 30 has_size 1 8388608
check "write all of it" disk_write 1 --direct
check "read all of it" disk_verify 1 --direct
disk_known 0
disk_exercise 0 3 --direct --jobs 4 --random --io-size 16K >/tmp/load 2>&1 &
check "grow again" host resize 1 9M
check "the guest is told" told 1
check "the guest sees it" until_true 30 has_size 1 9437184
wait
check "the neighbour, every block" disk_verify 0 --direct
check "write all of it" disk_write 1 --direct
check "read all of it" disk_verify 1 --direct
check "driver unloads" driver_unload
