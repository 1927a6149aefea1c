# SPDX-License-Identifier: GPL-2.0
#
# What everybody knows the driver by: aliases, parameters, sysfs attributes of
# device, driver, host, port, target, disks and their queues, interrupt names. The case
# only lists them; the lab compares the lists of our driver and of its C twin on
# the same machine.
#
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=virtio_scsi driver=rust,c vmm=qemu kernel=stock,lab vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=virtio_scsi driver=rust,c vmm=hospes kernel=stock,lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=qemu kernel=stock vcpus=4 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=c vmm=qemu kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=rust,c bus=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=1,4 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=hv_storvsc controller=fc driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M+2x2M:spare set=long
# machine: module=hv_storvsc controller=ide driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# limit: 120

. /tests/lib.sh

# surface GROUP KEY VALUE
surface() { say "  # surface $1: $2 = $3"; }

# values DIRECTORY GROUP NAME…
values() {
	local directory=$1 group=$2 name value
	shift 2
	for name in "$@"; do
		[ -f "$directory/$name" ] || continue
		# Some can be read only at times; the error is part of the surface.
		value=unreadable
		read -r value 2>/dev/null <"$directory/$name"
		surface "$group" "$name" "$value"
	done
}

module_info() {
	tr '\0' '\n' <"/modules/$MODULE.ko" | grep -aE '^(alias|parm|parmtype|depends|name|version)=' | sort -u |
		while read -r line; do surface modinfo "${line%%=*}" "${line#*=}"; done
}

parameters() {
	local file value
	for file in "/sys/module/$MODULE/parameters"/*; do
		[ -e "$file" ] || continue
		value=$(cat "$file")
		# The C driver writes there what it has chosen for its first device.
		[ "${file##*/}" != ring_pages ] || value=chosen
		surface parameter "${file##*/} ($(stat -c %a "$file"))" "$value"
	done
}

# listing GROUP WHAT DIRECTORY: names of what is in it, without numbers that
# differ from boot to boot.
listing() { surface "$1" "$2" "$(ls "$3" | sed 's/[0-9]*:[0-9].*/N/; s/^virtio[0-9]*$/virtioN/; s/^host[0-9]*$/hostN/; s/^[0-9]*$/N/; s/^0000:.*/PCI/; s/^\([0-9a-f]*-\)\{4\}[0-9a-f]*$/GUID/' | sort -u | tr '\n' ' ')"; }

device() {
	local directory
	for directory in /sys/bus/$BUS/drivers/$MODULE/$DEVICE; do
		values "$directory" device features status device vendor class revision enable msi_bus \
			class_id modalias \
			dma_mask_bits consistent_dma_mask_bits
		listing device attributes "$directory/"
		listing device parent "$directory/.."
	done
	listing driver attributes "/sys/bus/$BUS/drivers/$MODULE"
	listing driver module "/sys/module/$MODULE"
}

host_values() {
	local directory
	for directory in /sys/class/scsi_host/host*; do
		values "$directory" host active_mode can_queue cmd_per_lun eh_deadline host_reset nr_hw_queues \
			proc_name prot_capabilities prot_guard_type sg_prot_tablesize sg_tablesize state \
			supported_mode unchecked_isa_dma unique_id
		surface host attributes "$(ls "$directory" | tr '\n' ' ')"
	done
}

# ports: what there is of Fibre Channel.
ports() {
	local class directory
	for class in fc_host fc_remote_ports fc_transport; do
		for directory in /sys/class/$class/*; do
			[ -e "$directory" ] || continue
			listing $class attributes "$directory/"
			values "$directory" $class node_name port_name port_id port_state roles scsi_target_id \
				dev_loss_tmo fast_io_fail_tmo tgtid_bind_type
		done
	done
}

disk_values() {
	local device queue
	device=$(ls -d /sys/class/scsi_disk/*:0:0)/device
	values "$device" disk access_state device_blocked eh_timeout model queue_depth queue_type \
		queue_ramp_up_period rev scsi_level state timeout type vendor
	surface disk attributes "$(ls "$device" | tr '\n' ' ')"
	listing disk target "$device/.."
	listing disk block "$(ls -d "$device"/block/*)"
	queue=$(ls -d "$device"/block/*)/queue
	listing queue attributes "$queue"
	values "$queue" queue chunk_sectors discard_max_hw_bytes dma_alignment fua iostats io_timeout \
		logical_block_size max_hw_sectors_kb max_integrity_segments max_sectors_kb max_segment_size \
		max_segments minimum_io_size nr_requests optimal_io_size physical_block_size rotational \
		scheduler virt_boundary_mask write_cache write_zeroes_max_bytes
	surface queue "hardware queues" "$(ls "$queue/../mq" | wc -l)"
	for queue in "$queue/../mq"/*; do
		surface queue "processors of ${queue##*/}" "$(cat "$queue/cpu_list")"
	done
}

interrupts() {
	# Numbers of devices and lines may differ from boot to boot; names may not.
	sed -n 's/.* \(virtio[0-9]*-.*\|vmw_pvscsi\)$/\1/p' /proc/interrupts | while read -r name; do
		surface interrupt "${name#virtio*-}" present
	done
}

log() {
	dmesg | sed -n 's/.*\(scsi host\)[0-9]*: /\1: /p' | while read -r line; do
		surface log line "$line"
	done
}

check "driver loads" driver_load
module_info
parameters
device
host_values
ports
disk_values
interrupts
log
check "listed" true
check "driver unloads" driver_unload
