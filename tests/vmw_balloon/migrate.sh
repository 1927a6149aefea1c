# SPDX-License-Identifier: GPL-2.0
#
# The kernel moves small pages of the balloon to make room for large ones: the host
# gets another page for each, and all come back in the end.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# hospes: --balloon vmware,caps=basic+batched+64-bit-target
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

migrated() { awk '$1 == "balloon_migrate" { print $2 }' /proc/vmstat; }

# moves_pages: compacts memory until pages of the balloon were moved by it.
moves_pages() {
	local before round
	before=$(migrated)
	for round in 1 2 3 4 5; do
		echo 1 >/proc/sys/vm/compact_memory || return
		echo "$before pages moved before, $(migrated) now"
		[ "$(migrated)" -gt "$before" ] && return
	done
	return 1
}

# scatter: uses memory that the balloon cannot have; gather: leaves it, so that
# there is something to compact.
scatter() {
	mount -t tmpfs -o size=100% scatter /mnt || return
	seq 1 200 | while read -r number; do
		head -c 524288 /dev/zero >/mnt/$number || return
	done
}

gather() { umount /mnt; }

check "loads" balloon_load
check "memory to watch" memory_keep 16
check "uses memory" scatter
memory_watch
check "a balloon of small pages" balloon_to 100
check "leaves what was used before" gather
check "pages are moved" moves_pages
check "none is lost" is_about 100
check "or doubled" pages_in_order
check "moves once more" balloon_to 120
check "all of it comes back" balloon_to 0
check "no page is lost or doubled" pages_in_order
check "memory is as it was" memory_watched
check "unloads" driver_unload
