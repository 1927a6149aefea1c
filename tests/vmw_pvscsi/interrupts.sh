# SPDX-License-Identifier: GPL-2.0
#
# The adapter interrupts by whatever it has and the driver is let have: MSI-X, one
# message of MSI, or a line. Each kind brings every block back, and brings completions:
# nothing here is found by who looks for it.
#
# machine: module=vmw_pvscsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes,qemu kernel=stock vcpus=1 disks=1x4M+1x2M+1x8M+1x2M:slow set=long
# machine: module=vmw_pvscsi driver=rust vmm=qemu kernel=debug vcpus=2 disks=1x4M+1x2M+1x8M+1x2M:slow
# limit: 240

. /tests/lib.sh

# is_by KIND: the driver's interrupt is of that kind.
is_by() {
	grep " $MODULE\$" /proc/interrupts | grep -q "$1" || { cat /proc/interrupts; return 1; }
}

# come COMMAND…: the interrupt comes, more than once, while that runs.
come() {
	local before
	before=$(interrupts_of "^$MODULE\$")
	drop_caches
	"$@" || return
	[ "$(interrupts_of "^$MODULE\$")" -gt $((before + 4)) ]
}

# with NAME KIND PARAMETERS…: a load, and what must be seen of it.
with() {
	local name=$1 kind=$2
	shift 2
	check "loads, $name" driver_load "$@" || return
	check "$name: is that" is_by "$kind"
	check "$name: write" come disk_write 0 --direct --jobs 4 --io-size 16K
	check "$name: read" come disk_verify 0 --direct
	check "$name: unloads" driver_unload
}

# QEMU's adapter has no MSI-X.
if [ "$VMM" = hospes ]; then
	with "MSI-X" PCI-MSIX
fi
with "MSI" PCI-MSI- disable_msix=1
with "a line" IO-APIC disable_msi=1 disable_msix=1
