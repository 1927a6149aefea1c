# SPDX-License-Identifier: GPL-2.0
#
# The sample driver agrees with a SCSI controller on VMBus, and lets go of it.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow

. /tests/lib.sh

said() { dmesg | grep "sample_vmbus_storvsp .*: $1"; }

load() { insmod /modules/ours/sample_vmbus_storvsp.ko; }

check "sample loads" load
check "it has agreed on a version" until_true 10 said 'version 0x602, [1-9][0-9]* bytes'
check "sample unloads" rmmod sample_vmbus_storvsp
check "and again" load
check "unloads again" rmmod sample_vmbus_storvsp
check "the driver finds its disks after it" driver_load
check "driver unloads" driver_unload
