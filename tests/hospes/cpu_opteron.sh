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

check "vendor" same "$(cpu_field vendor_id)" AuthenticAMD
check "family" same "$(cpu_field 'cpu family')" 21
check "model" same "$(cpu_field model)" 2
check "name" same "$(cpu_field 'model name')" "AMD Opteron 63xx class processor"
check "exactly the model's features" cpu_flags_are "$FLAGS" "$LINUX"
check "processors" same "$(nproc)" "$VCPUS"
