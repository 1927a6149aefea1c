# SPDX-License-Identifier: GPL-2.0
#
# A thousand and twenty-four logical units are as many disks: each is found once,
# holds its own content from outside, and keeps what is written to it while all
# the others are written to.
#
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock vcpus=2 disks=1024x64K
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=2 disks=1024x64K
# set: long
# limit: 1200

. /tests/lib.sh

check "driver loads" insmod "/modules/$MODULE.ko"
count_is() { [ "$(ls /sys/class/scsi_disk | wc -l)" = "$1" ]; }
check "it finds $DISKS disks" until_true 300 count_is "$DISKS"
check "each has its node" until_true 60 disks_there
check "each holds its own content" all_verify --direct --at-once 8
check "write to all" all_write --direct --at-once 64
check "each holds what was written to it" all_verify --direct --at-once 8
check "driver unloads" driver_unload
check "they are gone" count_is 0
