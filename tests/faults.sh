# SPDX-License-Identifier: GPL-2.0
#
# For cases about a device that lies, loses, repeats and stalls: requests on disk 1
# while it does, and what must hold afterwards; disk 0 is let alone. A case says what
# ends its requests, in all_ended NAME PID; SECONDS_EACH is how long one may take, if
# that is not left to the driver; FAULTY is what does wrong, if not the controller.

# provoke: reads and writes on disk 1, several times as many as a fault counts; how
# they end is the device's business.
provoke() {
	local node
	node=$(disk 1)
	timeout 20 diskcheck verify --disk 1 --direct --io-size 32K --jobs 4 "$node"
	timeout 20 diskcheck write --disk 1 --generation 300 --direct --io-size 32K --jobs 4 "$node"
	return 0
}

# give_up_after SECONDS: how long a request of disk 1 may take.
give_up_after() {
	disk 1 >/dev/null
	echo "$1" >"/sys/block/${NODE##*/}/device/timeout"
}

ended() { [ ! -d "/proc/$1" ]; }

again() { disk_write 1 --direct && disk_verify 1 --direct; }

reset_controller() { diskcheck reset --scope host "$(disk 0)"; }

# injected NAME FAULT…
injected() {
	local name=$1 fault
	shift
	for fault in "$@"; do
		check "$name: inject $fault" host fault "${FAULTY:+on=$FAULTY,}$fault"
	done
}

# cleared NAME: the device is right again. That requests failed is as it should be.
cleared() {
	check "$1: clear" host clear-faults $FAULTY
	dmesg -c >/dev/null
}

# provoked NAME FAULT…: requests with these faults end.
provoked() {
	local name=$1 load
	[ -z "$SECONDS_EACH" ] || give_up_after "$SECONDS_EACH"
	injected "$@"
	provoke >/tmp/provoked 2>&1 &
	load=$!
	all_ended "$name" $load
	cleared "$name"
}

# endured NAME FAULT…: the driver gets along, and goes on as if nothing had been.
endured() {
	provoked "$@"
	check "$1: disk 1 can be written and read" again
}

# mended NAME FAULT…: a reset of the controller mends what these led to.
mended() {
	provoked "$@"
	check "$1: a reset of the controller" reset_controller
	check "$1: disk 0 is as it was" disk_verify 0 --direct --io-size 256K
	check "$1: disk 1 can be written and read" again
}

# survived NAME FAULT…: the driver may give the controller up until it is bound again.
survived() {
	provoked "$@"
	check "$1: the driver goes" driver_unload
	comes_back "$1"
	check "$1: disk 1 can be written and read" again
}

comes_back() {
	check "$1: and comes back" driver_load
	check "$1: disk 0 is as it was" disk_verify 0 --direct --io-size 256K
}

# loaded_with NAME FAULT…: the driver is loaded while the device does that. A case
# looks at what it made of it, then calls unloaded.
loaded_with() {
	check "$1: the driver goes" driver_unload
	injected "$@"
	check "$1: the driver is loaded" timeout 60 insmod "/modules/$MODULE.ko"
	sleep 1
}

# unloaded NAME: the device is right again, and so is the driver when it comes back.
unloaded() {
	check "$1: clear" host clear-faults $FAULTY
	check "$1: the driver goes again" driver_unload
	dmesg -c >/dev/null
	comes_back "$1"
}
