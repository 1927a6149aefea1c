# SPDX-License-Identifier: GPL-2.0
#
# The unit tests inside the driver pass; it loads nowhere but on Hyper-V, so
# kunit/suites leaves it out.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# cmdline: kunit.enable=1 kunit.autorun=1

. /tests/lib.sh

results() { dmesg | sed 's/^\[[^]]*\] //' | grep -E '^ *(ok|not ok) [0-9]+ hv_storvsc_'; }

none_failed() { results && ! results | grep -q 'not ok'; }

suites_are() { same "$(results | wc -l)" "$1"; }

dmesg -c >/dev/null
check "driver loads" driver_load
check "no test has failed" none_failed
check "all suites ran" suites_are 4
check "driver unloads" driver_unload
