# SPDX-License-Identifier: GPL-2.0
#
# A SCSI device of the host is passed through: data, sense data, unit attentions
# and residuals are the device's own, it keeps nobody else waiting, and when it
# goes away its commands end.
#
# The host is level 1, and the device the disk of scsi_debug there.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+pass
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+pass set=long
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+pass set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+pass set=long
# host: yes
# alone: yes
# limit: 180

. /tests/lib.sh

# device: the node of the device that is passed through.
device() { unit "$PASS_LUN"; }

device_there() { device >/dev/null; }

attribute() { tr -d ' ' <"/sys/block/${NODE##*/}/device/$1"; }

# scsi_debug says who it is, not the VMM.
is_the_device() {
	same "$(attribute vendor)" Linux && same "$(attribute model)" scsi_debug &&
		same "$(cat "/sys/block/${NODE##*/}/size")" $((8 << 11))
}

# The VMM's own answer: the units that the guest has, not those of the host.
units() { ls /sys/class/scsi_device | wc -l; }

written() { diskcheck write --disk 7 --generation 3 --direct "$NODE"; }

verified() { diskcheck verify --disk 7 --generation 3 "$@" "$NODE"; }

# What was written, of a device that is larger now: a driver that has seen that
# shows the whole of it.
as_written() {
	dd if="$NODE" of=/tmp/copy bs=1M count=8 iflag=direct 2>/dev/null &&
		diskcheck verify --disk 7 --generation 3 /tmp/copy && rm /tmp/copy
}

kernel_said() { dmesg | grep -q "$1"; }

# read_at SECTOR: four sectors from there on.
read_at() { dd if="$NODE" of=/dev/null bs=512 skip="$1" count=4 iflag=direct; }

fails_at() {
	if read_at "$1"; then
		echo "read what cannot be read"
		return 1
	fi
}

# The device has another size: hv_storvsc looks for itself when it is told so, and
# the SCSI layer, which says so, never hears of it.
has_grown() {
	if [ "$MODULE" = hv_storvsc ]; then
		same "$(cat "/sys/block/${NODE##*/}/size")" $((1 << 21))
	else
		kernel_said "Capacity data has changed"
	fi
}

# The device takes ten seconds for each command: long enough for a few reads of a
# disk beside it.
others_go_on() {
	host_own delay 2500 || return 1
	read_at 0 >/tmp/slow 2>&1 &
	local reader=$!
	sleep 0.5
	dd if="$(disk 0)" of=/dev/null bs=4096 count=4 iflag=direct || return 1
	kill -0 $reader || { echo "the slow device was as fast"; return 1; }
	# It cannot be changed while a command is on its way.
	wait $reader
	host_own delay 0
}

check "driver loads" driver_load
check "the device is found" until_true 20 device_there || exit 1
NODE=$(device)
check "it is the host's" is_the_device
check "no others of the host's are" same "$(units)" 2
check "data is written to it" written
check "data is read from it" verified --direct --io-size 256K
check "data is read through the cache" verified
check "the host holds the same" host_own digest "$(sha256sum "$NODE" | cut -d ' ' -f 1)"

dmesg -c >/dev/null
check "the device's medium is flawed" host_own flaw on
check "reading there fails" fails_at 4660
check "with the device's sense data" kernel_said "Medium Error"
check "it is mended" host_own flaw off
check "reading there works" read_at 4660
# The flaw was wanted; what the log has of it is no trouble of the driver's.
dmesg -c >/dev/null

check "a slow device keeps nobody waiting" others_go_on
check "the device grows" host_own grow
read_at 0 >/dev/null 2>&1
check "its unit attention arrives" until_true 10 has_grown
check "everything is as it was written" as_written

check "the device goes away" host_own vanish
check "its commands end" fails_at 64
check "the disk beside it goes on" disk_verify 0 --direct
dmesg -c >/dev/null
check "driver unloads" driver_unload
