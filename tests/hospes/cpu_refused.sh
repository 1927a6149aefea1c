# SPDX-License-Identifier: GPL-2.0
#
# A processor model that the host cannot show is refused with one error that
# names exactly what the host lacks, and the model which that error proposes is
# one that works.
#
# machine: vmm=hospes kernel=lab
# host: yes

. /tests/lib.sh

check "all that is missing is named" host_own missing
check "what the error proposes works" host_own proposal
check "an unknown feature is refused" host_own unknown
