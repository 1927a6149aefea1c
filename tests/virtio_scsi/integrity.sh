# SPDX-License-Identifier: GPL-2.0
#
# Protection information (T10 DIF and DIX): the kernel makes it for what it
# writes, the device checks it and keeps it, and the kernel checks what it reads.
# Disk 0 has type 1, disk 1 type 3, disk 2 none.
#
# The device refuses data whose guard or address is wrong, so data that goes
# through says that driver and device agree on every byte of the header and on
# the order of the segments. The other way round, a kernel that does not make
# protection information leaves it to the device, which reads back the same.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M:pi1+1x2M:pi3+1x2M
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M:pi1+1x2M:pi3+1x2M set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M:pi1+1x2M:pi3+1x2M set=long
# limit: 180

. /tests/lib.sh

host=/sys/class/scsi_host

# profile N NAME [VALUE]: reads or writes a setting of disk N's integrity.
profile() {
	local node
	node=$(disk "$1")
	set -- "/sys/class/block/${node##*/}/integrity/$2" "$3"
	if [ -n "$2" ]; then echo "$2" >"$1"; else cat "$1"; fi
}

check "driver loads" driver_load
check "types 1 to 3 of DIF and DIX" same "$(cat $host/host*/prot_capabilities)" 119
check "the guard is a CRC" same "$(cat $host/host*/prot_guard_type)" 1
check "disk 0 has type 1" same "$(profile 0 format)" T10-DIF-TYPE1-CRC
check "disk 1 has type 3" same "$(profile 1 format)" T10-DIF-TYPE3-CRC
check "disk 2 has none" same "$(profile 2 format)" none
for number in 0 1 2; do
	check "write disk $number" disk_write $number --direct
	check "read disk $number" disk_verify $number --direct
	check "write disk $number in small pieces" disk_write $number --direct --io-size 4K --jobs 4 --random
	check "read disk $number in large pieces" disk_verify $number --direct --io-size 256K
done
for number in 0 1; do
	profile $number read_verify 0
	profile $number write_generate 0
	check "write disk $number, the device makes the information" disk_write $number --direct
	check "read disk $number, nobody checks" disk_verify $number --direct
	profile $number read_verify 1
	profile $number write_generate 1
	check "read disk $number, the kernel checks" disk_verify $number --direct
done
check "the kernel found nothing wrong" sh -c "! dmesg | grep -E 'guard tag error|ref tag error|protection error'"
check "driver unloads" driver_unload
