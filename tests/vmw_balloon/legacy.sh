# SPDX-License-Identifier: GPL-2.0
#
# A host that names no capabilities gets its pages one by one.
#
# machine: module=vmw_balloon driver=rust,c vmm=hospes kernel=stock vcpus=1 set=long
# hospes: --balloon vmware,caps=legacy
# host: yes
# limit: 240

. /tests/lib.sh
. /tests/balloon.sh

balloon_falls_back 0x2 lock 16
