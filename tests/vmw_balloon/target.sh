# SPDX-License-Identifier: GPL-2.0
#
# A guest gives as much memory back as its host wants, up to three quarters of what
# it has free, and takes it again: the VMM becomes smaller by that, a doorbell tells
# the guest, and what is in the guest's memory stays as it is.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1,4 set=long
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=lab vcpus=1
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

# Memory of the machine, and what the VMM has of its own at most, in MiB.
MEMORY=$(($(host_says memory) >> 20))
OWN=16

# resident_without MIB: with so much in the balloon, the VMM has the rest at most.
resident_without() {
	local most=$(((MEMORY - $1 + OWN) << 10)) now
	now=$(host resident)
	echo "resident: $BEFORE KiB before, $now KiB now, at most $most KiB wanted"
	[ "$now" -gt 0 ] && [ "$now" -le $most ] && [ "$BEFORE" -gt $most ]
}

# resident_again MIB: it has more than it would have with so much in the balloon.
resident_again() { [ "$(host resident)" -gt $(((MEMORY - $1 + OWN) << 10)) ]; }

check "loads" balloon_load
check "has all capabilities" same "$(balloon_says "used capabilities")" 0x3e
check "memory to watch" memory_keep 16
FREE=$(available)
MOST=$((FREE * 3 / 4))
say "# $FREE MiB available"
# What was never touched is not in the VMM either.
check "uses its memory" memory_use $((FREE * 4 / 5))
BEFORE=$(host resident)
memory_watch
check "half of it goes to the host" balloon_to $((FREE / 2))
check "the VMM is smaller" resident_without $((FREE / 2))
check "more of it goes" balloon_to $MOST
check "the VMM is smaller still" resident_without $MOST
check "the doorbell rings" [ "$(balloon_says doorbell)" -gt 0 ]
check "by an interrupt" [ "$(interrupts_of vmw_vmci)" -gt 0 ]
check "a part comes back" balloon_to $((FREE / 4))
check "all of it comes back" balloon_to 0
check "memory is as it was" memory_watched
check "what came back can be used" memory_use $((FREE * 4 / 5))
check "the VMM is as large again" resident_again $((FREE / 2))
check "memory is still as it was" memory_is_kept
check "no page is lost or doubled" pages_in_order
check "by 2 MiB" has_called batched-2m-lock
check "unloads" driver_unload
check "the host knows" same "$(host_says guest)" off
