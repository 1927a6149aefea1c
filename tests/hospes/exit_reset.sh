# SPDX-License-Identifier: GPL-2.0
#
# A guest that restarts ends the VMM with the status for it.
#
# machine: vmm=hospes kernel=lab
# machine: vmm=hospes kernel=stock set=long
# exit: reset

reboot -f
sleep 60
