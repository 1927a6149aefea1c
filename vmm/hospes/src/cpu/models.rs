// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The named models, as data.
//!
//! A model has what every processor of its generation has for programs and
//! kernels. It does not have what describes a platform that the machine is not:
//! power management and sensors, `monitor`, debug store, performance counters,
//! the invariant counter, nor virtualization (`vmx`, `svm`). Such features can
//! be added where KVM has them.

use std::fmt;

/// A processor vendor, as CPUID names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vendor {
    /// Intel.
    Intel,
    /// AMD.
    Amd,
}

impl Vendor {
    /// The twelve characters of leaf 0.
    pub fn name(self) -> &'static [u8; 12] {
        match self {
            Self::Intel => b"GenuineIntel",
            Self::Amd => b"AuthenticAMD",
        }
    }
}

/// Family, model and stepping, as software combines them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Family with the extended family added.
    pub family: u8,
    /// Model with the extended model in its upper half.
    pub model: u8,
    /// Stepping.
    pub stepping: u8,
}

impl Signature {
    /// EAX of leaf 1.
    pub fn eax(self) -> u32 {
        let extended = u32::from(self.family.saturating_sub(15));
        let family = u32::from(self.family.min(15));
        let (high, low) = (u32::from(self.model >> 4), u32::from(self.model & 15));
        let stepping = u32::from(self.stepping & 15);
        (extended << 20) | (high << 16) | (family << 8) | (low << 4) | stepping
    }
}

/// What a cache holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// Data only.
    Data = 1,
    /// Instructions only.
    Instructions = 2,
    /// Both.
    Unified = 3,
}

/// A cache with lines of 64 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Cache {
    /// 1 is the closest to the processor.
    pub level: u8,
    /// What it holds.
    pub content: Content,
    /// Its size.
    pub kib: u32,
    /// Its associativity.
    pub ways: u32,
}

const fn cache(level: u8, content: Content, kib: u32, ways: u32) -> Cache {
    Cache {
        level,
        content,
        kib,
        ways,
    }
}

/// A processor model.
#[derive(Debug)]
pub struct Model {
    /// Its name.
    pub name: &'static str,
    /// Who makes it.
    pub vendor: Vendor,
    /// Which one it is.
    pub signature: Signature,
    /// Revision of its microcode. Linux takes an old one for a processor with
    /// defects, and does without what they concern.
    pub microcode: u32,
    /// What it calls itself, at most 47 bytes.
    pub brand: &'static str,
    /// Its caches.
    pub caches: &'static [Cache],
    /// Its features.
    pub features: &'static [&'static str],
}

/// Highest basic leaf of the models: the extended state.
pub const BASIC_LEVEL: u32 = 0xd;
/// Highest extended leaf: address sizes.
pub const EXTENDED_LEVEL: u32 = 0x8000_0008;

/// What KVM does for any guest, so that all models have it: the APIC that is
/// reached by MSRs, and its timer that takes a counter value.
pub const OF_KVM: [&str; 2] = ["x2apic", "tsc_deadline_timer"];

/// All named models.
pub static MODELS: [Model; 2] = [
    Model {
        name: "haswell",
        vendor: Vendor::Intel,
        signature: Signature {
            family: 6,
            model: 60,
            stepping: 4,
        },
        microcode: 0x28,
        brand: "Intel Core processor (Haswell)",
        caches: &[
            cache(1, Content::Data, 32, 8),
            cache(1, Content::Instructions, 32, 8),
            cache(2, Content::Unified, 256, 8),
            cache(3, Content::Unified, 8192, 16),
        ],
        features: HASWELL,
    },
    Model {
        name: "opteron-g5",
        vendor: Vendor::Amd,
        signature: Signature {
            family: 21,
            model: 2,
            stepping: 0,
        },
        microcode: 0x0600_0852,
        brand: "AMD Opteron 63xx class processor",
        caches: &[
            cache(1, Content::Data, 16, 4),
            cache(1, Content::Instructions, 64, 2),
            cache(2, Content::Unified, 2048, 16),
            cache(3, Content::Unified, 8192, 64),
        ],
        features: OPTERON_G5,
    },
];

/// Fourth generation Core, with the transactional memory that later microcode
/// takes away.
#[rustfmt::skip]
const HASWELL: &[&str] = &[
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge",
    "mca", "cmov", "pat", "pse36", "clflush", "mmx", "fxsr", "sse", "sse2",
    "pni", "pclmulqdq", "ssse3", "fma", "cx16", "pcid", "sse4_1", "sse4_2", "movbe", "popcnt",
    "aes", "xsave", "avx", "f16c", "rdrand",
    "arat",
    "fsgsbase", "tsc_adjust", "bmi1", "hle", "avx2", "smep", "bmi2", "erms", "invpcid", "rtm",
    "xsaveopt",
    "syscall", "nx", "rdtscp", "lm",
    "lahf_lm", "abm",
];

/// Opteron 6300 ("Abu Dhabi"), of the Piledriver generation.
#[rustfmt::skip]
const OPTERON_G5: &[&str] = &[
    "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", "sep", "mtrr", "pge",
    "mca", "cmov", "pat", "pse36", "clflush", "mmx", "fxsr", "sse", "sse2",
    "pni", "pclmulqdq", "ssse3", "fma", "cx16", "sse4_1", "sse4_2", "popcnt", "aes", "xsave",
    "avx", "f16c",
    "bmi1",
    "syscall", "nx", "mmxext", "fxsr_opt", "pdpe1gb", "rdtscp", "lm",
    "lahf_lm", "cr8_legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch", "xop", "fma4", "tbm",
];

impl Model {
    /// `IA32_BIOS_SIGN_ID`: where the vendor has the revision of the microcode.
    pub fn microcode_msr(&self) -> u64 {
        match self.vendor {
            Vendor::Intel => u64::from(self.microcode) << 32,
            Vendor::Amd => u64::from(self.microcode),
        }
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::features::Feature;

    #[test]
    fn every_feature_of_a_model_exists() {
        for model in &MODELS {
            for name in model.features.iter().chain(&OF_KVM) {
                let feature: Result<Feature, ()> = name.parse();
                assert!(feature.is_ok(), "{model}: {name}");
            }
            assert!(model.brand.len() < 48);
        }
    }

    #[test]
    fn signatures_are_encoded_as_cpuid_does() {
        assert_eq!(MODELS[0].signature.eax(), 0x306c4);
        assert_eq!(MODELS[1].signature.eax(), 0x0060_0f20);
    }
}
