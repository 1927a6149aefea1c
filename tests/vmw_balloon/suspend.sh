# SPDX-License-Identifier: GPL-2.0
#
# A guest that goes to sleep with a balloon has the same when it wakes up, gives
# nothing meanwhile, and is told afterwards what its host wants then. As far as the
# devices sleep, and back: no clock of the machine here wakes one that sleeps for real.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=lab vcpus=1 set=long
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=debug vcpus=1
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

sleep_well() { echo devices >/sys/power/pm_test && echo freeze >/sys/power/state; }

check "loads" balloon_load
check "memory to watch" memory_keep 16
check "a balloon" balloon_to 64
for round in 1 2 3; do
	check "asleep and awake, $round" sleep_well
	check "the same balloon, $round" is_about 64
done
host balloon target=96M >/tmp/host
check "asleep with more to give" sleep_well
check "it is given then" until_true 90 is_about 96
check "all comes back" balloon_to 0
check "no page is lost or doubled" pages_in_order
check "memory is as it was" memory_is_kept
check "unloads" driver_unload
