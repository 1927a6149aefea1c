# SPDX-License-Identifier: GPL-2.0
#
# The VMM runs as an ordinary user who owns nothing but the disks and may use
# /dev/kvm: without any capability, with a filter on each thread, and with no
# file open that is not its own.
#
# machine: module=virtio_scsi vmm=hospes kernel=lab disks=1x4M+1x2M+1x8M+1x2M:slow
# user: 1000
# host: yes

. /tests/lib.sh

check "driver loads" driver_load
check "write" disk_write 0 --direct
check "read" disk_verify 0 --direct
check "user" host_own user
check "capabilities" host_own capabilities
check "filters" host_own filters
check "files" host_own files
check "memory beyond the guest's" host_own memory
check "driver unloads" driver_unload
