# SPDX-License-Identifier: GPL-2.0
#
# What the module can be told is heeded: the kind of interrupt, sizes of rings and
# the depths that follow from them, with every block read back each time.
#
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# limit: 240

. /tests/lib.sh

# interrupts_by KIND: the driver's interrupt is of that kind, and comes.
interrupts_by() {
	local before
	grep " $MODULE\$" /proc/interrupts | grep -q "$1" || { cat /proc/interrupts; return 1; }
	before=$(interrupts_of "^$MODULE\$")
	drop_caches
	disk_verify 0 --direct || return
	[ "$(interrupts_of "^$MODULE\$")" -gt "$before" ]
}

host_has() { same "$(cat /sys/class/scsi_host/host*/"$1")" "$2"; }

# One load, and what must be seen of it then.
with() {
	local name=$1 parameters=$2
	shift 2
	check "loads with $name" driver_load $parameters || return
	check "$name: as told" "$@"
	check "$name: write" disk_write 0 --direct --jobs 4 --io-size 16K
	check "$name: read" disk_verify 0 --direct
	check "$name: unloads" driver_unload
}

with "no parameters" "" interrupts_by MSI
with "no MSI" "disable_msi=1 disable_msix=1" interrupts_by IO-APIC
with "the smallest rings" "ring_pages=1" host_has can_queue 32
with "the largest rings" "ring_pages=32" host_has can_queue 1024
with "5 commands a unit" "cmd_per_lun=5" host_has cmd_per_lun 5
with "no messages and no threshold" "use_msg=0 use_req_threshold=0" host_has can_queue 256
with "no threshold" "use_req_threshold=0" host_has can_queue 256
with "a larger message ring" "msg_ring_pages=16" host_has can_queue 256
