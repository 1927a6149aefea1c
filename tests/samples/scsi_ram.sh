# SPDX-License-Identifier: GPL-2.0
#
# The sample of a SCSI host, a disk in memory, works as a disk: what is written
# is read back, beyond its end there is nothing, and it can be unloaded.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow

. /tests/lib.sh

node() { ls /sys/class/scsi_device/*/device/block 2>/dev/null | head -n 1; }

there() { [ -n "$(node)" ] && [ -b "/dev/$(node)" ]; }

gone() { [ -z "$(node)" ]; }

check "sample loads" insmod /modules/ours/sample_scsi_ram.ko
check "disk is there" until_true 10 there
disk=/dev/$(node)
check "its size" same "$(cat "/sys/class/block/${disk#/dev/}/size")" 8192
check "its name" grep -q "RAM DISK SAMPLE" "/sys/class/block/${disk#/dev/}/device/model"
dd if=/dev/urandom of=/tmp/pattern bs=1M count=4 2>/dev/null
check "write" dd if=/tmp/pattern of="$disk" bs=64K conv=fsync
drop_caches
check "read" cmp /tmp/pattern "$disk"
check "nothing beyond the end" sh -c "! dd if=/tmp/pattern of=$disk bs=4K seek=1024 count=1 conv=fsync"
check "sample unloads" until_true 10 rmmod sample_scsi_ram
check "disk is gone" gone
rm /tmp/pattern
