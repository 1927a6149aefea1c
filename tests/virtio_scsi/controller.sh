# SPDX-License-Identifier: GPL-2.0
#
# A whole controller comes and goes while the driver runs: it is found with its
# disk, it goes in order with its driver's consent and is gone from the bus, and
# the one beside it never notices. The machine's PCI slots are those of ACPI.
#
# machine: module=virtio_scsi driver=c,rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare
# host: yes
# limit: 240

. /tests/lib.sh

hosts() { ls -d /sys/class/scsi_host/host* 2>/dev/null | wc -l; }

there_are() { same "$(hosts)" "$1"; }

# The disk that is the only one of the newest controller.
newcomer() {
	set -- /sys/class/scsi_disk/*:0:2/device/block/*
	[ -b "/dev/${1##*/}" ]
}

no_newcomer() { ! newcomer; }

functions() { ls /sys/bus/pci/devices | wc -l; }

same_functions() { same "$(functions)" "$1"; }

check "driver loads" driver_load
before=$(functions)
for number in 1 2 3; do
	check "add a controller, round $number" host add-controller 2
	check "it is found" until_true 30 there_are 2
	check "so is its disk" until_true 30 newcomer
	check "remove it" host remove-controller
	check "its disk is gone" until_true 30 no_newcomer
	check "it is gone" until_true 30 there_are 1
	check "it is gone from the bus" until_true 30 same_functions "$before"
done
check "the other one, every block" disk_verify 0 --direct
check "driver unloads" driver_unload
