# SPDX-License-Identifier: GPL-2.0
#
# The outside of virtio_scsi/passthrough: what the device of scsi_debug does.
#
#	flaw on|off     sectors from 4660 on cannot be read
#	delay JIFFIES   for each command
#	grow            it has another size now
#	vanish          it is unplugged
#	digest SUM      fails unless that is the SHA-256 sum of what it holds

knobs=/sys/bus/pseudo/drivers/scsi_debug
case $1 in
flaw)
	case $2 in on) echo 2 ;; off) echo 0 ;; esac >$knobs/opts ;;
delay) echo "$2" >$knobs/delay ;;
grow) echo 1 >$knobs/virtual_gb ;;
vanish) echo -1 >$knobs/add_host ;;
digest)
	for block in /sys/block/sd*; do
		case $(cat "$block/device/model") in scsi_debug*) node=/dev/${block##*/} ;; esac
	done
	# The guest writes by another way, so what is cached here is old.
	echo 3 >/proc/sys/vm/drop_caches
	sum=$(sha256sum "$node" | cut -d ' ' -f 1)
	[ "$sum" = "$2" ] || { echo "the host has $sum"; exit 1; } ;;
*)
	echo "no such thing: $1"
	exit 2 ;;
esac
