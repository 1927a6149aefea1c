# SPDX-License-Identifier: GPL-2.0
#
# The controller can be taken away from the driver and given back at any time,
# also while requests are in flight: they end, and after the return everything
# works.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# limit: 180
# order: last

. /tests/lib.sh

bus=/sys/bus/vmbus/drivers/$MODULE

device() { ls "$bus" | grep -- '-.*-.*-'; }

no_disks() { [ -z "$(ls /sys/class/scsi_disk)" ]; }

check "driver loads" driver_load
disk_known 0
controller=$(device)
check "controller is bound" [ -n "$controller" ]
for number in 1 2 3; do
	check "unbind $number" sh -c "echo $controller >$bus/unbind"
	check "disks are gone" until_true 10 no_disks
	check "bind $number" sh -c "echo $controller >$bus/bind"
	check "disks are back" until_true 30 disks_there
done
check "contents are unchanged" disk_verify 0 --direct
slow=$(disk 3)
rm -f /tmp/leaves.3
diskcheck write --disk 3 --generation 999 --direct --jobs 8 --io-size 4K "$slow" >/tmp/load 2>&1 &
until_true 5 disk_busy "${slow##*/}"
check "unbind under load" sh -c "echo $controller >$bus/unbind"
wait
check "requests were ended" test -s /tmp/load
check "disks are gone" until_true 10 no_disks
check "bind after load" sh -c "echo $controller >$bus/bind"
check "disks are back" until_true 30 disks_there
check "write" disk_write 3 --direct
check "read" disk_verify 3 --direct
check "driver unloads" driver_unload
