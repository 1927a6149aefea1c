# SPDX-License-Identifier: GPL-2.0
#
# A guest that panics tells it through pvpanic, and the VMM's status says so.
#
# machine: vmm=hospes kernel=lab
# machine: vmm=hospes kernel=stock set=long
# exit: panic

# The end of the first process, which obeys this file, is a panic.
touch /tmp/end_init
