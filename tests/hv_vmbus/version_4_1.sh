# SPDX-License-Identifier: GPL-2.0
#
# On a host that speaks VMBus 4.1, the first by which channels move, they do so
# without that the host says when.
#
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=2 disks=2x2M set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=2 disks=2x2M set=long
# hospes: --vmbus-max-version 4.1
# limit: 180

. /tests/lib.sh
. /tests/versions.sh

older_version 4.1 moves
