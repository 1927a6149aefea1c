# SPDX-License-Identifier: GPL-2.0
#
# A host whose bus lies, loses, repeats and stalls harms nobody: what is refused is
# refused to the driver, what never comes is waited for as long as is documented or
# until the channel is taken away, what no right host says changes nothing, and
# after that the driver, and the bus itself, go and come back with the same disks.
#
# The kernel's own bus has no chance here: it waits for a version without a limit, and
# the first channel of a number that is offered twice is lost.
#
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=lab vcpus=1,2 disks=3x2M set=long
# machine: module=hv_storvsc driver=rust bus=rust vmm=hospes kernel=debug vcpus=1 disks=3x2M
# host: yes
# alone: yes
# limit: 600

. /tests/lib.sh
. /tests/faults.sh

FAULTY=vmbus
SAFE="disk 0 is as it was"

# Types of messages, and of those that a fault may happen to.
RESCIND=2 OPEN=5 GPADL=8 TEARDOWN=11 CONTACT=14 UNLOAD=16 MODIFY=22

insert() { timeout 100 insmod "/modules/$MODULE.ko"; }

# comes_and_goes NAME: the driver works, and can go.
comes_and_goes() {
	check "$1: the driver comes back" driver_load
	check "$1: $SAFE" disk_verify 0 --direct --io-size 256K
	check "$1: disk 1 can be written and read" again
	check "$1: the driver goes" driver_unload
	check "$1: clear" host clear-faults vmbus
	dmesg -c >/dev/null
}

# without_disks NAME FAULT: the driver loads, and cannot use the controller.
without_disks() {
	injected "$@"
	check "$1: the driver is loaded" insert
	check "$1: no disk" same "$(disk_list)" ""
	check "$1: the driver goes" driver_unload
	check "$1: clear" host clear-faults vmbus
	comes_and_goes "$1"
}

# with_all NAME FAULT…: it is the same to the driver.
with_all() {
	injected "$@"
	comes_and_goes "$1"
}

# stuck NAME PID: who waits for an answer does so still.
stuck() {
	sleep 3
	check "$1: it is waited for" [ -d "/proc/$2" ]
}

# woken NAME PID: the channel is taken away, and comes back.
woken() {
	check "$1: the controller is taken away" host fault kind=rescind
	check "$1: nobody waits" until_true 30 ended "$2"
}

# unanswered NAME FAULT: the driver waits while it is loaded.
unanswered() {
	local pid
	injected "$@"
	insert &
	pid=$!
	stuck "$1" $pid
	woken "$1" $pid
	check "$1: disks are there then" until_true 30 disks_there
	check "$1: $SAFE" disk_verify 0 --direct --io-size 256K
	check "$1: the driver goes" driver_unload
	comes_and_goes "$1"
}

# The driver is not loaded.
check "driver loads" driver_load
disk_known 0
rm -f /tmp/leaves.1
check "driver unloads" driver_unload

# Answers about channels and their memory.
without_disks "memory is refused" kind=refuse,operation=$GPADL,count=1
without_disks "opening is refused" kind=refuse,operation=$OPEN,count=1
with_all "late answers" kind=delay,ms=1500,operation=$GPADL,count=1 \
	kind=delay,ms=1500,operation=$OPEN,count=1 kind=delay,ms=1500,operation=$TEARDOWN,count=1
with_all "repeated answers" kind=twice,operation=$GPADL kind=twice,operation=$OPEN \
	kind=twice,operation=$TEARDOWN
unanswered "no answer about memory" kind=drop,operation=$GPADL,count=1
unanswered "no answer about opening" kind=drop,operation=$OPEN,count=1
check "no answer to closing: the driver comes" driver_load
injected "no answer to closing" kind=drop,operation=$TEARDOWN,count=1
rmmod "$MODULE" &
closing=$!
stuck "no answer to closing" $closing
woken "no answer to closing" $closing
comes_and_goes "no answer to closing"

# Taken away when nobody uses it.
check "not in use: the controller is taken away" host fault kind=rescind
comes_and_goes "not in use"

check "the driver stays" driver_load

# went NAME: the controller is taken away and has come back.
hosts() { ls -di /sys/class/scsi_host/host*/ 2>/dev/null; }
is_back() { [ "$(hosts)" != "$before" ] && disks_there; }
went() {
	before=$(hosts)
	check "$1: the controller is taken away" host fault kind=rescind
	check "$1: it comes back" until_true 30 is_back
	works "$1"
}

# works NAME: all is as it was.
works() {
	check "$1: $SAFE" disk_verify 0 --direct --io-size 256K
	check "$1: disk 1 can be written and read" again
	dmesg -c >/dev/null
}

# said NAME FAULT…: what no right host says, while the driver has the controller.
said() {
	injected "$@"
	works "$1"
}

