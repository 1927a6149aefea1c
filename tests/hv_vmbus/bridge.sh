# SPDX-License-Identifier: GPL-2.0
#
# On QEMU's bus, which is not ours: a version is agreed on, the balloon is offered,
# the kernel's own driver binds to it and talks with its host; the bus leaves and
# comes back before that.
#
# machine: module=hv_vmbus driver=rust vmm=qemu_kvm kernel=lab vcpus=1 disks=none
# machine: module=hv_vmbus driver=rust,c vmm=qemu_kvm kernel=lab vcpus=1,2 disks=none set=long
# limit: 120
# alone: yes

. /tests/lib.sh
. /tests/vmbus.sh

# Class of dynamic memory (include/linux/hyperv.h, HV_DM_GUID).
BALLOON=525074dc-8985-46e2-8057-a307dc18a502

kernel_said() { dmesg | grep "$1"; }

# balloons: the devices of that class.
balloons() {
	grep -l "$BALLOON" /sys/bus/vmbus/devices/*/class_id | sed 's|/class_id||'
}

is_bound() { [ "$(basename "$(readlink "$1/driver")")" = hv_balloon ]; }

interrupts() { cat "$1"/channels/*/interrupts | awk '{ sum += $1 } END { print sum }'; }

was_heard() { [ "$(interrupts "$1")" -gt 0 ]; }

check "bus loads" bus_load
check "a version is agreed on" kernel_said "Vmbus version:"
check "one balloon is offered" same "$(balloons | wc -l)" 1
if bus_can_go; then
	for round in 1 2 3; do
		check "round $round: bus unloads" bus_unload
		check "round $round: bus loads again" bus_load
		check "round $round: the balloon is offered again" same "$(balloons | wc -l)" 1
	done
fi
device=$(balloons)
check "hv_balloon loads" child_load hv_balloon
check "and has the device" until_true 10 is_bound "$device"
check "it and the host agree on a protocol" until_true 30 kernel_said "Dynamic Memory protocol version"
check "the host has interrupted" until_true 30 was_heard "$device"
say "  # $(kernel_said "Vmbus version:" | tail -n 1 | sed 's/.*Vmbus/Vmbus/'), $(interrupts "$device") interrupts"
