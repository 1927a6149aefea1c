# SPDX-License-Identifier: GPL-2.0
#
# A guest sees the processor opteron-g5, and no feature of the host's beside it.
# What is taken out is what emulated processors lack.
#
# machine: vmm=hospes kernel=stock vcpus=2
# hospes: --cpu-model opteron-g5,-vme,-fxsr_opt,-misalignsse,-xop,-fma4,-tbm

. /tests/lib.sh

# What a Piledriver has, less what is taken out.
FLAGS="fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse
sse2 syscall nx mmxext pdpe1gb rdtscp lm pni pclmulqdq ssse3 fma cx16 sse4_1 sse4_2 popcnt aes
xsave avx f16c lahf_lm cr8_legacy abm sse4a 3dnowprefetch bmi1"
# What any guest of KVM has, and what follows from two processors.
FLAGS="$FLAGS hypervisor x2apic tsc_deadline_timer ht cmp_legacy"
# What Linux adds by itself: by vendor and family, and by what it does.
LINUX="rep_good nopl xtopology cpuid extd_apicid tsc_known_freq vmmcall arat"

# field NAME: what the kernel says of the first processor.
field() { sed -n "s/^$1[[:space:]]*: //p" /proc/cpuinfo | head -n 1; }

# words LIST: one a line, sorted.
words() { echo "$@" | tr ' ' '\n' | sort -u; }

# exactly FLAGS LINUX: all of FLAGS are there, and nothing but those and LINUX.
exactly() {
	words $(field flags) >/tmp/have
	words $1 >/tmp/want
	words $1 $2 >/tmp/known
	same "$(grep -vxFf /tmp/have /tmp/want | xargs)" "" || return 1
	same "$(grep -vxFf /tmp/known /tmp/have | xargs)" ""
}

check "vendor" same "$(field vendor_id)" AuthenticAMD
check "family" same "$(field 'cpu family')" 21
check "model" same "$(field model)" 2
check "name" same "$(field 'model name')" "AMD Opteron 63xx class processor"
check "exactly the model's features" exactly "$FLAGS" "$LINUX"
check "processors" same "$(nproc)" "$VCPUS"
