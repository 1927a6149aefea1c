# SPDX-License-Identifier: GPL-2.0
#
# With the parameter for it, a guest that needs memory takes it out of the balloon,
# against the host's will, and gives nothing for a while. Later the target is met.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=debug vcpus=1
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

freed_some() { [ "$(balloon_says shrinkFree)" -gt 0 ] && [ "$(balloon_says shrink)" -gt 0 ]; }

check "loads" balloon_load vmwballoon_shrinker_enable=1
check "memory to watch" memory_keep 16
FREE=$(available)
memory_watch
check "three quarters go to the host" balloon_to $((FREE * 3 / 4))
check "half of all is used" memory_use $((FREE / 2))
check "it came out of the balloon" freed_some
check "no page is lost or doubled" pages_in_order
check "the target is met again" balloon_to $((FREE * 3 / 4))
check "all of it comes back" balloon_to 0
check "memory is as it was" memory_watched
check "no page is lost or doubled in the end" pages_in_order
check "unloads" driver_unload
