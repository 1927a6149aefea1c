# SPDX-License-Identifier: GPL-2.0
#
# A guest that panics tells it through pvpanic, and the VMM's status says so.
#
# machine: vmm=hospes kernel=stock,lab
# exit: panic

# The end of the first process, which obeys this file, is a panic.
touch /tmp/end_init
