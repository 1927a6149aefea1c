# SPDX-License-Identifier: GPL-2.0
#
# A driver that is unloaded while the balloon is full gives every page to its guest,
# and the host knows; the next one begins at nothing.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1,4 set=long
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=debug vcpus=1
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

COUNTERS=/sys/kernel/debug/vmmemctl

stays() { ! rmmod "$MODULE" 2>/dev/null && driver_loaded; }

check "memory to watch" memory_keep 16
FREE=$(available)
MOST=$((FREE / 2))
for round in 1 2 3; do
	check "loads, $round" balloon_load
	check "fills, $round" balloon_to $MOST
	exec 7<$COUNTERS
	check "stays while somebody reads of it, $round" stays
	exec 7<&-
	check "unloads, $round" driver_unload
	check "the host has nothing, $round" same "$(mib_in_balloon)" 0
	check "the guest has it all, $round" [ "$(available)" -gt $((FREE * 9 / 10)) ]
done
check "what came back can be used" memory_use $((FREE * 4 / 5))
check "memory is as it was" memory_is_kept
check "no page is lost or doubled" pages_in_order
