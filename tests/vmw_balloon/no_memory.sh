# SPDX-License-Identifier: GPL-2.0
#
# A guest that has no page for its balloon at times loses none: it gives small pages
# where there are no large ones, comes to its target later, takes all of them back, and
# a driver that cannot be loaded leaves nothing behind. Only the debug kernel can be
# told to fail.
#
# machine: module=vmw_balloon driver=rust vmm=hospes kernel=debug vcpus=1
# host: yes
# limit: 400
# order: last

. /tests/lib.sh
. /tests/balloon.sh
. /tests/no_memory.sh

# The order of a page of 2 MiB, of which nobody else has any use here.
LARGE=9

# pages_fail ORDER PERCENT: pages of that order and above cannot be had, so often.
pages_fail() {
	echo 0 >$debug/fail_page_alloc/verbose
	echo N >$debug/fail_page_alloc/ignore-gfp-wait
	echo N >$debug/fail_page_alloc/ignore-gfp-highmem
	echo "$1" >$debug/fail_page_alloc/min-order
	printf '%#x' -1 >$debug/fail_page_alloc/times
	echo "$2" >$debug/fail_page_alloc/probability
}

# only_workers: and only for the kernel's own threads, of which one is the driver's.
only_workers() {
	local stat
	for stat in /proc/[0-9]*/stat; do
		grep -q '(kworker/' "$stat" 2>/dev/null && echo 1 >"${stat%stat}make-it-fail"
	done
	echo Y >$debug/fail_page_alloc/task-filter
}

# large_failed: how often the driver found no page of 2 MiB.
large_failed() { awk '/^allocFail *\(2M\)/ { print $NF }' $BALLOON; }

# Gone for good or there again, and never in between.
driver_gone() { [ ! -e "/sys/module/$MODULE" ] && [ ! -e $BALLOON ]; }

check "the kernel can be told to fail" can_fail
check "loads" balloon_load
check "memory to watch" memory_keep 16
memory_watch
pages_fail $LARGE 100
large=$(commands_called batched-2m-lock)
check "without large pages it gives small ones" balloon_to 24
check "and no large ones" same "$(commands_called batched-2m-lock)" "$large"
check "it knows" [ "$(large_failed)" -gt 0 ]
plenty
check "they come back" balloon_to 0
pages_fail $LARGE 50
check "with large pages at times" balloon_to 48
plenty
check "these come back" balloon_to 0
only_workers
pages_fail 0 20
check "with small pages at times, too" balloon_to 24
check "it comes back without a page to spare" balloon_to 0
plenty
check "no page is lost or doubled" pages_in_order
check "memory is as it was" memory_watched
check "unloads" driver_unload
# What the driver core says when it is refused a name.
cat >/tmp/expected <<-END
	kobject.*error: -12
END
for number in 2 4 6 8 10 12 14 16 18 20 25 30 35 40 50 60 80 100 130 160 200 300 500; do
	load_failing "$number" && driver_gone || break
done
check "loads with one failure each" driver_gone
say "  # $loads loads succeeded, $refusals were refused"
check "some were refused" [ $refusals -gt 0 ]
check "loads again" balloon_load
check "gives what it should" balloon_to 32
check "and takes it back" balloon_to 0
check "unloads at last" driver_unload
