# SPDX-License-Identifier: GPL-2.0
#
# On a host that speaks VMBus 5.0, the first that says where messages are to go to,
# disks work, and channels move without that the host says when.
#
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=2 disks=2x2M
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=2 disks=2x2M set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=2 disks=2x2M set=long
# hospes: --vmbus-max-version 5.0
# limit: 180

. /tests/lib.sh
. /tests/versions.sh

older_version 5.0 moves
