# SPDX-License-Identifier: GPL-2.0
#
# A guest that panics tells it through pvpanic, and the VMM's status says so.
#
# machine: vmm=hospes kernel=stock,lab
# exit: panic

echo c >/proc/sysrq-trigger
sleep 60