injected "rescinded twice" kind=twice,operation=$RESCIND
went "rescinded twice"
check "rescinded twice: clear" host clear-faults vmbus
said "numbers that nobody has are rescinded" kind=rescind,relid=1999,number=10 \
	kind=rescind,relid=0 kind=rescind,relid=2048 kind=rescind,relid=4294967295

first=$(ls /sys/bus/vmbus/devices/*/channels | grep -x '[0-9]*' | head -n 1)
said "a number that is taken is offered" kind=offer,relid="$first",stranger=on \
	kind=offer,relid="$first",index=1
said "a device that is there is offered again" kind=offer,relid=2003
said "numbers that cannot be are offered" kind=offer,relid=0,stranger=on \
	kind=offer,relid=2048,stranger=on kind=offer,relid=4294967295,stranger=on
said "sub-channels of nobody" kind=offer,relid=2000,index=3,stranger=on
said "a sub-channel that the bus does not know" kind=offer,relid=2001,index=7
said "connections and monitors that cannot be" \
	kind=offer,relid=2002,stranger=on,connection=4294967295,monitor=255
said "what was offered so goes" kind=rescind,relid=2000 kind=rescind,relid=2001 \
	kind=rescind,relid=2002
said "unknown messages" kind=message,message=99 kind=message,message=4294967295,len=240 \
	kind=message,message=0
said "messages of the guest's" kind=message,message=$CONTACT,len=40 kind=message,message=$OPEN,len=148
said "short messages" kind=message,message=1,len=20 kind=message,message=2 \
	kind=message,message=15 kind=message,message=1,len=4 kind=message,message=1,len=0
said "answers that nobody waits for" kind=message,message=4 kind=message,message=6,len=20 \
	kind=message,message=10,len=20 kind=message,message=12,len=12 \
	kind=message,message=15,len=16 kind=message,message=17 kind=message,message=24,len=16
said "a slot with something else" kind=message,message=1,slot=2147483664 \
	kind=message,message=1,len=200,slot=5

# Channels that move.
cpu_of() { cat /sys/bus/vmbus/devices/*/channels/"$first"/cpu; }
move() { echo "$1" >"$(ls /sys/bus/vmbus/devices/*/channels/"$first"/cpu)"; }
refuses_to_move() { ! move "$1" 2>/dev/null; }
if [ "$VCPUS" -gt 1 ]; then
	now=$(cpu_of)
	injected "moving is refused" kind=refuse,operation=$MODIFY,count=1
	check "moving is refused: so it is" refuses_to_move $((1 - now))
	check "moving is refused: it stays" same "$(cpu_of)" "$now"
	works "moving is refused"
	injected "no answer to moving" kind=drop,operation=$MODIFY,count=1
	check "no answer to moving: there is a limit" refuses_to_move $((1 - now))
	works "no answer to moving"
	injected "late and repeated answers to moving" kind=delay,ms=1500,operation=$MODIFY,count=1 \
		kind=twice,operation=$MODIFY,count=1
	check "late and repeated answers to moving: it moves" move $((1 - now))
	works "late and repeated answers to moving"
fi
check "driver unloads" driver_unload

# The bus itself.
bus_goes() { until_true 10 rmmod hv_vmbus; }
bus_comes() { timeout 130 insmod /modules/hv_vmbus.ko; }
bus_refuses() { ! bus_comes; }
speaks() { dmesg | grep -q "Vmbus version:$1\$"; }

check "versions refused: the bus goes" bus_goes
injected "versions refused" kind=refuse,operation=$CONTACT,count=2
check "versions refused: the bus comes" bus_comes
check "versions refused: an older one is spoken" speaks 5.2
comes_and_goes "versions refused"
check "a late version: the bus goes" bus_goes
injected "a late version" kind=delay,ms=1500,operation=$CONTACT
check "a late version: the bus comes" bus_comes
check "a late version: it is spoken" speaks 5.3
comes_and_goes "a late version"
check "no version: the bus goes" bus_goes
# BusyBox tries twice, by one system call and the other.
injected "no version" kind=drop,operation=$CONTACT,count=2
check "no version: there is a limit" bus_refuses
dmesg -c >/dev/null
check "no version: the bus comes" bus_comes
comes_and_goes "no version"
injected "the host is slow to let go" kind=delay,ms=1500,operation=$UNLOAD,count=1
check "the host is slow to let go: the bus goes" bus_goes
check "the host is slow to let go: the bus comes" bus_comes
comes_and_goes "the host is slow to let go"
injected "the host does not let go" kind=drop,operation=$UNLOAD,count=1
check "the host does not let go: there is a limit" rmmod hv_vmbus
check "the host does not let go: the bus comes" bus_comes
comes_and_goes "the host does not let go"
