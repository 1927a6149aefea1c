# SPDX-License-Identifier: GPL-2.0
#
# What each queue has done is shown in debugfs, and is right: all that was
# submitted has come back, and reads of a disk count on request queues.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long

. /tests/lib.sh

[ -d /sys/kernel/debug/bdi ] || mount -t debugfs debugfs /sys/kernel/debug

table() { cat /sys/kernel/debug/virtio_scsi-virtio*/queues; }

# sum COLUMN: of all request queues.
sum() { table | awk -v column="$1" '$2 ~ /^request/ { n += $column } END { print n }'; }

all_back() { [ "$(sum 3)" = "$(sum 4)" ]; }

check "driver loads" driver_load
disk_known 0
check "a line for each queue" same "$(table | sed 1d | cut -d ' ' -f 2 | sort -u | tr '\n' ' ')" "control event request "
check "the device has buffers for events" same "$(table | awk '$2 == "event" { print $3 - $4 }')" 8
before=$(sum 3)
check "read 4 MiB in pieces of 4 KiB" disk_verify 0 --direct --io-size 4K
after=$(sum 3)
check "at least 1024 requests more" [ $((after - before)) -ge 1024 ]
check "all have come back" until_true 5 all_back
check "the device was told" [ "$(sum 5)" -gt 0 ]
check "driver unloads" driver_unload
check "counters are gone" sh -c "! ls -d /sys/kernel/debug/virtio_scsi-*"
