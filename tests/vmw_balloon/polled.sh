# SPDX-License-Identifier: GPL-2.0
#
# A host that has no doorbell is asked every second for its target.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# hospes: --balloon vmware,caps=basic+batched+batched-2m+64-bit-target
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

balloon_falls_back 0x2e batched-2m-lock 100
