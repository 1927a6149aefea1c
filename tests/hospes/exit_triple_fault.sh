# SPDX-License-Identifier: GPL-2.0
#
# A processor that cannot deliver an exception ends the machine with the status
# for it: the kernel is told to restart by a triple fault.
#
# machine: vmm=hospes kernel=lab
# cmdline: reboot=triple,force
# exit: triple-fault

reboot -f
sleep 60
