# SPDX-License-Identifier: GPL-2.0
#
# A Fibre Channel controller: its disks are read and written like those of any
# other, its names are in sysfs, the guest's own port is among the remote ports, a
# scan by hand finds what is there, disks come and go, the names change when the
# host says so, and nothing of it is left when the driver is.
#
# machine: module=hv_storvsc controller=fc driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc controller=fc driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# host: yes
# limit: 400

. /tests/lib.sh

fc_host() { set -- /sys/class/fc_host/host*; echo "$1"; }

name_is() { same "$(cat "$(fc_host)/$1")" "0x$2"; }

remote_port() { set -- /sys/class/fc_remote_ports/rport-*:0-0; echo "$1"; }

roles_are() { same "$(cat "$(remote_port)/roles")" "$1"; }

# scan WHAT: as a user has buses, targets and units looked at.
scan() {
	set -- "$1" /sys/class/scsi_host/host*/scan
	echo "$1" >"$2"
}

delete() {
	disk "$1" >/dev/null && echo 1 >"/sys/class/block/${NODE#/dev/}/device/delete"
}

refused() { ! "$@" 2>/dev/null; }

# Targets are shown as those of the class, without a remote port.
targets_are() { same "$(ls /sys/class/fc_transport | wc -l)" "$1"; }

nothing_left() {
	local class
	for class in fc_host fc_remote_ports fc_transport scsi_host; do
		[ -z "$(ls /sys/class/$class)" ] || { ls /sys/class/$class; return 1; }
	done
	[ ! -e "/sys/bus/$BUS/drivers/$MODULE" ]
}

check "driver loads" driver_load
check "it drives one device" same "$(driver_devices | wc -l)" 1
check "one of Fibre Channel" \
	same "$(cat /sys/bus/vmbus/devices/*/class_id | grep -c 2f9bcc4a)" 1
check "node is called as the host says" name_is node_name 5000c50000000010
check "port is called as the host says" name_is port_name 5000c50000000020
check "the guest's own port is there" roles_are "FCP Dummy Initiator"
check "its target is in the class" until_true 30 targets_are 1
for number in 0 1; do
	check "disk $number: read what was written outside" disk_verify $number --direct
done
check "write" disk_write 0 --direct --io-size 1M
check "read" disk_verify 0 --direct --io-size 1M
check "overwrite and read at the same time" disk_exercise 1 2 --direct --jobs 4 --random --io-size 16K

check "add a disk" host add 2
check "it is found" until_true 60 disk 2
check "its content is what was written outside" disk_verify 2 --direct
check "remove it" host remove 2
check "it is gone" until_true 60 disk_gone 2

check "a disk is removed by hand" delete 1
check "it is gone" until_true 10 disk_gone 1
check "a scan of its target" scan "0 0 -"
check "finds it" until_true 10 disk 1
check "a bus that cannot be is refused" refused scan "8 0 0"
check "a target that cannot be is refused" refused scan "0 128 0"
check "a unit that cannot be is refused" refused scan "0 0 255"
check "it is as it was" disk_verify 1 --direct

if [ "$DRIVER" = rust ]; then
	# The C driver does not believe that.
	for port in 21 20; do
		check "the host puts the other port in use" host fault kind=notices,notice=12
		check "which is called …$port" until_true 10 name_is port_name 5000c500000000$port
	done
fi

for number in 1 2 3; do
	check "driver unloads, $number" driver_unload
	check "nothing is left" nothing_left
	check "driver loads again" driver_load
	check "names are as before" name_is port_name 5000c50000000020
	check "disk 0 is as it was" disk_verify 0 --direct
done
check "driver unloads in the end" driver_unload
