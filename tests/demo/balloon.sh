# SPDX-License-Identifier: GPL-2.0
#
# On our VMM as VMware's, a guest gives memory back as its host wants, and takes it
# again, with its disks in use at the same time: the VMM becomes smaller by that, and
# neither what is in memory nor what is on the disks changes.
#
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=stock vcpus=2 disks=3x16M+61x1M
# set: long
# host: yes
# order: last
# limit: 240

. /tests/lib.sh
BALLOON_MODULE=/modules/ours/vmw_balloon.ko
. /tests/balloon.sh

# shown: what both sides have after the last check; for the table.
shown() { say "  # shown balloon=$(mib_in_balloon) vmm=$(($(host resident) >> 10))"; }

# moved MIB: memory goes to the host or comes back, and disk 0 is
# written and read meanwhile.
moved() {
	disk_exercise 0 2 --direct --io-size 256K >/tmp/exercise 2>&1 &
	balloon_to "$1"
	set -- $?
	wait $! || { cat /tmp/exercise; return 1; }
	return "$1"
}

check "disks: our module finds $DISKS" driver_load
check "disk 0: is written whole" disk_write 0 --direct --io-size 256K
check "doorbell: its module" insmod /modules/children/vmw_vmci.ko
check "balloon: our module" balloon_load
check "memory: some to watch" memory_keep 16
check "memory: the rest is used once" memory_use $(($(available) * 4 / 5))
QUARTER=$(($(available) / 4))
shown
memory_watch
for part in 1 2 3; do
	check "balloon: $((part * QUARTER)) MiB go to the host, disk 0 in use" moved $((part * QUARTER))
	shown
done
check "disk 0: what was written last" disk_verify 0 --direct
check "balloon: all comes back, disk 0 in use" moved 0
shown
check "disk 0: still what was written last" disk_verify 0 --direct
check "memory: is as it was" memory_watched
check "memory: what came back can be used" memory_use $((QUARTER * 3))
shown
check "balloon: the host lost no page and has none twice" pages_in_order
check "balloon: our module unloads" rmmod vmw_balloon
check "disks: our module unloads" driver_unload
