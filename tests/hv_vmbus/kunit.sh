# SPDX-License-Identifier: GPL-2.0
#
# The unit tests inside the bus driver pass; it loads nowhere but on Hyper-V, so
# kunit/suites leaves it out.
#
# machine: module=hv_vmbus driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M
# cmdline: kunit.enable=1 kunit.autorun=1

. /tests/lib.sh
. /tests/vmbus.sh

results() { dmesg | sed 's/^\[[^]]*\] //' | grep -E '^ *(ok|not ok) [0-9]+ hv_vmbus_'; }

none_failed() { results && ! results | grep -q 'not ok'; }

suites_are() { same "$(results | wc -l)" "$1"; }

dmesg -c >/dev/null
check "bus loads" bus_load
check "no test has failed" none_failed
check "all suites ran" suites_are 6
check "bus unloads" bus_unload
