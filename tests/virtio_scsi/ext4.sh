# SPDX-License-Identifier: GPL-2.0
#
# A file system keeps what was synced: a large file and 200 small ones come back
# after a remount, with the driver unloaded and loaded again in between; the lab
# checks the file system and the large file from outside.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=hospes,qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 180

. /tests/lib.sh

mounted() { mount -t ext4 "$(disk 2)" /mnt; }

# The generation of the large file; any number does, 77 is no disk's.
write_large() { diskcheck write --size 2M --disk 2 --generation 77 --random --jobs 4 /mnt/pattern; }
read_large() { diskcheck verify --disk 2 --generation 77 --jobs 4 /mnt/pattern; }

write_small() {
	local number
	mkdir /mnt/small
	for number in $(seq 200); do echo "file $number" >/mnt/small/$number || return 1; done
	sync
}

read_small() {
	local number text
	for number in $(seq 200); do
		read -r text </mnt/small/$number
		same "$text" "file $number" || return 1
	done
}

check "driver loads" driver_load
rm -f /tmp/leaves.2
check "make the file system" /usr/sbin/mke2fs -q -t ext4 -F "$(disk 2)"
check "mount" mounted
check "write and fsync a large file" write_large
rate
check "write 200 small files" write_small
check "unmount" umount /mnt
check "driver unloads" driver_unload
check "driver loads again" driver_load
check "mount again" mounted
check "large file, every block" read_large
rate
check "small files" read_small
check "unmount again" umount /mnt && leaves_ext4 2 77
check "driver unloads again" driver_unload
