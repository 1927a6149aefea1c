# SPDX-License-Identifier: GPL-2.0
#
# A guest gives as much memory back as its host wants, up to three quarters of what
# it has free, and takes it again: the VMM becomes smaller by that, a doorbell tells
# the guest, and what is in the guest's memory stays as it is.
#
# machine: module=vmw_balloon driver=c vmm=hospes kernel=stock vcpus=1,4 set=long
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

# The VMM's size without the balloon, and what is left of it.
resident_falls_by() {
	local now
	now=$(host resident)
	echo "resident: $BEFORE KiB, then $now KiB"
	[ "$now" -gt 0 ] && [ $((BEFORE - now)) -ge $(($1 << 10)) ]
}

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
check "the VMM is smaller" resident_falls_by $((FREE * 2 / 5))
check "more of it goes" balloon_to $MOST
check "the VMM is smaller still" resident_falls_by $((FREE * 3 / 5))
check "the doorbell rings" [ "$(balloon_says doorbell)" -gt 0 ]
check "by an interrupt" [ "$(interrupts_of vmw_vmci)" -gt 0 ]
check "a part comes back" balloon_to $((FREE / 4))
check "all of it comes back" balloon_to 0
check "memory is as it was" memory_watched
check "what came back can be used" memory_use $((FREE * 4 / 5))
check "memory is still as it was" memory_is_kept
check "no page is lost or doubled" pages_in_order
check "by 2 MiB" has_called batched-2m-lock
check "unloads" driver_unload
check "the host knows" same "$(host_says guest)" off
