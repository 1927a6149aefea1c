// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Leaf 0xd: the parts of the extended state, for a set of features.
//!
//! Where a part lies and how long it is are facts of the processor, so they are
//! the host's. Which parts there are, and how long the whole is, follows from
//! the features. KVM itself keeps the sizes that depend on what the guest has
//! switched on.

use kvm_bindings::kvm_cpuid_entry2;

use crate::cpu::features::FeatureSet;

/// The leaf.
pub const LEAF: u32 = 0xd;

/// Length of the parts that always exist: x87 and SSE with the header.
const LEGACY_LEN: u32 = 576;
/// The bits of these parts.
const LEGACY: u64 = 3;

/// Which part comes with which feature.
const PARTS: [(u8, &str); 14] = [
    (2, "avx"),
    (3, "mpx"),
    (4, "mpx"),
    (5, "avx512f"),
    (6, "avx512f"),
    (7, "avx512f"),
    (8, "intel_pt"),
    (9, "pku"),
    (10, "enqcmd"),
    (11, "shstk"),
    (12, "shstk"),
    (15, "arch_lbr"),
    (17, "amx_tile"),
    (18, "amx_tile"),
];

/// The parts that `features` have.
fn parts(features: &FeatureSet) -> u64 {
    PARTS
        .iter()
        .filter(|(_, feature)| features.has(feature))
        .filter_map(|(part, _)| 1u64.checked_shl(u32::from(*part)))
        .fold(LEGACY, |mask, bit| mask | bit)
}

/// The entries of the leaf for `features`, given those of the host.
pub fn entries(host: &[kvm_cpuid_entry2], features: &FeatureSet) -> Vec<kvm_cpuid_entry2> {
    if !features.has("xsave") {
        return Vec::new();
    }
    let have = parts(features);
    let is_kept = |entry: &&kvm_cpuid_entry2| {
        let bit = 1u64.checked_shl(entry.index).unwrap_or(0);
        entry.function == LEAF && (entry.index < 2 || have & bit != 0)
    };
    let mut entries: Vec<_> = host.iter().filter(is_kept).copied().collect();
    let len = total_len(&entries);
    for entry in &mut entries {
        match entry.index {
            0 => {
                entry.eax &= have as u32;
                entry.edx &= (have >> 32) as u32;
                (entry.ebx, entry.ecx) = (len, len);
            }
            1 => {
                features.write(entry);
                let supervisor = if features.has("xsaves") { have } else { 0 };
                entry.ecx &= supervisor as u32;
                entry.edx &= (supervisor >> 32) as u32;
            }
            _ => {}
        }
    }
    entries
}

/// Length of the whole in its standard format. Supervisor parts, which have bit
/// 0 of ECX set, are not in it.
fn total_len(entries: &[kvm_cpuid_entry2]) -> u32 {
    entries
        .iter()
        .filter(|entry| entry.index >= 2 && entry.ecx & 1 == 0)
        .map(|entry| entry.ebx.saturating_add(entry.eax))
        .fold(LEGACY_LEN, u32::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(index: u32, offset: u32, len: u32, supervisor: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function: LEAF,
            index,
            eax: len,
            ebx: offset,
            ecx: supervisor,
            ..Default::default()
        }
    }

    fn host() -> Vec<kvm_cpuid_entry2> {
        vec![
            kvm_cpuid_entry2 {
                eax: 0x2e7,
                ecx: 2696,
                ..part(0, 0, 0, 0)
            },
            kvm_cpuid_entry2 {
                eax: 0xf,
                ecx: 0x1800,
                ..part(1, 0, 0, 0)
            },
            part(2, 576, 256, 0),
            part(5, 1088, 64, 0),
            part(6, 1152, 512, 0),
            part(7, 1664, 1024, 0),
            part(9, 2688, 8, 0),
            part(11, 0, 16, 1),
            part(12, 0, 24, 1),
        ]
    }

    fn summary(features: &[&str]) -> (u32, u32, u32, u32, usize) {
        let entries = entries(&host(), &FeatureSet::named(features));
        let (all, more) = (entries[0], entries[1]);
        (all.eax, all.ecx, more.eax, more.ecx, entries.len())
    }

    #[test]
    fn parts_follow_from_features() {
        assert_eq!(summary(&["xsave"]), (3, 576, 0, 0, 2));
        assert_eq!(summary(&["xsave", "xsaveopt", "avx"]), (7, 832, 1, 0, 3));
        assert_eq!(summary(&["xsave", "avx", "pku"]), (0x207, 2696, 0, 0, 4));
        assert_eq!(
            summary(&["xsave", "xsaves", "shstk"]),
            (3, 576, 8, 0x1800, 4)
        );
        assert_eq!(entries(&host(), &FeatureSet::named(&["avx"])).len(), 0);
    }
}
