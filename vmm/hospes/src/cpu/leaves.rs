// SPDX-License-Identifier: GPL-2.0 OR MIT

//! CPUID leaves apart from feature bits: identity, caches, levels.

use kvm_bindings::{kvm_cpuid_entry2, KVM_CPUID_FLAG_SIGNIFCANT_INDEX};

use crate::cpu::features::FeatureSet;
use crate::cpu::models::{Cache, Content, Model, Vendor, BASIC_LEVEL, EXTENDED_LEVEL};

/// First leaves of the three ranges.
const BASIC: u32 = 0;
const HYPERVISOR: u32 = 0x4000_0000;
const EXTENDED: u32 = 0x8000_0000;

/// Leaf with the address sizes.
const ADDRESS_SIZES: u32 = 0x8000_0008;

/// Line length of all caches, and of CLFLUSH.
const LINE: u32 = 64;

/// What AMD's cache registers say: there is one line a tag.
const ONE_LINE_A_TAG: u32 = 1 << 8;

/// Bits of leaf 1, EDX, that AMD processors repeat in leaf 0x8000_0001.
const MIRROR: u32 = 0x0183_f3ff;

/// Leaves that describe one feature, so that they come and go with it.
const DETAILS: [(u32, &str); 7] = [
    (0x12, "sgx"),
    (0x14, "intel_pt"),
    (0x1d, "amx_tile"),
    (0x1e, "amx_tile"),
    (5, "monitor"),
    (0x8000_000a, "svm"),
    (0x8000_001b, "ibs"),
];

/// What a leaf says about a feature that is not there is left out.
pub fn is_described(entry: &kvm_cpuid_entry2, features: &FeatureSet) -> bool {
    DETAILS
        .iter()
        .filter(|(leaf, _)| *leaf == entry.function)
        .all(|(_, feature)| features.has(feature))
}

/// The leaves of the host as they are.
pub fn of_host(host: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    host.to_vec()
}

/// The leaves of a named model, with empty feature registers.
pub fn of_model(model: &Model, host: &[kvm_cpuid_entry2]) -> Vec<kvm_cpuid_entry2> {
    let mut entries = vec![
        vendor(BASIC, BASIC_LEVEL, model),
        kvm_cpuid_entry2 {
            eax: model.signature.eax(),
            ebx: (LINE / 8) << 8,
            ..leaf(1)
        },
        leaf(6),
        leaf(7),
        indexed(7, 1),
        vendor(EXTENDED, EXTENDED_LEVEL, model),
        leaf(0x8000_0001),
        leaf(0x8000_0007),
        address_sizes(host),
        leaf(0x8000_0021),
    ];
    entries.extend(brand(model));
    entries.extend(caches(model));
    entries.extend(host.iter().filter(|entry| is_facts(entry)));
    entries
}

fn leaf(function: u32) -> kvm_cpuid_entry2 {
    let flags = if function == 7 {
        KVM_CPUID_FLAG_SIGNIFCANT_INDEX
    } else {
        0
    };
    kvm_cpuid_entry2 {
        function,
        flags,
        ..Default::default()
    }
}

fn indexed(function: u32, index: u32) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 {
        function,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        ..Default::default()
    }
}

/// What is the host's in any model: the hypervisor's own leaves, and those that
/// describe a feature.
fn is_facts(entry: &kvm_cpuid_entry2) -> bool {
    let is_hypervisors = (HYPERVISOR..HYPERVISOR.saturating_add(0x100)).contains(&entry.function);
    is_hypervisors || DETAILS.iter().any(|(leaf, _)| *leaf == entry.function)
}

fn vendor(function: u32, level: u32, model: &Model) -> kvm_cpuid_entry2 {
    let mut entry = kvm_cpuid_entry2 {
        eax: level,
        ..leaf(function)
    };
    // Intel's extended range does not repeat the vendor.
    if function == BASIC || model.vendor == Vendor::Amd {
        let [ebx, edx, ecx] = words(model.vendor.name());
        (entry.ebx, entry.edx, entry.ecx) = (ebx, edx, ecx);
    }
    entry
}

