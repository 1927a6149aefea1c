# SPDX-License-Identifier: GPL-2.0
#
# A thousand and twenty-four logical units are as many disks: each is found once,
# holds its own content from outside, and keeps what is written to it while all
# the others are written to.
#
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock vcpus=2 disks=1024x64K
# set: long
# limit: 1200

. /tests/lib.sh

# each VERB: does it to every disk, by eight processes at once.
each() {
	local part
	rm -f /tmp/bad
	for part in 0 1 2 3 4 5 6 7; do
		{ some "$1" $part || touch /tmp/bad; } &
	done
	wait
	[ ! -e /tmp/bad ]
}

some() {
	local number=$2
	while [ "$number" -lt "$DISKS" ]; do
		"$1" "$number" --direct --io-size 64K || { echo "disk $number"; return 1; }
		number=$((number + 8))
	done
}

check "driver loads" insmod "/modules/$MODULE.ko"
count_is() { [ "$(ls /sys/class/scsi_disk | wc -l)" = "$1" ]; }
check "it finds $DISKS disks" until_true 300 count_is "$DISKS"
check "each has its node" until_true 60 disks_there
check "each holds its own content" each disk_verify
check "write to all" each disk_write
check "each holds what was written to it" each disk_verify
check "driver unloads" driver_unload
check "they are gone" count_is 0
