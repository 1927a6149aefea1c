# SPDX-License-Identifier: GPL-2.0
#
# Processors are taken away and come back while a disk is written and verified:
# channels that interrupt them go elsewhere, no packet is lost, and the processor
# that the host tells of its offers stays.
#
# machine: module=hv_storvsc driver=c bus=rust,c vmm=hospes kernel=lab vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 240

. /tests/lib.sh

CPUS=/sys/devices/system/cpu

# turn NUMBER 0|1: takes a processor away, or has it back.
turn() { echo "$2" >"$CPUS/cpu$1/online"; }

stays() { ! turn "$1" 0 2>/dev/null; }

# on_cpu NUMBER: channels that interrupt that processor.
on_cpu() { cat /sys/bus/vmbus/devices/*/channels/*/cpu | grep -cx "$1"; }

check "driver loads" driver_load
check "the first processor stays" stays 0
disk_exercise 0 8 >/tmp/exercise 2>&1 &
load=$!
for cpu in 1 2 3; do
	check "processor $cpu goes" turn "$cpu" 0
	check "no channel is left there" same "$(on_cpu "$cpu")" 0
done
check "one processor reads" disk_verify 1 --direct
for cpu in 1 2 3; do
	check "processor $cpu comes" turn "$cpu" 1
done
check "all processors read" disk_verify 2 --direct
check "nothing was lost meanwhile" wait "$load"
check "driver unloads" driver_unload
check "a processor goes without a driver" turn 3 0
check "driver loads again" driver_load
check "disk is what it was" disk_verify 1 --direct
check "driver unloads in the end" driver_unload
check "processor comes" turn 3 1
