# SPDX-License-Identifier: GPL-2.0
#
# A kernel that starts the next one takes leave of the host before, with channels
# open: the next one, which has the C bus built in, finds a host that has forgotten
# all of it, agrees with it anew and has the same disks.
#
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M
# machine: module=hv_storvsc driver=rust,c bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M set=long
# machine: module=hv_storvsc driver=rust,c bus=c vmm=hospes kernel=lab vcpus=1 disks=1x4M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=4 disks=1x4M set=long
# host: yes
# alone: yes
# programs: kexec
# next-kernel: yes
# limit: 240

. /tests/lib.sh
. /tests/kexec.sh

unloads() { host counters unloads | sed 's/.*://'; }

left=0
if is_again; then left=1; fi
check "driver loads" driver_load
disk_known 0
check "contents are right" disk_verify 0 --direct
check "the host was left as often as kernels ended" same "$(unloads)" $left
check "write" disk_write 0 --direct
if ! is_again; then
	check "the next kernel is loaded" next_load || exit 1
	next_start
fi
check "this is the next kernel" same "$KERNEL" stock
check "driver unloads" driver_unload
