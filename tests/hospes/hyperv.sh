# SPDX-License-Identifier: GPL-2.0
#
# A guest of the personality hyperv believes that it is on Hyper-V, sees no other
# hypervisor, and uses what it is offered: the clock page or its register, timers in
# direct mode, hypercalls.
#
# machine: vmm=hospes kernel=stock vcpus=2
# machine: vmm=hospes kernel=stock vcpus=1 set=long
# machine: vmm=hospes kernel=lab vcpus=2 set=long
# hospes: --personality hyperv
# limit: 90

. /tests/lib.sh

boot_says() { grep -q "$1" /tmp/boot || { tail -n 3 /tmp/boot; return 1; }; }

boot_never_says() { ! grep "$1" /tmp/boot; }

clock_is_hyperv() {
	case $(cat /sys/devices/system/clocksource/clocksource0/available_clocksource) in
	*hyperv_clocksource_*) ;;
	*) cat /sys/devices/system/clocksource/clocksource0/available_clocksource; return 1 ;;
	esac
}

check "Hyper-V is detected" boot_says "Hypervisor detected: Microsoft Hyper-V"
check "nobody speaks of KVM" boot_never_says "kvm-clock\|KVM setup\|Booting paravirtualized kernel on KVM"
check "its clock is there" clock_is_hyperv
check "all processors run" same "$(nproc)" "$VCPUS"
check "time passes" sleep 2
check "the kernel found no fault" boot_never_says "Hyper-V.*fail\|hv_.*error"
