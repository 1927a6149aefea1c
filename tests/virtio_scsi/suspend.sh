# SPDX-License-Identifier: GPL-2.0
#
# Suspend with the driver loaded and requests in flight, several times: the
# device is reset and its queues are deleted, and made again when the machine
# wakes up. Nothing is lost, units that are resized afterwards are still seen,
# and the interrupts are where they were.
#
# A kernel with pm_test goes all the way of a suspend up to where the devices
# sleep, and then back. No clock of the machines here wakes one that sleeps for
# real, so on other kernels a module of the tests does to the device alone what
# the kernel would.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=debug vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=lab,stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 240
# order: last

. /tests/lib.sh

if [ -e /sys/power/pm_test ]; then
	sleep_well() { echo devices >/sys/power/pm_test && echo freeze >/sys/power/state; }
else
	sleep_well() {
		local host
		host=$(ls -d /sys/class/scsi_host/host*)
		insmod "/modules/ours/${BUS}_pm_poke.ko" host="${host##*/host}" && rmmod "${BUS}_pm_poke"
	}
fi

load() {
	disk_exercise "$1" "$2" --direct --jobs 4 --random >"/tmp/load.$1" 2>&1
	echo $? >"/tmp/status.$1"
}

ended_well() {
	cat "/tmp/load.$1"
	[ "$(cat "/tmp/status.$1")" = 0 ]
}

interrupts() { sed -n 's/.* \(virtio[0-9]*-.*\|vmw_pvscsi\)$/\1/p' /proc/interrupts | sort; }

check "driver loads" driver_load
disk_known 0
disk_known 3
interrupts >/tmp/interrupts.before
load 3 3 &
for number in 1 2 3; do
	check "suspend $number" sleep_well
	check "first block after suspend $number" disk_verify 0 --direct
done
wait
check "requests in flight all succeeded" ended_well 3
check "every block" disk_verify 3 --direct
interrupts >/tmp/interrupts.after
check "interrupts are the same" cmp /tmp/interrupts.before /tmp/interrupts.after
check "driver unloads" driver_unload
check "driver loads again" driver_load
check "suspend without requests" sleep_well
check "contents are unchanged" disk_verify 0 --direct
check "driver unloads" driver_unload
