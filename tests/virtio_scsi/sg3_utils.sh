# SPDX-License-Identifier: GPL-2.0
#
# The tools of Debian's sg3-utils, which initiators of every kind are checked
# with, find a disk of ours well formed: pages, capabilities, and every command
# that says it is supported, with the data that it moves.
#
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=lab vcpus=1 disks=2x4M
# machine: module=virtio_scsi driver=rust vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# machine: module=virtio_scsi driver=c vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# machine: module=hv_storvsc driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# machine: module=vmw_pvscsi driver=rust,c vmm=hospes kernel=stock vcpus=1 disks=2x4M set=long
# programs: sg_*
# limit: 400

. /tests/lib.sh

# says TEXT COMMAND…: the command succeeds and its output has the text.
says() {
	local text=$1
	shift
	"$@" >/tmp/said 2>&1 || { echo "status $?"; cat /tmp/said; return 1; }
	grep -qiE -e "$text" /tmp/said || { echo "no '$text' in:"; cat /tmp/said; return 1; }
}

# status WANT COMMAND…: how an sg3 tool ends (sg3_utils(8), EXIT STATUS).
status() {
	local want=$1
	shift
	"$@" >/tmp/said 2>&1
	same $? "$want" || { cat /tmp/said; return 1; }
}

# sector N LBA: digest of a sector, past the cache.
sector() { dd if="$(disk "$1")" bs=512 skip="$2" count=1 iflag=direct 2>/dev/null | md5sum; }

# TEST UNIT READY as it is: sg_turs does not get it past every kernel.
ready() { sg_raw "$d" 00 00 00 00 00 00; }

# On Hyper-V an INQUIRY or a MODE SENSE has always succeeded, who passes commands through
# is told of a conflict as a failure of the transport, and units are not reset: so it is
# with the kernel's driver.
if [ "$MODULE" = hv_storvsc ]; then
	check_elsewhere() { :; }
else
	check_elsewhere() { check "$@"; }
fi

check "driver loads" driver_load
d=$(disk 0)
rm -f /tmp/leaves.0

check "ready" ready
check "request sense" says "no sense|additional sense" sg_requests "$d"
check "standard INQUIRY" says "peripheral qualifier=0|PQual=0" sg_inq "$d"
check "INQUIRY names a version of SPC" says "version=0x0[5-7]" sg_inq "$d"
# A target of VMware's has one unit, and the two disks are two of these.
units=$([ "$MODULE" = vmw_pvscsi ] && echo 1 || echo 2)
check "report LUNs" says "$units lun|Lun list length = $((units * 8))" sg_luns "$d"
for page in sv sn di ei bl bdc lbpv; do
	check "VPD page $page" sg_vpd -p "$page" "$d"
done
check "VPD: all pages that it lists" sg_vpd --all "$d"
check "unit serial number" says DISK0 sg_vpd -p sn "$d"
check_elsewhere "a VPD page that does not exist is refused" status 5 sg_inq --vpd --page=0x7f "$d"
check "READ CAPACITY 10" says "8191 \(0x1fff\)" sg_readcap "$d"
check "READ CAPACITY 16" says "8191 \(0x1fff\)" sg_readcap --long "$d"
check "mode pages" says "caching" sg_modes -a "$d"
check "mode pages, 6 bytes" sg_modes -6 -a "$d"
check_elsewhere "a mode page that does not exist is refused" status 5 sg_modes -p 0x3e "$d"
check "log pages that it lists" says "supported log pages" sg_logs "$d"
check "all log pages" sg_logs --all "$d"
check "supported commands" says "INQUIRY" sg_opcodes "$d"
check "supported task management" says "Logical unit reset|LUR" sg_opcodes --tmf "$d"
check "one command's usage map" says "Usage data: 88" sg_opcodes --opcode=0x88 "$d"

# Commands that move data.
check "verify" sg_verify --lba=0 --count=64 "$d"
check "verify beyond the end is refused" status 22 sg_verify --lba=8190 --count=8 "$d"
check "read, 6 10 12 and 16 bytes" sh -c "for n in 6 10 12 16; do sg_dd if=$d of=/dev/null bs=512 count=64 cdbsz=\$n blk_sgio=1 || exit; done"
check "copy a disk's start to its end" sg_dd if="$d" of="$d" bs=512 count=32 seek=8000 blk_sgio=1 oflag=fua
check "the copy is the same" same "$(sector 0 31)" "$(sector 0 8031)"
check "synchronize cache" sg_sync "$d"
dd if=/dev/urandom of=/tmp/one bs=512 count=1 2>/dev/null
check "write same, 10 bytes" sg_write_same --10 --in=/tmp/one --lba=100 --num=20 "$d"
check "write same, 16 bytes" sg_write_same --16 --in=/tmp/one --lba=120 --num=20 "$d"
check "each block has it" same "$(sector 0 100)$(sector 0 139)" "$(md5sum </tmp/one)$(md5sum </tmp/one)"
check "compare with what is there" sg_verify --16 --lba=100 --count=1 --bytchk=512 --in=/tmp/one "$d"
dd if=/dev/urandom of=/tmp/two bs=512 count=1 2>/dev/null
cat /tmp/one /tmp/two >/tmp/pair
check "compare and write" sg_compare_and_write --in=/tmp/pair --lba=100 --num=1 "$d"
check "it was written" same "$(sector 0 100)" "$(md5sum </tmp/two)"
check "compare and write again: miscompare" status 14 sg_compare_and_write --in=/tmp/pair --lba=100 --num=1 "$d"
check "unmap" sg_unmap --lba=1024 --num=1024 --force "$d"
check "unmapped blocks are so" says "deallocated|anchored" sg_get_lba_status --lba=1024 "$d"
check "they read as zeroes" same "$(sector 0 1500)" "$(head -c 512 /dev/zero | md5sum)"
check "write same with unmap" sg_write_same --16 --unmap --lba=2048 --num=64 "$d"

# Reservations, by one initiator.
check "no keys" says "no registered|Generation=0x0" sg_persist --in --read-keys "$d"
check "register" sg_persist --out --register --param-sark=0xabc "$d"
check "reserve" sg_persist --out --reserve --param-rk=0xabc --prout-type=1 "$d"
check "the reservation is there" says "0xabc" sg_persist --in --read-reservation "$d"
check "its holder writes" sg_write_same --16 --in=/tmp/one --lba=100 --num=1 "$d"
check_elsewhere "a wrong key is a conflict" status 24 sg_persist --out --release --param-rk=0xdef --prout-type=1 "$d"
check "capabilities" sg_persist --in --report-capabilities "$d"
check "full status" says "0xabc" sg_persist --in --read-full-status "$d"
check "release" sg_persist --out --release --param-rk=0xabc --prout-type=1 "$d"
check "unregister" sg_persist --out --register --param-rk=0xabc --param-sark=0 "$d"

# Whatever else.
check "an unknown command is refused" status 9 sg_raw "$d" ff 00 00 00 00 00
check "a CDB of one's own" sg_raw -r 96 "$d" 12 00 00 00 60 00
check_elsewhere "reset of the unit" sg_reset --device --no-escalate "$d"
check_elsewhere "it is told" status 6 ready
check "ready after it" ready
check "start" sg_start --start "$d"
check "stop" sg_start --stop "$d"
check "a stopped disk is not ready" status 2 ready
check "start again" sg_start --start "$d"
check "ready again" ready
check "the neighbour is untouched" disk_verify 1 --direct
check "write all of it" disk_write 0 --direct
check "read all of it" disk_verify 0 --direct
check "driver unloads" driver_unload
