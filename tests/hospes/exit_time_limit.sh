# SPDX-License-Identifier: GPL-2.0
#
# A guest that does not end is ended at the time limit, with the status for it.
#
# machine: vmm=hospes kernel=lab
# vmm-limit: 25
# exit: time-limit

sleep 120
