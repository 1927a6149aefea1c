# SPDX-License-Identifier: GPL-2.0
#
# A guest of Hyper-V that panics tells it through the crash registers, and the VMM's
# status says so: without pvpanic's driver nobody else does.
#
# machine: vmm=hospes kernel=stock
# hospes: --personality hyperv
# exit: panic

rmmod pvpanic_pci
# The end of the first process, which obeys this file, is a panic.
touch /tmp/end_init
