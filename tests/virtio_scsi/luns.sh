# SPDX-License-Identifier: GPL-2.0
#
# Sixty-four logical units are sixty-four disks: each holds its own content, and
# what is written to one at the same time as to all others stays its own.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=64x1M
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=2 disks=64x1M
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=4 disks=64x1M set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=2 disks=64x1M set=long
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=2 disks=64x1M set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=2 disks=64x1M set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=2 disks=64x1M set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=16x1M
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=16x1M set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=80x64K set=long
# limit: 240

. /tests/lib.sh

check "driver loads and finds $DISKS disks" driver_load
check "REPORT LUNS names each once" same "$(ls /sys/class/scsi_disk | wc -l)" "$DISKS"
check "each disk holds its own content" all_verify --direct --io-size 256K
check "write to all at the same time" all_write --direct --io-size 256K --at-once "$DISKS"
check "each disk holds what was written to it" all_verify --direct --io-size 256K
check "driver unloads" driver_unload
