# SPDX-License-Identifier: GPL-2.0
#
# A host that refuses pages and commands, or wants the guest to begin anew, loses
# no page: the guest gives others, tries again, and is where it should be in the end.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=lab vcpus=1
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=debug vcpus=1
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

# begins_anew_at MIB: the host forgets while the balloon is on its way there.
begins_anew_at() {
	host balloon "target=${1}M" >/dev/null && begins_anew "$1"
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
for code in 2 3 4 5 6; do
	check "pages refused with $code" host fault kind=page,code=$code,count=2
done
check "others go then" balloon_to 96
check "those faults are over" host clear-faults
for code in 1 2 5 8; do
	check "a command refused with $code" host fault kind=command,code=$code,operation=8,count=1
	check "is said again after $code" balloon_to $((96 + code * 8))
	check "no fault is left of $code" host clear-faults
done
check "all of that comes back" balloon_to 0
check "no page is lost or doubled by any of them" pages_in_order
check "a balloon" balloon_to 64
BEFORE=$(host_says forgotten)
check "a reset ends as it began" begins_anew 64
check "a host too busy to begin" host fault kind=command,code=8,operation=0,count=3
BEFORE=$(host_says forgotten)
check "begins in the end" begins_anew 64
check "a host that does not even end" host fault kind=command,code=1,operation=0,count=2
BEFORE=$(host_says forgotten)
check "begins all the same" begins_anew 64
BEFORE=$(host_says forgotten)
check "a reset while pages are given" begins_anew_at 200
check "all of it comes back" balloon_to 0
check "no page is lost or doubled by it" pages_in_order
check "memory is as it was" memory_watched
check "unloads" driver_unload
