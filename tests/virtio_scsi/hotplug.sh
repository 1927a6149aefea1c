# SPDX-License-Identifier: GPL-2.0
#
# Disks come and go while the driver runs, idle and under load: the one that is
# added is found with its content, the one that is taken away ends its requests
# with errors instead of hanging, its neighbours never notice, and a machine that
# stands still for a while loses nothing.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=c vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=2x4M+2x2M:spare
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=c,rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=stock vcpus=4 disks=2x4M+2x2M:spare set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=2x4M+2x2M:spare
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=2x4M+2x2M:spare
# host: yes
# limit: 240

. /tests/lib.sh

# One round after another until told to stop; what it says is in /tmp/load.N.
load() {
	local rounds=0
	while [ ! -e /tmp/stop ]; do
		disk_exercise "$1" 1 --direct --jobs 4 --random --io-size 16K >"/tmp/load.$1" 2>&1 || return
		rounds=$((rounds + 1))
	done
	echo "rounds=$rounds" >"/tmp/well.$1"
}

ended_well() {
	cat "/tmp/load.$1"
	[ -s "/tmp/well.$1" ]
}

# Writes to a disk that is about to go: an error is what it must get.
doomed() {
	while diskcheck write --disk "$1" --generation 500 --direct --jobs 4 --io-size 4K "$2"; do
		[ ! -e /tmp/stop ] || return
	done >/tmp/doomed 2>&1
	touch /tmp/doomed.ended
}

check "driver loads" driver_load
check "spare disks are not there" disk_gone 2
for number in 1 2 3; do
	check "add a disk, round $number" host add 2
	check "it is found" until_true 30 disk 2
	check "its content is what was written outside" disk_verify 2 --direct
	check "remove it" host remove 2
	check "it is gone" until_true 30 disk_gone 2
done

disk_known 0
rm -f /tmp/stop
load 0 &
load=$!
check "add a disk under load" host add 2
check "add another" host add 3
check "the first is found" until_true 30 disk 2
check "the other is found" until_true 30 disk 3
check "content of the first" disk_verify 2 --direct
check "write to the first" disk_write 2 --direct
check "remove it, idle" host remove 2
check "it is gone" until_true 30 disk_gone 2
rm -f /tmp/leaves.3
doomed 3 "$(disk 3)" &
doomed=$!
sleep 0.5
check "remove the other with requests in flight" host remove 3
check "it is gone" until_true 30 disk_gone 3
check "its requests were ended" until_true 60 test -e /tmp/doomed.ended
check "the machine stands still" host pause 2
touch /tmp/stop
wait $load $doomed
check "the neighbour's requests all succeeded" ended_well 0
say "  # $(cat /tmp/well.0)"
check "the neighbour, every block" disk_verify 0 --direct
check "the first comes back with what was written" host add 2
check "it is found" until_true 30 disk 2
check "content of the first" disk_verify 2 --direct
check "it goes for good" host remove 2
check "it is gone" until_true 30 disk_gone 2
check "driver unloads" driver_unload
