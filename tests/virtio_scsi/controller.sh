# SPDX-License-Identifier: GPL-2.0
#
# A whole controller comes and goes while the driver runs: it is found with its
# disk, it goes in order with its driver's consent and is gone from the bus, and
# the one beside it never notices. The machine's PCI slots are those of ACPI; VMBus
# has none.
#
# The kernel's own driver for VMBus hangs here: the bus no longer takes what it sends
# after the host has taken the controller back, such as SYNCHRONIZE CACHE, and it
# waits for the answer without end.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# host: yes
# limit: 240

. /tests/lib.sh

check "driver loads" driver_load
before=$(bus_devices)
for number in 1 2 3; do
	check "add a controller, round $number" host add-controller 2
	check "it is found" until_true 30 controllers_are 2
	check "so is its disk" until_true 30 disk 2
	check "remove it" host remove-controller
	check "its disk is gone" until_true 30 disk_gone 2
	check "it is gone" until_true 30 controllers_are 1
	check "it is gone from the bus" until_true 30 bus_devices_are "$before"
done
check "the other one, every block" disk_verify 0 --direct
check "driver unloads" driver_unload
