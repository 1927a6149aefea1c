# SPDX-License-Identifier: GPL-2.0
#
# A host that answers about other pages than it was sent is not believed: nobody
# knows whose the page is, so all begins anew, and the balloon gets where it should be
# without a page that is used by both.
#
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=stock vcpus=1 set=long
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

strays() { dmesg | grep -c "a page it was not asked about"; }

# The host counts pages that it forgets as the guest begins anew.
forgotten() { [ "$(host_says forgotten)" -gt "$BEFORE" ]; }

# astray OPERATION MIB: the host goes astray once on the way to a balloon of that size,
# and the guest says so, begins anew, and gets there.
astray() {
	local seen
	BEFORE=$(host_says forgotten)
	seen=$(strays)
	host fault kind=stray,operation="$1",count=1 || return
	host balloon "target=${2}M" >/dev/null || return
	until_true 60 forgotten || { host balloon; return 1; }
	[ "$(strays)" -gt "$seen" ] || { dmesg | tail -n 5; return 1; }
	until_true 90 is_about "$2" || { host balloon; cat $BALLOON; return 1; }
}

check "loads" balloon_load
check "memory to watch" memory_keep 16
memory_watch
check "a balloon" balloon_to 32
check "a stray answer when large pages are given" astray 8 64
check "no page is lost or doubled" pages_in_order
check "a stray answer when they are taken back" astray 9 16
check "no page is lost or doubled by that" pages_in_order
check "all of it comes back" balloon_to 0
check "no page is lost or doubled in the end" pages_in_order
check "memory is as it was" memory_watched
check "unloads" driver_unload
