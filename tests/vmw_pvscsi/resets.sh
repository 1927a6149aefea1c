# SPDX-License-Identifier: GPL-2.0
#
# Resets of the bus and of the whole adapter while requests are in flight lose
# nothing and damage nothing: what they end is sent again. Writes carry a number that
# counts up, so one that is carried out twice would bring an old number back.
#
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 180
# order: last
# programs: sg_reset

. /tests/lib.sh

load() {
	disk_sequence "$1" "$2" --direct --io-size 16K --jobs 8 --random >"/tmp/load.$1" 2>&1
	echo $? >"/tmp/status.$1"
}

ended_well() {
	cat "/tmp/load.$1"
	[ "$(cat "/tmp/status.$1")" = 0 ]
}

check "driver loads" driver_load
disk_known 0
disk_known 3
slow=$(disk 3)
load 3 10 &
load 0 40 &
for number in 1 2; do
	until_true 5 disk_busy "${slow##*/}"
	check "bus reset $number, busy" sg_reset -N -b "$slow"
	sleep 0.3
	until_true 5 disk_busy "${slow##*/}"
	check "adapter reset $number, busy" sg_reset -N -H "$slow"
	sleep 0.3
done
wait
check "requests of the slow disk all succeeded" ended_well 3
check "requests of its neighbour all succeeded" ended_well 0
check "slow disk, every block" disk_verify 3 --direct
check "neighbour, every block" disk_verify 0 --direct
check "adapter reset, idle" sg_reset -N -H "$slow"
check "slow disk, every block again" disk_verify 3 --direct
check "driver unloads" driver_unload
