# SPDX-License-Identifier: GPL-2.0
#
# A CD-ROM drive: its disc is mounted and read, the guest locks, opens and closes
# the tray, and discs are changed from outside.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+cd
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=stock vcpus=1 disks=1x4M+cd
# machine: module=virtio_scsi driver=rust,c vmm=hospes,qemu kernel=stock,lab vcpus=1 disks=1x4M+cd set=long
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+cd set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+cd set=long
# host: yes
# limit: 120

. /tests/lib.sh

# drive: the node of the drive.
drive() { unit "$CD_LUN"; }

drive_there() { drive >/dev/null; }

attribute() { cat "/sys/block/${NODE##*/}/device/$1"; }

is_a_drive() {
	same "$(attribute type)" 5 && same "$(cat "/sys/block/${NODE##*/}/removable")" 1
}

# Readable media and a tray that can be opened, closed and locked.
can() { awk -F: -v what="$1" '$1 == what { print $2 + 0 }' /proc/sys/dev/cdrom/info; }

capabilities() {
	same "$(can 'Can open tray')$(can 'Can close tray')$(can 'Can lock tray')" 111 &&
		same "$(can 'Can read DVD')" 1 && same "$(can 'Can write CD-R')" 0
}

mounted() { mount -t iso9660 -o ro "$NODE" /mnt; }

# Every file is what it was when the disc was made.
whole() { (cd /mnt && sha256sum -c sums.txt && grep -q "The $1 disc" readme.txt); }

holds() {
	mounted || return
	whole "$1"
	set -- $?
	umount /mnt
	return "$1"
}

no_disc() { ! dd if="$NODE" of=/dev/null bs=2048 count=1 2>/tmp/dd && grep -qi medium /tmp/dd; }

# Beyond the last block there is nothing, and before it everything.
ends() {
	local blocks
	blocks=$(($(cat "/sys/block/${NODE##*/}/size") / 4))
	dd if="$NODE" of=/dev/null bs=2048 skip=$((blocks - 1)) 2>&1 | grep '1+0 records in'
}

# The kernel's own ways to move the tray: it opens when the drive is closed by its
# last user, and closes when somebody opens the drive.
knob() { echo "$2" >"/proc/sys/dev/cdrom/$1"; }

tray_opens() {
	knob autoclose 0 && knob autoeject 1 || return
	dd if="$NODE" of=/dev/null bs=2048 count=1
	knob autoeject 0
}

refused_outside() {
	if host eject "$CD_LUN"; then
		echo "a locked tray was opened from outside"
		return 1
	fi
}

check "driver loads" driver_load
check "the drive is found" until_true 20 drive_there || exit 1
NODE=$(drive)
check "it is one" is_a_drive
check "what it can do" capabilities
check "events are offered" grep -q eject_request "/sys/block/${NODE##*/}/events"
check "the disc is whole" holds first
check "the disc ends" ends

check "the disc is mounted" mounted
if [ "$VMM" = hospes ]; then
	# QEMU's monitor only offers to take it away by force.
	check "a disc in use is not taken away" refused_outside
	check "it is whole as before" whole first
fi
check "it is no longer mounted" umount /mnt

check "the guest opens the tray" tray_opens
check "there is no disc" no_disc
knob autoclose 1
check "the guest closes the tray, and the disc is there again" until_true 10 holds first
knob autoclose 0

check "another disc is put in" host change "$CD_LUN" cd2.iso
check "the guest finds that one" until_true 10 holds second
check "it ends elsewhere" ends
check "the disc is taken out" host eject "$CD_LUN"
check "the guest finds none" until_true 10 no_disc
check "the first disc is put in" host change "$CD_LUN" cd.iso
check "the guest finds it" until_true 10 holds first
check "the disk beside it is as before" disk_verify 0 --direct
check "driver unloads" driver_unload
