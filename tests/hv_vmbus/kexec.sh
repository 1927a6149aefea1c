# SPDX-License-Identifier: GPL-2.0
#
# A kernel that starts the next one takes leave of the host before, with channels
# open: the next one finds a host that has forgotten all of it, agrees with it anew
# and has the same disks. It does so a second time.
#
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

check "driver loads" driver_load
disk_known 0
check "contents are right" disk_verify 0 --direct
check "the host was left as often as kernels ended" same "$(unloads)" "$(cat /tmp/rounds 2>/dev/null || echo 0)"
check "write" disk_write 0 --direct
if [ "$(cat /tmp/rounds 2>/dev/null)" != 2 ]; then
	echo $(($(cat /tmp/rounds 2>/dev/null || echo 0) + 1)) >/tmp/rounds
	rm -rf /again
	check "the next kernel is loaded" next_load || exit 1
	next_start
fi
check "this is the third kernel" is_again
check "driver unloads" driver_unload
