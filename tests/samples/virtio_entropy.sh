# SPDX-License-Identifier: GPL-2.0
#
# The sample of a virtio driver gets random bytes from QEMU's entropy device: as
# many as it asked for, others each time, also after it was bound again.
#
# machine: module=virtio_scsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# qemu: -device virtio-rng-pci

. /tests/lib.sh

driver=/sys/bus/virtio/drivers/sample_virtio_entropy

[ -d /sys/kernel/debug/bdi ] || mount -t debugfs debugfs /sys/kernel/debug

device() { ls $driver | grep '^virtio[0-9]'; }

# Sixteen bytes, as hexadecimal digits.
ask() {
	cat "/sys/kernel/debug/sample_virtio_entropy-$(device)/random" >"/tmp/random.$1"
	grep -qE '^[0-9a-f]{32}$' "/tmp/random.$1" || { cat "/tmp/random.$1"; return 1; }
}

check "sample loads" insmod /modules/ours/sample_virtio_entropy.ko
virtio=$(device)
check "device is bound" [ -n "$virtio" ]
check "bytes" ask 1
check "more bytes" ask 2
check "they are others" sh -c "! cmp -s /tmp/random.1 /tmp/random.2"
check "unbind" sh -c "echo $virtio >$driver/unbind"
check "bind" sh -c "echo $virtio >$driver/bind"
check "bytes after that" ask 3
check "they are others" sh -c "! cmp -s /tmp/random.2 /tmp/random.3"
check "sample unloads" rmmod sample_virtio_entropy
