# SPDX-License-Identifier: GPL-2.0
#
# A guest sees the processor haswell, and no feature of the host's beside it.
# What is taken out is what emulated processors lack, so that the case is the
# same wherever it runs.
#
# machine: vmm=hospes kernel=lab
# hospes: --cpu-model haswell,-vme,-pcid,-hle,-erms,-invpcid,-rtm

. /tests/lib.sh

# What a Haswell has, less what is taken out.
FLAGS="fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr sse
sse2 syscall nx rdtscp lm pni pclmulqdq ssse3 fma cx16 sse4_1 sse4_2 movbe popcnt aes xsave avx
f16c rdrand lahf_lm abm fsgsbase tsc_adjust bmi1 avx2 smep bmi2 xsaveopt arat"
# What any guest of KVM has.
FLAGS="$FLAGS hypervisor x2apic tsc_deadline_timer"
# What Linux adds by itself: by vendor and family, and by what it does.
LINUX="constant_tsc rep_good nopl xtopology cpuid pti tsc_known_freq nonstop_tsc"

check "vendor" same "$(cpu_field vendor_id)" GenuineIntel
check "family" same "$(cpu_field 'cpu family')" 6
check "model" same "$(cpu_field model)" 60
check "name" same "$(cpu_field 'model name')" "Intel Core processor (Haswell)"
check "last cache" same "$(cpu_field 'cache size')" "8192 KB"
check "exactly the model's features" cpu_flags_are "$FLAGS" "$LINUX"
check "no complaint of the kernel" sh -c '! grep -i -e "firmware bug" -e "xsave.*inconsist" /tmp/boot'
