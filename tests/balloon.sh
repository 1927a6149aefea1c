# SPDX-License-Identifier: GPL-2.0
#
# For cases about a balloon: what is wanted in it, what both sides say of it, and
# memory that must not change meanwhile.

BALLOON=/sys/kernel/debug/vmmemctl
# The driver, if it is not the only one under test.
BALLOON_MODULE=${BALLOON_MODULE:-/modules/vmw_balloon.ko}
KEPT=/tmp/kept

# balloon_says NAME: a number that the driver tells, hexadecimal ones as such.
balloon_says() { awk -v name="$1" -F ' *: *' '$1 == name { print $2 }' $BALLOON; }

# host_says NAME: a value that the host tells of the balloon.
host_says() { host balloon | awk -v name="$1" -F : '$1 == name { print $2; exit }'; }

# mib_in_balloon: what the host has, in MiB.
mib_in_balloon() { echo $(($(host_says current) >> 20)); }

# is_about MIB: both sides have that in the balloon. A driver that gives pages of
# 2 MiB may be less than one above, and one that takes some back may stop there.
is_about() {
	local host guest
	host=$(host_says current)
	guest=$(($(balloon_says current) << 12))
	same "$host" "$guest" || return
	[ "$host" -ge $(($1 << 20)) ] && [ "$host" -lt $((($1 + 2) << 20)) ]
}

# balloon_to MIB: sets the target, and waits for both sides to be there.
balloon_to() {
	host balloon "target=${1}M" >/dev/null || return
	until_true 90 is_about "$1" || { host balloon; cat $BALLOON; return 1; }
}

# available: MiB that the guest could use.
available() { awk '/^MemAvailable/ { print int($2 / 1024) }' /proc/meminfo; }

# memory_use MIB: has so much of the guest's memory touched, and left again.
memory_use() {
	mount -t tmpfs -o size=100% use /mnt || return
	dd if=/dev/zero of=/mnt/use bs=1M count="$1" 2>/dev/null
	same "$(stat -c %s /mnt/use)" "$(($1 << 20))"
	set -- $?
	umount /mnt
	return "$1"
}

# memory_keep MIB: fills memory with what can be told apart.
memory_keep() {
	seq -f '%015.0f' $(($1 << 16)) >$KEPT
	md5sum $KEPT >$KEPT.sum
	ls -s $KEPT
}

memory_is_kept() { md5sum -c $KEPT.sum; }

# memory_watch: looks at it again and again until memory_watched.
memory_watch() {
	rm -f $KEPT.changed $KEPT.stop
	while [ ! -e $KEPT.stop ]; do
		memory_is_kept >/dev/null 2>&1 || touch $KEPT.changed
		echo >>$KEPT.looks
		sleep 0.5
	done &
	WATCH=$!
}

# memory_watched: it has not changed, and was looked at.
memory_watched() {
	touch $KEPT.stop
	wait $WATCH
	[ -s $KEPT.looks ] && [ ! -e $KEPT.changed ]
}

# pages_in_order: no page was given twice, or taken back without having been given.
pages_in_order() {
	local name
	host balloon >/tmp/status || return
	for name in given_twice not_given no_memory not_discarded; do
		grep -qx "$name:0" /tmp/status || { grep "$name" /tmp/status; return 1; }
	done
}

balloon_load() {
	insmod "$BALLOON_MODULE" "$@" || return
	until_true 30 balloon_runs || { host balloon; return 1; }
}

# balloon_runs: the guest takes part. Looking has the driver count what it does.
balloon_runs() { [ "$(host_says guest)" = on ] && cat $BALLOON >/dev/null; }

# balloon_cycle MIB: up and down, with memory watched.
balloon_cycle() {
	check "$1 MiB go to the host" balloon_to "$1"
	check "all of it comes back" balloon_to 0
	check "no page is lost or doubled" pages_in_order
}

# balloon_falls_back CAPABILITIES COMMAND MIB: a whole case about a host that offers
# less than all: what may be used is, and by that command.
balloon_falls_back() {
	check "loads" balloon_load
	check "uses what there is" same "$(balloon_says "used capabilities")" "$1"
	check "memory to watch" memory_keep 16
	memory_watch
	balloon_cycle "$3"
	check "by what it may use" has_called "$2"
	check "memory is as it was" memory_watched
	check "unloads" driver_unload
}

# commands_called NAME: how often the host was called so. The status has a line
# for each value, and a command's are behind its name.
commands_called() {
	host balloon | awk -v name="$1" -F : '$1 == name { getline; print $2; exit }'
}

has_called() { [ "$(commands_called "$1")" -gt 0 ]; }