/// Text as registers hold it, with zeros behind its end.
fn words<const N: usize>(text: &[u8]) -> [u32; N] {
    let mut words = [0; N];
    for (word, bytes) in words.iter_mut().zip(text.chunks(4)) {
        *word = bytes
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u32::from(*byte));
    }
    words
}

fn brand(model: &Model) -> Vec<kvm_cpuid_entry2> {
    let words: [u32; 12] = words(model.brand.as_bytes());
    let leaves = (0x8000_0002..).zip(words.chunks(4));
    leaves
        .filter_map(|(function, words)| {
            let &[eax, ebx, ecx, edx] = words else {
                return None;
            };
            Some(kvm_cpuid_entry2 {
                eax,
                ebx,
                ecx,
                edx,
                ..leaf(function)
            })
        })
        .collect()
}

/// The physical address size is the host's: a smaller one may leave RAM or the
/// PCI window out of reach, a larger one does not work. Virtual addresses have
/// 48 bits, as no model has LA57.
fn address_sizes(host: &[kvm_cpuid_entry2]) -> kvm_cpuid_entry2 {
    let sizes = host.iter().find(|entry| entry.function == ADDRESS_SIZES);
    let physical = sizes.map_or(36, |entry| entry.eax & 0xff);
    kvm_cpuid_entry2 {
        eax: physical | (48 << 8),
        ..leaf(ADDRESS_SIZES)
    }
}

/// The leaves about caches, in the vendor's ways.
fn caches(model: &Model) -> Vec<kvm_cpuid_entry2> {
    match model.vendor {
        Vendor::Intel => {
            let mut entries = vec![
                // One descriptor: look at leaf 4. The first byte is a count.
                kvm_cpuid_entry2 {
                    eax: 0x00fe_ff01,
                    ..leaf(2)
                },
                second_level(model),
            ];
            let last = indexed(4, u32::try_from(model.caches.len()).unwrap_or(u32::MAX));
            let leaves = (0..).zip(model.caches);
            entries.extend(leaves.map(|(index, cache)| deterministic(index, cache)));
            entries.push(last);
            entries
        }
        Vendor::Amd => vec![first_level(model), second_level(model)],
    }
}

/// Leaf 4 for one cache. Who shares it follows from the topology.
fn deterministic(index: u32, cache: &Cache) -> kvm_cpuid_entry2 {
    /// EAX: the cache needs no initialisation.
    const SELF_INITIALIZING: u32 = 1 << 8;
    let sets = (cache.kib << 10).checked_div(cache.ways.saturating_mul(LINE));
    kvm_cpuid_entry2 {
        eax: cache.content as u32 | (u32::from(cache.level) << 5) | SELF_INITIALIZING,
        ebx: (cache.ways.saturating_sub(1) << 22) | (LINE.saturating_sub(1)),
        ecx: sets.unwrap_or(1).saturating_sub(1),
        ..indexed(4, index)
    }
}

/// Leaf 0x8000_0005, registers of the L1 caches.
fn first_level(model: &Model) -> kvm_cpuid_entry2 {
    let register = |content| {
        find(model, 1, content).map_or(0, |cache| {
            (cache.kib << 24) | (cache.ways << 16) | ONE_LINE_A_TAG | LINE
        })
    };
    kvm_cpuid_entry2 {
        ecx: register(Content::Data),
        edx: register(Content::Instructions),
        ..leaf(0x8000_0005)
    }
}

/// Leaf 0x8000_0006: the L2 cache, and AMD's L3 cache in units of 512 KiB.
fn second_level(model: &Model) -> kvm_cpuid_entry2 {
    let register = |level, size: fn(u32) -> u32| {
        find(model, level, Content::Unified).map_or(0, |cache| {
            size(cache.kib) | (associativity(cache.ways) << 12) | LINE
        })
    };
    let l2 = register(2, |kib| kib << 16);
    let l3 = register(3, |kib| (kib >> 9) << 18);
    let (ecx, edx) = match model.vendor {
        Vendor::Intel => (l2, 0),
        Vendor::Amd => (l2 | ONE_LINE_A_TAG, l3 | ONE_LINE_A_TAG),
    };
    kvm_cpuid_entry2 {
        ecx,
        edx,
        ..leaf(0x8000_0006)
    }
}

