# SPDX-License-Identifier: GPL-2.0
#
# The device can be taken away from the driver and given back at any time, also
# while requests are in flight: they end with an error instead of hanging, and
# after the return everything works.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 120
# order: last

. /tests/lib.sh

bus=/sys/bus/$BUS/drivers/$MODULE

no_disks() { [ -z "$(ls /sys/class/scsi_disk)" ]; }

check "driver loads" driver_load
disk_known 0
device=$(driver_devices)
check "device is bound" [ -n "$device" ]
for number in 1 2 3; do
	check "unbind $number" sh -c "echo $device >$bus/unbind"
	check "disks are gone" until_true 10 no_disks
	check "bind $number" sh -c "echo $device >$bus/bind"
	check "disks are back" until_true 30 disks_there
done
check "contents are unchanged" disk_verify 0 --direct
slow=$(disk 3)
rm -f /tmp/leaves.3
diskcheck write --disk 3 --generation 999 --direct --jobs 8 --io-size 4K "$slow" >/tmp/load 2>&1 &
until_true 5 disk_busy "${slow##*/}"
check "unbind under load" sh -c "echo $device >$bus/unbind"
wait
check "requests were ended" test -s /tmp/load
check "disks are gone" until_true 10 no_disks
check "bind after load" sh -c "echo $device >$bus/bind"
check "disks are back" until_true 30 disks_there
check "write" disk_write 3 --direct
check "read" disk_verify 3 --direct
check "driver unloads" driver_unload
