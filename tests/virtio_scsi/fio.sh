# SPDX-License-Identifier: GPL-2.0
#
# Debian's fio verifies what it writes with checksums of its own: random and
# sequential, blocks of several sizes, several requests in flight, by system
# calls, AIO and io_uring, polled too.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=2 disks=2x4M
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=2 disks=2x4M set=long
# machine: module=virtio_scsi driver=c vmm=hospes,qemu kernel=stock vcpus=2 disks=2x4M set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=2x4M
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=2 disks=2x4M set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=2 disks=2x4M set=long
# programs: fio
# limit: 300

. /tests/lib.sh

# job NAME OPTION…: writes the whole disk and verifies it.
job() {
	local name=$1
	shift
	/usr/bin/fio --name="$name" --filename="$d" --direct=1 --size=100% --verify_fatal=1 \
		--do_verify=1 --output-format=terse --thread --verify_dump=0 "$@" >/tmp/fio 2>&1 ||
		{ tail -n 8 /tmp/fio; return 1; }
	! grep -iE 'verify.*(fail|bad)|error' /tmp/fio
}

# Of these drivers this one alone has queues that are polled.
polled=
[ "$MODULE" != virtio_scsi ] || polled=virtscsi_poll_queues=1
check "driver loads" driver_load $polled
d=$(disk 0)
rm -f /tmp/leaves.0
check "sequential, crc32c" job seq --rw=write --bs=64k --verify=crc32c
check "random 4K, 16 in flight, sha256" \
	job random --rw=randwrite --bs=4k --ioengine=libaio --iodepth=16 --verify=sha256
check "mixed sizes, io_uring, xxhash" \
	job mixed --rw=randwrite --bsrange=4k-128k --ioengine=io_uring --iodepth=8 --verify=xxhash
if [ "$polled" ]; then
	check "polled, io_uring, pattern" \
		job polled --rw=randwrite --bs=4k --ioengine=io_uring --hipri=1 --iodepth=8 --verify=pattern \
		--verify_pattern=0x5aa5f00f
fi
check "two at once, with metadata" job two --rw=randwrite --bs=8k --ioengine=libaio --iodepth=8 \
	--numjobs=2 --size=2M --offset_increment=2M --verify=meta --group_reporting
check "trim and verify" job trim --rw=randwrite --bs=16k --ioengine=libaio --iodepth=4 \
	--verify=crc32c --trim_percentage=20 --trim_verify_zero=1
check "the neighbour is untouched" disk_verify 1 --direct
check "write all of it" disk_write 0 --direct
check "read all of it" disk_verify 0 --direct
check "driver unloads" driver_unload
