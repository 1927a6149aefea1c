# SPDX-License-Identifier: GPL-2.0
#
# A guest that switches itself off ends the VMM with success, on one processor
# and on four.
#
# machine: vmm=hospes kernel=lab
# machine: vmm=hospes kernel=lab vcpus=4 set=long

. /tests/lib.sh

check "all processors are there" same "$(nproc)" "$VCPUS"
check "clock moves" sh -c 'a=$(cut -d. -f1 /proc/uptime); sleep 1.1; [ "$(cut -d. -f1 /proc/uptime)" -gt "$a" ]'
check "no processor time went backwards" sh -c '! dmesg | grep -i -e "clocksource.*unstable" -e "tsc.*warp"'
