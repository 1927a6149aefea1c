# SPDX-License-Identifier: GPL-2.0
#
# Requests that are polled for (io_uring with IOPOLL, a queue that the driver
# keeps for it) arrive whole and in place, without an interrupt for them, beside
# requests that wait for one.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# limit: 180

. /tests/lib.sh

poll_is_on() { [ "$(cat "/sys/class/block/$(basename "$(disk 1)")/queue/io_poll")" = 1 ]; }

check "driver loads without polled queues" driver_load
disk_known 1
disk_known 2
check "nobody polls" same "$(cat "/sys/class/block/$(basename "$(disk 1)")/queue/io_poll")" 0
check "polled requests are refused" sh -c \
	"! diskcheck verify --disk 1 --direct --engine polled $(disk 1)"
check "driver unloads" driver_unload

check "driver loads with one" driver_load virtscsi_poll_queues=1
check "the disk can be polled" poll_is_on
check "polled read of what is there" disk_verify 1 --direct --engine polled --io-size 4K
before=$(interrupts_of 'virtio.*-request')
check "polled write, 4K scattered" disk_write 1 --direct --engine polled --io-size 4K --random
check "polled read" disk_verify 1 --direct --engine polled --io-size 4K --random
rate
after=$(interrupts_of 'virtio.*-request')
# 1024 requests; only the flush at the end waits for an interrupt.
say "  # interrupts: $((after - before))"
check "no interrupts for them" [ $((after - before)) -lt 100 ]
check "polled write by 8 threads" disk_write 0 --direct --engine polled --jobs 8
check "polled read by 8 threads" disk_verify 0 --direct --engine polled --jobs 8 --random
disk_exercise 2 1 --direct --jobs 2 >/tmp/load 2>&1 &
check "polled, beside others" disk_write 1 --direct --engine polled --io-size 16K --jobs 2
wait
check "the others, every block" disk_verify 2 --direct
check "io_uring without polling" disk_verify 1 --direct --engine uring --jobs 4
check "driver unloads" driver_unload
