# SPDX-License-Identifier: GPL-2.0
#
# A host that lies, loses, repeats and stalls does no more to the guest than its own
# disks: nothing panics, warns, hangs for ever or reaches another's memory, whatever
# else is asked of the controller every request ends, and after the driver was
# unloaded and loaded again everything works.
#
# The kernel's own driver has no chance here: it goes on reading a broken ring without
# end, takes an answer that is repeated for another command's, and waits for commands
# on a controller that was taken away.
#
# machine: module=hv_storvsc driver=rust vmm=hospes kernel=stock vcpus=1 disks=3x2M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1 disks=3x2M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=3x2M
# host: yes
# limit: 400

. /tests/lib.sh
. /tests/faults.sh

# all_ended NAME PID: a reset ends what the host keeps, and the host may keep what
# comes after it.
all_ended() {
	local number
	for number in 1 2 3; do
		until_true 8 ended "$2" && break
		check "$1: reset, $number" reset_controller
	done
	check "$1: every request is ended" until_true 30 ended "$2"
}

# reset_with NAME FAULT: a reset under load, with that fault.
reset_with() {
	local load
	injected "$@"
	provoke >/tmp/provoked 2>&1 &
	load=$!
	reset_controller >/tmp/reset 2>&1
	say "  # $1: $(cat /tmp/reset)"
	check "$1: every request is ended" until_true 30 ended $load
	cleared "$1"
	check "$1: disk 1 can be written and read" again
}

# loaded NAME FAULT…: the driver loads with that, or has no disks.
loaded() {
	loaded_with "$@"
	say "  # $1: disks found: $(disk_list)"
	unloaded "$1"
}

speaks() { dmesg | grep -q "hv_storvsc .*: version $1"; }

# Numbers of hosts are used again, those of their directories are not.
hosts() { ls -di /sys/class/scsi_host/host*/ 2>/dev/null; }

# went_and_came COMMAND…: the controller is taken away and comes back as another one.
went_and_came() {
	before=$(hosts)
	"$@" && until_true 30 is_back
}

is_back() { [ "$(hosts)" != "$before" ] && disks_there; }

check "driver loads" driver_load
disk_known 0
rm -f /tmp/leaves.1

# Late and wrong answers.
endured delay kind=delay,ms=200,lun=1,count=20
endured status kind=status,lun=1,percent=30,seed=1
endured busy kind=status,status=8,lun=1,count=5
endured "SRB status of any kind" kind=srb,code=2,lun=1,count=1 kind=srb,code=9,lun=1,count=1 \
	kind=srb,code=14,lun=1,count=1 kind=srb,code=18,lun=1,count=1 kind=srb,code=255,lun=1,count=1
endured refused kind=refuse,lun=1,count=3
endured noise kind=garbage,lun=1,percent=50,seed=3
endured "sense longer than there is" kind=garbage,lun=1,status=2,code=132,sense_len=255,count=3
endured "more data than asked for" kind=garbage,lun=1,transferred=4294967295,count=3
endured "an answer that is a notice" kind=garbage,lun=1,answer=11,count=3
endured "empty answers" kind=length,len=0,lun=1,count=3
endured "short answers" kind=length,len=40,lun=1,count=3
endured "long answers" kind=length,len=1000,lun=1,count=3
endured "payload that begins elsewhere" kind=descriptor,offset8=0,lun=1,count=1 \
	kind=descriptor,offset8=65535,lun=1,count=1 kind=descriptor,offset8=9,lun=1,count=1
# Answers to nothing.
endured "answered twice" kind=twice,lun=1,count=20
endured "answered again later" kind=again,ms=30,lun=1,count=20
endured "unknown ids" kind=unknown-id,lun=1,count=5 kind=unknown-id,id=1,lun=1,count=5 \
	kind=unknown-id,id=18446744073709551613,lun=1,count=5 kind=unknown-id,id=0,lun=1,count=5
# Losses.
endured "answers that never come" kind=drop,lun=1,count=2
reset_with "reset refused" kind=refuse,operation=6,count=1
reset_with "answer to a reset that is none" kind=length,len=8,operation=6,count=1
reset_with "late answer to a reset" kind=delay,ms=1500,operation=6,count=1
# Notices.
check "notices of any kind" host fault kind=notices,number=100
check "notices of any kind, others" host fault kind=notices,number=100,notice=2
check "notices of any kind, answers" host fault kind=notices,number=100,notice=1
check "notices of any kind, unknown" host fault kind=notices,number=100,notice=99
check "notices of any kind: disk 1 can be written and read" again
dmesg -c >/dev/null

# Broken rings.
survived "packet longer than the ring" kind=descriptor,len8=65535,lun=1,count=1
survived "packet without a length" kind=descriptor,len8=0,lun=1,count=1
survived "packet shorter than it is" kind=descriptor,len8=5,lun=1,count=1
survived "packet longer than any" kind=length,len=4096,lun=1,count=1
survived "write index outside" kind=write-index,value=4294967280,lun=1,count=1
survived "write index not aligned" kind=write-index,value=4,lun=1,count=1
survived "write index that goes back" kind=write-index,value=0,lun=1,count=1
survived "read index outside" kind=read-index,value=4294967280,lun=1,count=1

# The handshake.
check "the other version: the driver goes" driver_unload
check "the other version: inject" host fault kind=refuse,operation=9,count=1
check "the other version: the driver comes back" driver_load
check "the other version: it is spoken" speaks 6.0
loaded "no version" kind=refuse,operation=9
loaded "no properties" kind=length,len=16,operation=10
loaded "noise for a handshake" kind=garbage,operation=7,seed=5
loaded "no bytes of data" kind=properties,max_transfer=0
loaded "any number of everything" kind=properties,max_transfer=4294967295,sub_channels=65535
loaded "not opened" kind=open

# The controller goes and comes back, at any time.
check "taken away when nobody has it: the driver goes" driver_unload
check "taken away when nobody has it: inject" host fault kind=rescind
check "taken away when nobody has it: it comes back" driver_load
check "taken away when nobody has it: disk 1 can be written and read" again
check "taken away while it is opened: the driver goes" driver_unload
check "taken away while it is opened: inject" host fault kind=open,rescind=on,count=1
check "taken away while it is opened: it comes back" driver_load
check "taken away in the handshake: the driver goes" driver_unload
check "taken away in the handshake: inject" host fault kind=drop,operation=7,count=1
insmod "/modules/$MODULE.ko" &
sleep 1
check "taken away in the handshake: it comes back" went_and_came host fault kind=rescind
check "taken away in the handshake: the driver was loaded" wait $!
for number in 1 2 3; do
	provoke >/tmp/provoked 2>&1 &
	load=$!
	disk 1 >/dev/null
	until_true 5 disk_busy "${NODE##*/}"
	check "taken away under load, $number" went_and_came host fault kind=rescind
	check "taken away under load, $number: every request is ended" until_true 30 ended $load
done
dmesg -c >/dev/null
check "in the end: disk 0 is as it was" disk_verify 0 --direct
check "in the end: disk 1 can be written and read" again
check "driver unloads" driver_unload
