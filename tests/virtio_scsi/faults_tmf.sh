# SPDX-License-Identifier: GPL-2.0
#
# Task management that the device refuses, delays or pretends leads to an error
# or to the next larger step of the error handling, not to a request that is
# ended twice or never.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=3x2M set=long
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=3x2M
# host: yes
# limit: 300
# order: last

. /tests/lib.sh

again() { disk_write 1 --direct && disk_verify 1 --direct; }

recovered() { driver_unload && driver_load && disk_verify 0 --direct && again; }

# reset_with NAME FAULT: a reset of the unit under load, with that fault.
reset_with() {
	check "$1: inject" host fault "$2"
	timeout 60 diskcheck write --disk 1 --generation 400 --direct --jobs 4 --io-size 16K "$(disk 1)" >/dev/null 2>&1 &
	timeout 60 diskcheck reset "$(disk 1)" >/tmp/reset 2>&1
	say "  # $1: $(cat /tmp/reset)"
	check "$1: clear" host clear-faults
	wait
	check "$1: everything works" again
}

check "driver loads" driver_load
disk_known 0
rm -f /tmp/leaves.1
reset_with "delayed" kind=tmf-delay,ms=1000,count=2
reset_with "rejected" kind=tmf-response,code=11,count=2
reset_with "failed" kind=tmf-response,code=5,count=2
reset_with "unknown answer" kind=tmf-response,code=255,count=2
reset_with "done, but nothing was" kind=tmf-response,code=0,count=2
check "after all that the driver goes and comes back" recovered
check "driver unloads" driver_unload
