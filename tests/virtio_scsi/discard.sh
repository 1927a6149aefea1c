# SPDX-License-Identifier: GPL-2.0
#
# What is discarded reads as zeroes if the disk says so, its neighbours stay, and
# it can be written again; a file system discards what it does not use and keeps
# what it does.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 150

. /tests/lib.sh

queue() { cat "/sys/class/block/$(basename "$(disk "$1")")/queue/$2"; }

# part N FIRST COUNT: MiB of a disk, past the cache.
part() { dd if="$(disk "$1")" bs=1M skip="$2" count="$3" iflag=direct 2>/dev/null; }

# holds N PLACE FILE: that MiB of the disk is what the file has.
holds() { part "$1" "$2" 1 | cmp - "$3"; }

zeroes() { [ "$(part "$@" | tr -d '\0' | wc -c)" = 0 ]; }

mounted() { mount -t ext4 -o discard "$(disk 2)" /mnt; }
write_file() { diskcheck write --size 2M --disk 2 --generation 88 /mnt/pattern; }
read_file() { diskcheck verify --disk 2 --generation 88 /mnt/pattern; }

check "driver loads" driver_load
disk_known 0
check "the disk takes discards" [ "$(queue 0 discard_max_bytes)" -gt 0 ]
part 0 0 1 >/tmp/first
part 0 3 1 >/tmp/last
rm -f /tmp/leaves.0
check "discard the middle" blkdiscard -o 1M -l 2M "$(disk 0)"
check "the middle reads as zeroes" zeroes 0 1 2
check "what is before it is unchanged" holds 0 0 /tmp/first
check "what is after it is unchanged" holds 0 3 /tmp/last
check "discard all of it" blkdiscard "$(disk 0)"
check "all of it reads as zeroes" zeroes 0 0 4
check "write it again" disk_write 0 --direct
check "read it" disk_verify 0 --direct
rm -f /tmp/leaves.2
check "make a file system" /usr/sbin/mke2fs -q -t ext4 -F "$(disk 2)"
check "mount" mounted
check "write a file to keep" write_file
check "write one to lose" dd if=/dev/zero of=/mnt/lost bs=64K count=32
sync
rm /mnt/lost
check "trim" fstrim /mnt
check "unmount" umount /mnt
check "mount again" mounted
check "the file is whole" read_file
check "unmount again" umount /mnt
leaves_ext4 2 88
check "driver unloads" driver_unload
