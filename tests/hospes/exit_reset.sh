# SPDX-License-Identifier: GPL-2.0
#
# A guest that restarts ends the VMM with the status for it.
#
# machine: vmm=hospes kernel=stock,lab
# exit: reset

reboot -f
sleep 60
