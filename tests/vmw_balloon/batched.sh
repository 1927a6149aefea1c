# SPDX-License-Identifier: GPL-2.0
#
# A host that has batches, but no large pages and no doorbell, gets batches of small ones.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# hospes: --balloon vmware,caps=basic+batched
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

balloon_falls_back 0x6 batched-lock 100
