# SPDX-License-Identifier: GPL-2.0
#
# A host that refuses pages and commands, or wants the guest to begin anew, loses
# no page: the guest gives others, tries again, and is where it should be in the end.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

# The host counts a reset as forgotten pages, and the guest begins at zero.
begins_anew() {
	host fault kind=reset || return
	until_true 30 forgotten || { host balloon; return 1; }
	until_true 90 is_about "$1" || { host balloon; cat $BALLOON; return 1; }
}

forgotten() { [ "$(host_says forgotten)" -gt "$BEFORE" ]; }

check "loads" balloon_load
check "memory to watch" memory_keep 16
memory_watch
check "some pages are pinned" host fault kind=page,code=5,count=6
check "others go instead" balloon_to 64
check "a host that is busy" host fault kind=command,code=8,operation=8,count=2
check "is asked again" balloon_to 96
check "one that does not give back" host fault kind=page,code=5,operation=9,count=3
check "does it later" balloon_to 0
check "no page is lost or doubled" pages_in_order
check "a balloon" balloon_to 64
BEFORE=$(host_says forgotten)
check "a reset ends as it began" begins_anew 64
check "all of it comes back" balloon_to 0
check "no page is lost or doubled by it" pages_in_order
check "memory is as it was" memory_watched
check "unloads" driver_unload
