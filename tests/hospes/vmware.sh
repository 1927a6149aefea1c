# SPDX-License-Identifier: GPL-2.0
#
# A guest of the personality vmware believes that it is on VMware, sees no other
# hypervisor, finds the vendor's name where the alias of vmw_balloon looks for it, has
# the frequency of its counter from the backdoor, and keeps time by it.
#
# machine: vmm=hospes kernel=stock vcpus=1,2 set=long
# hospes: --personality vmware
# limit: 90

. /tests/lib.sh

boot_says() { grep -q "$1" /tmp/boot || { tail -n 3 /tmp/boot; return 1; }; }

boot_never_says() { ! grep "$1" /tmp/boot; }

# The guest's second is the real-time clock's, which is the host's.
seconds_pass_alike() {
	local rtc=/sys/class/rtc/rtc0/since_epoch before now
	before=$(($(cat $rtc) - $(date +%s)))
	sleep 5
	now=$(($(cat $rtc) - $(date +%s)))
	[ $((now - before)) -ge -2 ] && [ $((now - before)) -le 2 ]
}

check "VMware is detected" boot_says "Hypervisor detected: VMware"
check "the machine is VMware's" same "$(cat /sys/class/dmi/id/sys_vendor)" "VMware, Inc."
check "so is its alias" grep -q ":svnVMware" /sys/class/dmi/id/modalias
check "nobody speaks of KVM" boot_never_says "kvm-clock\|KVM setup\|Booting paravirtualized kernel on KVM"
check "the counter's frequency was told" boot_says "vmware: TSC freq read from hypervisor"
check "so was that of the bus" boot_says "vmware: Host bus clock speed read from hypervisor : 1000000000 Hz"
check "the counter is the clock" same "$(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)" tsc
check "all processors run" same "$(nproc)" "$VCPUS"
check "time passes as outside" seconds_pass_alike
