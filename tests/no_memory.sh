# SPDX-License-Identifier: GPL-2.0
#
# For cases about allocations that fail; only the debug kernel can be told to.

debug=/sys/kernel/debug
loads=0 refusals=0

can_fail() { [ -d $debug/failslab ] && [ -d $debug/fail_page_alloc ]; }

# plenty: nothing fails, but what somebody asks for by number; that may be what can
# wait, too.
plenty() {
	local kind
	for kind in failslab fail_page_alloc; do
		echo 0 >$debug/$kind/probability
		echo N >$debug/$kind/task-filter
		echo N >$debug/$kind/ignore-gfp-wait
		echo 0 >$debug/$kind/verbose
		[ ! -e $debug/$kind/cache-filter ] || echo N >$debug/$kind/cache-filter
		[ ! -e $debug/$kind/ignore-gfp-highmem ] || echo N >$debug/$kind/ignore-gfp-highmem
		[ ! -e $debug/$kind/min-order ] || echo 0 >$debug/$kind/min-order
	done
}

# load_failing NUMBER: a load of which one allocation fails, the one with that
# number; it succeeds or is refused, and the driver goes again.
load_failing() {
	sh -c 'echo "$1" >/proc/self/fail-nth; exec /bin/insmod "$2"' want "$1" "/modules/$MODULE.ko" \
		>/tmp/insmod 2>&1
	if driver_loaded; then
		loads=$((loads + 1))
		until_true 60 rmmod "$MODULE" || return
	else
		refusals=$((refusals + 1))
	fi
}

# loads_failed: there were loads of both kinds.
loads_failed() {
	say "  # $loads loads succeeded, $refusals were refused"
	check "some were refused" [ $refusals -gt 0 ]
	check "some were not" [ $loads -gt 0 ]
}