fn find(model: &Model, level: u8, content: Content) -> Option<&Cache> {
    let mut caches = model.caches.iter();
    caches.find(|cache| (cache.level, cache.content) == (level, content))
}

/// The code for an associativity in leaf 0x8000_0006.
fn associativity(ways: u32) -> u32 {
    match ways {
        1 => 1,
        2 => 2,
        4 => 4,
        8 => 6,
        16 => 8,
        32 => 10,
        48 => 11,
        64 => 12,
        96 => 13,
        128 => 14,
        _ => 15,
    }
}

/// Whether leaf 0x8000_0001 repeats bits of leaf 1.
pub fn is_mirrored(entries: &[kvm_cpuid_entry2]) -> bool {
    let mut extended = entries.iter();
    extended.any(|entry| entry.function == 0x8000_0001 && entry.edx & MIRROR != 0)
}

/// Makes leaf 0x8000_0001 repeat bits of leaf 1.
pub fn mirror(entries: &mut [kvm_cpuid_entry2]) {
    let bits = entries.iter().find(|entry| entry.function == 1);
    let bits = bits.map_or(0, |entry| entry.edx & MIRROR);
    for entry in entries
        .iter_mut()
        .filter(|entry| entry.function == 0x8000_0001)
    {
        entry.edx = (entry.edx & !MIRROR) | bits;
    }
}

/// Sets the highest leaf of each range to at least those that are there and say
/// something, and leaf 7's highest subleaf likewise.
pub fn raise_levels(entries: &mut Vec<kvm_cpuid_entry2>) {
    entries.retain(|entry| entry.function < EXTENDED_LEVEL || !is_empty(entry));
    entries.retain(|entry| entry.function != 7 || entry.index == 0 || !is_empty(entry));
    for first in [BASIC, EXTENDED] {
        let last = first | 0x0fff_ffff;
        let leaves = entries.iter().map(|entry| entry.function);
        let highest = leaves.filter(|leaf| (first..=last).contains(leaf)).max();
        raise(entries, first, highest.unwrap_or(first));
    }
    let subleaves = entries.iter().filter(|entry| entry.function == 7);
    let highest = subleaves.map(|entry| entry.index).max();
    raise(entries, 7, highest.unwrap_or(0));
}

fn is_empty(entry: &kvm_cpuid_entry2) -> bool {
    (entry.eax, entry.ebx, entry.ecx, entry.edx) == (0, 0, 0, 0)
}

fn raise(entries: &mut [kvm_cpuid_entry2], leaf: u32, to: u32) {
    for entry in entries.iter_mut() {
        if (entry.function, entry.index) == (leaf, 0) {
            entry.eax = entry.eax.max(to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::models::MODELS;

    #[test]
    fn brands_are_text_of_48_bytes() {
        for model in &MODELS {
            let bytes: Vec<u8> = brand(model)
                .iter()
                .flat_map(|entry| [entry.eax, entry.ebx, entry.ecx, entry.edx])
                .flat_map(u32::to_le_bytes)
                .collect();
            assert_eq!(bytes.len(), 48);
            let text = String::from_utf8(bytes).unwrap();
            assert_eq!(text.trim_end_matches('\0'), model.brand);
        }
    }

    #[test]
    fn caches_are_described_in_the_vendors_way() {
        let [haswell, opteron] = &MODELS;
        let l3 = &haswell.caches[3];
        let entry = deterministic(3, l3);
        assert_eq!(entry.eax, 0x163);
        let (ways, sets) = ((entry.ebx >> 22) + 1, entry.ecx + 1);
        assert_eq!(ways * sets * LINE, l3.kib << 10);
        assert_eq!(second_level(haswell).ecx, 0x0100_6040);
        // 8 MiB in units of 512 KiB, from bit 18 on.
        assert_eq!(second_level(opteron).edx, (16 << 18) | 0xc140);
        assert_eq!(first_level(opteron).edx, 0x4002_0140);
    }
}
