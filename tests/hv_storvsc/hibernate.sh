# SPDX-License-Identifier: GPL-2.0
#
# A machine that goes to sleep on a disk of the bus, and wakes up from it, has all
# its channels again, and all its data. First only as far as the bus sleeps, and
# back; then with its memory written to the disk and read from there; both with a
# disk in use. What a kernel finds that starts from such an image is what it left:
# its devices have to agree with their host anew.
#
# machine: module=hv_storvsc driver=rust,c bus=rust,c vmm=hospes kernel=lab vcpus=1 disks=2x4M+1x192M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=4 disks=2x4M+1x192M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+1x192M
# limit: 300
# alone: yes

. /tests/lib.sh

load() {
	disk_exercise 1 4 --direct --jobs 4 --random >/tmp/load 2>&1
	echo $? >/tmp/load_status
}

ended_well() {
	cat /tmp/load
	[ "$(cat /tmp/load_status)" = 0 ]
}

# As far as the bus sleeps: its turn is after the interrupts of devices are off.
doze() { echo platform >/sys/power/pm_test && echo disk >/sys/power/state; }

# The image is written, and taken for the one of another start at once.
hibernate() {
	echo none >/sys/power/pm_test
	echo test_resume >/sys/power/disk && echo disk >/sys/power/state
}

swap_on() { mkswap "$1" >/dev/null && swapon "$1"; }

channels() { cat /sys/bus/vmbus/devices/*/channel_vp_mapping | wc -l; }

# With its own checks on, the kernel finds that its hv_suspend() changes code with
# interrupts off, whatever the bus.
echo 'WARNING: kernel/smp.c:[0-9]* at smp_call_function_many_cond' >/tmp/expected

check "driver loads" driver_load
disk_known 0
disk_known 1
channels=$(channels)
load &
for number in 1 2 3; do
	check "asleep and awake, $number" doze
	check "first disk after it, $number" disk_verify 0 --direct
done
wait
check "requests in flight all succeeded" ended_well
check "all channels are there" same "$(channels)" "$channels"
rm -f /tmp/leaves.2
check "a disk to sleep on" swap_on "$(disk 2)"
echo 0 >/sys/power/image_size
load &
check "the machine sleeps on the disk and wakes up" hibernate
wait
check "requests in flight all succeeded again" ended_well
check "every block" disk_verify 1 --direct
check "all channels are there again" same "$(channels)" "$channels"
check "once more" hibernate
check "write" disk_write 0 --direct
check "read" disk_verify 0 --direct
check "nothing is left on the disk" swapoff "$(disk 2)"
check "driver unloads" driver_unload
check "driver loads again" driver_load
check "contents are unchanged" disk_verify 0 --direct
check "driver unloads at last" driver_unload
