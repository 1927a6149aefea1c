# SPDX-License-Identifier: GPL-2.0
#
# The faults of our device are what they claim to be: the kernel's own driver, of
# which we know what it does, sees each of them, and the VMM goes on whatever that
# driver makes of it. It has no remedy for requests that never come back, so
# those come last, and the machine is switched off with them.
#
# machine: module=virtio_scsi driver=c vmm=hospes kernel=lab vcpus=1 disks=3x2M set=long
# host: yes
# alone: yes
# limit: 150

. /tests/lib.sh

read_one() { timeout 15 dd if="$(disk 1)" of=/dev/null bs=4096 count=1 iflag=direct; }

fails() { ! read_one; }

works() { read_one && disk_verify 0 --direct --io-size 256K; }

# injected KIND N: the VMM says that this fault happened at least N times.
injected() {
	local counters found
	counters=$(host counters) || return
	found=$(echo "$counters" | sed -n "s/.*\"faults\": *{[^}]*\"$1\": *\([0-9]*\).*/\1/p")
	[ "${found:-0}" -ge "$2" ] || { echo "$1 happened ${found:-0} times"; return 1; }
}

# seen NAME WANT KEYS: a read of disk 1 does as it should with that fault.
seen() {
	check "$1: inject" host fault "$3,lun=1"
	check "$1: a read $2" "$2"
	check "$1: clear" host clear-faults
	check "$1: afterwards all is well" works
}

check "driver loads" driver_load
disk_known 0
seen "delay" works kind=delay,ms=300,count=1
check "delay: it happened" injected delay 1
seen "medium error" fails kind=status,key=3,asc=17,opcode=40
check "medium error: the guest says so" sh -c "dmesg | grep -q 'Unrecovered read error'"
seen "failure" fails kind=response,code=9,opcode=40
seen "all of the data is missing" fails kind=garbage,resid=4096,opcode=40
seen "used length too short" works kind=used-length,len=4,count=1
seen "used length too long" works kind=used-length,len=4294967295,count=1
check "events of any kind" host fault kind=events,number=50,seed=7
check "events: a rescan that is not needed" host fault kind=events,number=1,missed=on,event=0
check "events: they were sent" injected events 2
check "events: all is well" works
check "a limit of no sectors, told at once" host fault kind=config,field=max_sectors,value=0,notify=on
check "driver unloads" driver_unload
check "driver loads with it" driver_load
check "clear" host clear-faults
check "a reset that takes long" host fault kind=tmf-delay,ms=700,count=1
check "reset" timeout 30 diskcheck reset "$(disk 1)"
check "a reset that is refused" host fault kind=tmf-response,code=11,count=1
timeout 30 diskcheck reset "$(disk 1)"
check "clear these" host clear-faults
check "after resets all is well" works
# From here on the driver is lost: a queue breaks, and a request is dropped.
check "completed twice" host fault kind=used-twice,lun=1,count=1
read_one &
sleep 2
check "completed twice: it happened" injected used-twice 1
check "broken: the guest says so" sh -c "dmesg | grep -q 'is not a head'"
check "needs reset" host fault kind=needs-reset
check "the VMM goes on" host counters
