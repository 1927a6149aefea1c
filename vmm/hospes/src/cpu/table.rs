// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Where CPUID says which feature, and what Linux calls it.
//!
//! Names are those of `/proc/cpuinfo`, and of Linux's constants where a feature
//! is not shown there. Bits are those of Intel's SDM (volume 2A, CPUID) and AMD's
//! APM (volume 3, appendix E). Left out are bits that are no feature of a model:
//! what follows from the topology (`ht`, `cmp_legacy`), what mirrors a control
//! register (`osxsave`, `ospke`), and `hypervisor`, which is always there.

/// One of the registers that CPUID fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// EAX.
    Eax,
    /// EBX.
    Ebx,
    /// ECX.
    Ecx,
    /// EDX.
    Edx,
}

/// A register of feature bits.
#[derive(Clone, Copy, Debug)]
pub struct Register {
    /// EAX before CPUID.
    pub leaf: u32,
    /// ECX before CPUID.
    pub subleaf: u32,
    /// Which register CPUID leaves the bits in.
    pub output: Output,
    /// Bits that have names.
    pub names: &'static [(u8, &'static str)],
}

/// All registers of feature bits. A leaf with one subleaf only has it at 0.
#[rustfmt::skip]
pub static REGISTERS: [Register; REGISTER_COUNT] = [
    Register {
        leaf: 0x1, subleaf: 0, output: Output::Edx,
        names: &[
            (0, "fpu"), (1, "vme"), (2, "de"), (3, "pse"), (4, "tsc"), (5, "msr"), (6, "pae"),
            (7, "mce"), (8, "cx8"), (9, "apic"), (11, "sep"), (12, "mtrr"), (13, "pge"),
            (14, "mca"), (15, "cmov"), (16, "pat"), (17, "pse36"), (19, "clflush"), (21, "dts"),
            (22, "acpi"), (23, "mmx"), (24, "fxsr"), (25, "sse"), (26, "sse2"), (27, "ss"),
            (29, "tm"), (31, "pbe"),
        ],
    },
    Register {
        leaf: 0x1, subleaf: 0, output: Output::Ecx,
        names: &[
            (0, "pni"), (1, "pclmulqdq"), (2, "dtes64"), (3, "monitor"), (4, "ds_cpl"),
            (5, "vmx"), (6, "smx"), (7, "est"), (8, "tm2"), (9, "ssse3"), (10, "cid"),
            (11, "sdbg"), (12, "fma"), (13, "cx16"), (14, "xtpr"), (15, "pdcm"), (17, "pcid"),
            (18, "dca"), (19, "sse4_1"), (20, "sse4_2"), (21, "x2apic"), (22, "movbe"),
            (23, "popcnt"), (24, "tsc_deadline_timer"), (25, "aes"), (26, "xsave"), (28, "avx"),
            (29, "f16c"), (30, "rdrand"),
        ],
    },
    Register {
        leaf: 0x6, subleaf: 0, output: Output::Eax,
        names: &[
            (0, "dtherm"), (1, "ida"), (2, "arat"), (4, "pln"), (6, "pts"), (7, "hwp"),
            (8, "hwp_notify"), (9, "hwp_act_window"), (10, "hwp_epp"), (11, "hwp_pkg_req"),
            (15, "hwp_highest_perf_change"), (19, "hfi"), (24, "dpti"),
        ],
    },
    Register {
        leaf: 0x7, subleaf: 0, output: Output::Ebx,
        names: &[
            (0, "fsgsbase"), (1, "tsc_adjust"), (2, "sgx"), (3, "bmi1"), (4, "hle"), (5, "avx2"),
            (6, "fdp_excptn_only"), (7, "smep"), (8, "bmi2"), (9, "erms"), (10, "invpcid"),
            (11, "rtm"), (12, "cqm"), (13, "zero_fcs_fds"), (14, "mpx"), (15, "rdt_a"),
            (16, "avx512f"), (17, "avx512dq"), (18, "rdseed"), (19, "adx"), (20, "smap"),
            (21, "avx512ifma"), (23, "clflushopt"), (24, "clwb"), (25, "intel_pt"),
            (26, "avx512pf"), (27, "avx512er"), (28, "avx512cd"), (29, "sha_ni"),
            (30, "avx512bw"), (31, "avx512vl"),
        ],
    },
    Register {
        leaf: 0x7, subleaf: 0, output: Output::Ecx,
        names: &[
            (1, "avx512vbmi"), (2, "umip"), (3, "pku"), (5, "waitpkg"), (6, "avx512_vbmi2"),
            (7, "shstk"), (8, "gfni"), (9, "vaes"), (10, "vpclmulqdq"), (11, "avx512_vnni"),
            (12, "avx512_bitalg"), (13, "tme"), (14, "avx512_vpopcntdq"), (16, "la57"),
            (22, "rdpid"), (24, "bus_lock_detect"), (25, "cldemote"), (27, "movdiri"),
            (28, "movdir64b"), (29, "enqcmd"), (30, "sgx_lc"),
        ],
    },
    Register {
        leaf: 0x7, subleaf: 0, output: Output::Edx,
        names: &[
            (2, "avx512_4vnniw"), (3, "avx512_4fmaps"), (4, "fsrm"), (8, "avx512_vp2intersect"),
            (9, "srbds_ctrl"), (10, "md_clear"), (11, "rtm_always_abort"),
            (13, "tsx_force_abort"), (14, "serialize"), (15, "hybrid_cpu"), (16, "tsxldtrk"),
            (18, "pconfig"), (19, "arch_lbr"), (20, "ibt"), (22, "amx_bf16"), (23, "avx512_fp16"),
            (24, "amx_tile"), (25, "amx_int8"), (26, "spec_ctrl"), (27, "intel_stibp"),
            (28, "flush_l1d"), (29, "arch_capabilities"), (30, "core_capabilities"),
            (31, "spec_ctrl_ssbd"),
        ],
    },
    Register {
        leaf: 0x7, subleaf: 1, output: Output::Eax,
        names: &[
            (0, "sha512"), (1, "sm3"), (2, "sm4"), (4, "avx_vnni"), (5, "avx512_bf16"),
            (6, "lass"), (7, "cmpccxadd"), (8, "arch_perfmon_ext"), (10, "fzrm"), (11, "fsrs"),
            (12, "fsrc"), (17, "fred"), (18, "lkgs"), (19, "wrmsrns"), (21, "amx_fp16"),
            (23, "avx_ifma"), (26, "lam"), (31, "movrs"),
        ],
    },
    Register {
        leaf: 0xd, subleaf: 1, output: Output::Eax,
        names: &[
            (0, "xsaveopt"), (1, "xsavec"), (2, "xgetbv1"), (3, "xsaves"), (4, "xfd"),
        ],
    },
    Register {
        leaf: 0x8000_0001, subleaf: 0, output: Output::Edx,
        names: &[
            (11, "syscall"), (20, "nx"), (22, "mmxext"), (25, "fxsr_opt"), (26, "pdpe1gb"),
            (27, "rdtscp"), (29, "lm"), (30, "3dnowext"), (31, "3dnow"),
        ],
    },
    Register {
        leaf: 0x8000_0001, subleaf: 0, output: Output::Ecx,
        names: &[
            (0, "lahf_lm"), (2, "svm"), (3, "extapic"), (4, "cr8_legacy"), (5, "abm"),
            (6, "sse4a"), (7, "misalignsse"), (8, "3dnowprefetch"), (9, "osvw"), (10, "ibs"),
            (11, "xop"), (12, "skinit"), (13, "wdt"), (15, "lwp"), (16, "fma4"), (17, "tce"),
            (19, "nodeid_msr"), (21, "tbm"), (22, "topoext"), (23, "perfctr_core"),
            (24, "perfctr_nb"), (26, "bpext"), (27, "ptsc"), (28, "perfctr_llc"), (29, "mwaitx"),
        ],
    },
    Register {
        leaf: 0x8000_0007, subleaf: 0, output: Output::Edx,
        names: &[
            (8, "nonstop_tsc"),
        ],
    },
    Register {
        leaf: 0x8000_0008, subleaf: 0, output: Output::Ebx,
        names: &[
            (0, "clzero"), (1, "irperf"), (2, "xsaveerptr"), (3, "invlpgb"), (4, "rdpru"),
            (9, "wbnoinvd"), (12, "amd_ibpb"), (14, "amd_ibrs"), (15, "amd_stibp"),
            (17, "amd_stibp_always_on"), (19, "amd_ibrs_same_mode"), (20, "efer_lmsle_mbz"),
            (23, "amd_ppin"), (24, "amd_ssbd"), (25, "virt_ssbd"), (26, "amd_ssb_no"),
            (27, "cppc"), (28, "amd_psfd"), (29, "btc_no"), (30, "amd_ibpb_ret"), (31, "brs"),
        ],
    },
    Register {
        leaf: 0x8000_0021, subleaf: 0, output: Output::Eax,
        names: &[
            (0, "no_nested_data_bp"), (1, "wrmsr_xx_base_ns"), (2, "lfence_rdtsc"),
            (4, "tlbsync_sfw_no"), (5, "verw_clear"), (6, "null_sel_clr_base"), (8, "autoibrs"),
            (9, "no_smm_ctl_msr"), (17, "gp_on_user_cpuid"), (20, "prefetchi"),
            (23, "avx512_bmm"), (24, "eraps"), (27, "sbpb"), (28, "ibpb_brtype"), (29, "srso_no"),
            (30, "srso_user_kernel_no"), (31, "srso_bp_spec_reduce"),
        ],
    },
];

/// Length of [`REGISTERS`].
pub const REGISTER_COUNT: usize = 13;
