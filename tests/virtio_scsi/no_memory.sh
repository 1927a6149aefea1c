# SPDX-License-Identifier: GPL-2.0
#
# Allocations that fail, in requests and while the driver is loaded and its disks
# are found, cost time or a clean error: nothing is lost, nothing leaks, and with
# memory back everything works. Only the debug kernel can be told to fail.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# limit: 400
# order: last

. /tests/lib.sh
. /tests/no_memory.sh

# everywhere KIND PERCENT: whoever asks, but only where nobody may wait, as in the
# way of a request.
everywhere() {
	echo 0 >$debug/$1/verbose
	echo N >$debug/$1/task-filter
	echo Y >$debug/$1/ignore-gfp-wait
	printf '%#x' -1 >$debug/$1/times
	echo "$2" >$debug/$1/probability
}

check "the kernel can be told to fail" can_fail
check "driver loads" driver_load
disk_known 0
disk_known 1
plenty
everywhere failslab 20
everywhere fail_page_alloc 20
check "write while allocations fail" disk_exercise 0 1 --direct --jobs 4 --io-size 16K
check "4K scattered while they fail" disk_exercise 1 1 --direct --jobs 8 --io-size 4K --random
plenty
check "every block" disk_verify 0 --direct
check "driver unloads" driver_unload
# What the driver core says when it is refused a name, and the interrupts' core when
# an interrupt goes for which there was no memory in /proc.
cat >/tmp/expected <<-END
	kobject.*error: -12
	WARNING: fs/proc/generic.c:[0-9]* at remove_proc_entry
END
for number in 40 80 120 160 200 250 300 400 500 650 800 1000 1300 1600 2000 2500 3000; do
	load_failing "$number" || break
done
check "loads with one failure each" [ ! -e "/sys/module/$MODULE" ]
loads_failed
check "driver loads again" driver_load
check "every block again" disk_verify 0 --direct
check "write" disk_write 0 --direct
check "read" disk_verify 0 --direct
check "driver unloads at last" driver_unload
