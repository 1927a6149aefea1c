# SPDX-License-Identifier: GPL-2.0
#
# Sixty-four disks on our VMM, driven by our modules on Debian's own kernel: one
# by direct I/O, one through the page cache, one through ext4, and sixty-one at
# the same time; every byte is checked inside and again outside.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=2 disks=3x16M+61x1M
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=2 disks=3x16M+61x1M
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=2 disks=3x16M+61x1M
# set: long
# limit: 240

. /tests/lib.sh

# shown DISKS PATH: the last check was I/O of this kind; for the table.
shown() { say "  # shown disks=$1 path=$2 $(cat /tmp/output)"; }

centiseconds() { cut -d ' ' -f 1 /proc/uptime | tr -d .; }

# each VERB FUNCTION: FUNCTION N for disks 3 to 63 at once, and the rate of all.
each() {
	local number=3 start bytes
	start=$(centiseconds)
	rm -f /tmp/bad
	while [ $number -lt "$DISKS" ]; do
		{ $2 $number --direct --io-size 256K >/tmp/each.$number 2>&1 ||
			{ cat /tmp/each.$number; touch /tmp/bad; }; } &
		number=$((number + 1))
	done
	wait
	[ ! -e /tmp/bad ] || return 1
	bytes=$(((DISKS - 3) * 1048576))
	echo "$1 rate=$((bytes / 10486 / ($(centiseconds) - start + 1))).0MiB/s"
}

check "our module finds $DISKS disks" driver_load
check "disk 0: what was written outside, direct" disk_verify 0 --direct
check "disk 0: write, direct, 4 threads" disk_write 0 --direct --io-size 256K --jobs 4
shown 0 direct
check "disk 0: read, direct, 4 threads" disk_verify 0 --direct --io-size 256K --jobs 4
shown 0 direct
check "disk 1: what was written outside, cached" disk_verify 1
check "disk 1: write through the page cache" disk_write 1 --io-size 256K
shown 1 page-cache
drop_caches
check "disk 1: read through the page cache" disk_verify 1 --io-size 256K
shown 1 page-cache
rm -f /tmp/leaves.2
check "disk 2: what was written outside" diskcheck verify --disk 2 --generation 1 "$(disk 2)"
check "disk 2: make ext4" /usr/sbin/mke2fs -q -t ext4 -F "$(disk 2)"
check "disk 2: mount" mount -t ext4 "$(disk 2)" /mnt
check "disk 2: write a file and fsync it" \
	diskcheck write --size 8M --disk 2 --generation 2 --io-size 256K /mnt/pattern
shown 2 ext4
check "disk 2: unmount" umount /mnt
check "disk 2: mount again" mount -t ext4 "$(disk 2)" /mnt
check "disk 2: read the file" diskcheck verify --disk 2 --generation 2 --io-size 256K /mnt/pattern
shown 2 ext4
check "disk 2: unmount again" umount /mnt && leaves_ext4 2 2
check "disks 3-63: each what was written outside" each verified disk_verify
check "disks 3-63: write, all at once" each wrote disk_write
shown 3-63 direct,at-once
check "disks 3-63: read, all at once" each verified disk_verify
shown 3-63 direct,at-once
check "our module unloads" driver_unload
