# SPDX-License-Identifier: GPL-2.0
#
# A guest that panics with open channels tells its host that they are gone and does
# not wait for what does not come: the VMM's status says that it panicked.
#
# machine: module=hv_vmbus driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M
# machine: module=hv_vmbus driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M set=long
# exit: panic

. /tests/lib.sh
. /tests/vmbus.sh

check "bus loads" bus_load
check "storage driver loads" child_load hv_storvsc
check "disk is there" until_true 30 disks_there
check "contents are right" disk_verify 0 --direct
rmmod pvpanic_pci
# The end of the first process, which obeys this file, is a panic.
touch /tmp/end_init
