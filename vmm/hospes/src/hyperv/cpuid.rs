// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The leaves by which a guest knows that it is on Hyper-V (TLFS, section 2.4).
//!
//! What a guest gets is what is in the tables here and KVM supports. KVM's own
//! leaves are left out: Linux takes the hypervisor whose leaves are the highest.
//!
//! Not obvious: Linux reads leaf 0x4000_0082 without a look at the highest leaf,
//! and Intel processors answer for a leaf that is not there with another's data.
//! So that leaf and its neighbours are there, and empty.

use std::ops::RangeInclusive;

use kvm_bindings::{kvm_cpuid_entry2, CpuId};

/// All leaves of hypervisors.
const HYPERVISORS: RangeInclusive<u32> = 0x4000_0000..=0x4fff_ffff;

const VENDOR: u32 = 0x4000_0000;
const INTERFACE: u32 = 0x4000_0001;
const VERSION: u32 = 0x4000_0002;
const FEATURES: u32 = 0x4000_0003;
const HINTS: u32 = 0x4000_0004;
const LIMITS: u32 = 0x4000_0005;
const HARDWARE: u32 = 0x4000_0006;
/// The leaves that are empty on purpose.
const EMPTY: RangeInclusive<u32> = 0x4000_0080..=0x4000_0082;

/// `Microsoft Hv`, as in EBX, ECX and EDX.
const SIGNATURE: [u32; 3] = [0x7263_694d, 0x666f_736f, 0x7648_2074];
/// `Hv#1`: the interface is that of the TLFS.
const INTERFACE_ID: u32 = 0x3123_7648;
/// What guests print: 10.0, build 20348, which is Windows Server 2022.
const BUILD: u32 = 20348;
const RELEASE: u32 = 10 << 16;
/// EBX of the hints: never tell the hypervisor that a lock is taken for long.
const NEVER_NOTIFY: u32 = u32::MAX;

/// The leaf of power management, and its bit for a counter that never stops.
const POWER: u32 = 0x8000_0007;
const INVARIANT_TSC: u32 = 1 << 8;

/// Registers of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Register {
    Eax,
    Ebx,
    Edx,
}
use Register::{Eax, Ebx, Edx};

/// One bit of features or hints.
struct Bit {
    leaf: u32,
    register: Register,
    bit: u32,
    name: &'static str,
    /// Whether there is no machine without it.
    is_needed: bool,
}

const fn needed(leaf: u32, register: Register, bit: u32, name: &'static str) -> Bit {
    Bit {
        leaf,
        register,
        bit,
        name,
        is_needed: true,
    }
}

const fn wanted(leaf: u32, register: Register, bit: u32, name: &'static str) -> Bit {
    Bit {
        leaf,
        register,
        bit,
        name,
        is_needed: false,
    }
}

/// Bit of the features, EAX: a counter that never stops can be switched on.
const ACCESS_TSC_INVARIANT: u32 = 15;

/// All bits that a guest gets.
const BITS: [Bit; 24] = [
    wanted(FEATURES, Eax, 0, "the run time register"),
    needed(FEATURES, Eax, 1, "the reference counter"),
    needed(FEATURES, Eax, 2, "the SynIC"),
    needed(FEATURES, Eax, 3, "synthetic timers"),
    wanted(FEATURES, Eax, 4, "registers of the APIC"),
    needed(FEATURES, Eax, 5, "hypercalls"),
    needed(FEATURES, Eax, 6, "the VP index"),
    wanted(FEATURES, Eax, 7, "the reset register"),
    needed(FEATURES, Eax, 9, "the reference TSC page"),
    needed(FEATURES, Eax, 11, "frequency registers"),
    wanted(
        FEATURES,
        Eax,
        ACCESS_TSC_INVARIANT,
        "control of the invariant TSC",
    ),
    needed(FEATURES, Ebx, 4, "posting of messages"),
    needed(FEATURES, Ebx, 5, "signalling of events"),
    wanted(FEATURES, Edx, 4, "hypercall input in XMM registers"),
    needed(FEATURES, Edx, 8, "reading of frequency registers"),
    needed(FEATURES, Edx, 10, "crash registers"),
    wanted(FEATURES, Edx, 14, "flushes of address ranges"),
    needed(FEATURES, Edx, 19, "synthetic timers in direct mode"),
    needed(HINTS, Eax, 2, "remote TLB flushes"),
    wanted(HINTS, Eax, 3, "use of the APIC's registers"),
    wanted(HINTS, Eax, 5, "relaxed timing"),
    wanted(HINTS, Eax, 9, "interrupts without automatic EOI"),
    needed(HINTS, Eax, 10, "interrupts between processors"),
    needed(HINTS, Eax, 11, "more than 64 processors in a set"),
];

/// Replaces whatever leaves of hypervisors are in `base` by Hyper-V's, as far as
/// they are in `supported`.
///
/// # Errors
///
/// The name of what KVM lacks.
pub fn replace(
    base: &CpuId,
    supported: &[kvm_cpuid_entry2],
    max_vcpus: u32,
) -> Result<CpuId, String> {
    let is_plain = |entry: &&kvm_cpuid_entry2| !HYPERVISORS.contains(&entry.function);
    let mut entries: Vec<_> = base.as_slice().iter().filter(is_plain).copied().collect();
    let has_invariant_tsc =
        (entries.iter()).any(|entry| entry.function == POWER && entry.edx & INVARIANT_TSC != 0);
    let [features, mut hints] = select(supported, has_invariant_tsc)?;
    hints.ebx = NEVER_NOTIFY;
    let [ebx, ecx, edx] = SIGNATURE;
    entries.extend([
        kvm_cpuid_entry2 {
            eax: HARDWARE,
            ebx,
            ecx,
            edx,
            ..leaf(VENDOR)
        },
        kvm_cpuid_entry2 {
            eax: INTERFACE_ID,
            ..leaf(INTERFACE)
        },
        kvm_cpuid_entry2 {
            eax: BUILD,
            ebx: RELEASE,
            ..leaf(VERSION)
        },
        features,
        hints,
        kvm_cpuid_entry2 {
            eax: max_vcpus,
            ebx: max_vcpus,
            ..leaf(LIMITS)
        },
        leaf(HARDWARE),
    ]);
    entries.extend(EMPTY.map(leaf));
    CpuId::from_entries(&entries).map_err(|_| "room for all CPUID leaves".to_owned())
}

/// Features and hints: the bits of the table that are supported.
fn select(
    supported: &[kvm_cpuid_entry2],
    has_invariant_tsc: bool,
) -> Result<[kvm_cpuid_entry2; 2], String> {
    let mut selected = [leaf(FEATURES), leaf(HINTS)];
    for bit in &BITS {
        let mask = 1 << bit.bit;
        let is_supported = (supported.iter())
            .any(|entry| entry.function == bit.leaf && of(entry, bit.register) & mask != 0);
        if !is_supported && bit.is_needed {
            return Err(format!(
                "{} of Hyper-V (CPUID leaf {:#x}, {:?}, bit {})",
                bit.name, bit.leaf, bit.register, bit.bit
            ));
        }
        // Guests trust a counter that they are given this control of.
        let is_moot = bit.leaf == FEATURES
            && (bit.register, bit.bit) == (Eax, ACCESS_TSC_INVARIANT)
            && !has_invariant_tsc;
        if !is_supported || is_moot {
            continue;
        }
        for entry in &mut selected {
            if entry.function == bit.leaf {
                *of_mut(entry, bit.register) |= mask;
            }
        }
    }
    Ok(selected)
}

fn of(entry: &kvm_cpuid_entry2, register: Register) -> u32 {
    match register {
        Eax => entry.eax,
        Ebx => entry.ebx,
        Edx => entry.edx,
    }
}

fn of_mut(entry: &mut kvm_cpuid_entry2, register: Register) -> &mut u32 {
    match register {
        Eax => &mut entry.eax,
        Ebx => &mut entry.ebx,
        Edx => &mut entry.edx,
    }
}

fn leaf(function: u32) -> kvm_cpuid_entry2 {
    kvm_cpuid_entry2 {
        function,
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<kvm_cpuid_entry2> {
        [FEATURES, HINTS]
            .map(|function| kvm_cpuid_entry2 {
                eax: u32::MAX,
                ebx: u32::MAX,
                ecx: u32::MAX,
                edx: u32::MAX,
                ..leaf(function)
            })
            .to_vec()
    }

    fn find(cpuid: &CpuId, function: u32) -> Option<kvm_cpuid_entry2> {
        let mut entries = cpuid.as_slice().iter();
        entries.find(|entry| entry.function == function).copied()
    }

    fn base(power: u32) -> CpuId {
        let power = kvm_cpuid_entry2 {
            edx: power,
            ..leaf(POWER)
        };
        CpuId::from_entries(&[leaf(1), leaf(VENDOR), leaf(0x4000_0100), power]).unwrap()
    }

    #[test]
    fn a_guest_sees_hyper_v_and_no_other_hypervisor() {
        let cpuid = replace(&base(0), &all(), 8).unwrap();
        let vendor = find(&cpuid, VENDOR).unwrap();
        let name: Vec<u8> = [vendor.ebx, vendor.ecx, vendor.edx]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        assert_eq!(name, b"Microsoft Hv");
        assert_eq!(vendor.eax, HARDWARE);
        assert_eq!(find(&cpuid, INTERFACE).unwrap().eax.to_le_bytes(), *b"Hv#1");
        assert_eq!(find(&cpuid, 0x4000_0100), None);
        assert_eq!(find(&cpuid, 0x4000_0082), Some(leaf(0x4000_0082)));
        assert!(find(&cpuid, 1).is_some());
        let count = (cpuid.as_slice().iter())
            .filter(|entry| entry.function == VENDOR)
            .count();
        assert_eq!(count, 1);
    }

    #[test]
    fn nothing_is_offered_that_would_make_a_guest_a_root_or_isolated() {
        let cpuid = replace(&base(INVARIANT_TSC), &all(), 8).unwrap();
        let features = find(&cpuid, FEATURES).unwrap();
        assert_eq!(features.ebx, (1 << 4) | (1 << 5));
        assert_eq!(features.eax & (1 << 13), 0, "re-enlightenment");
        assert_ne!(features.eax & (1 << ACCESS_TSC_INVARIANT), 0);
        assert_eq!(
            find(&cpuid, HINTS).unwrap().eax & ((1 << 12) | (1 << 14)),
            0
        );
        let cpuid = replace(&base(0), &all(), 8).unwrap();
        let features = find(&cpuid, FEATURES).unwrap();
        assert_eq!(features.eax & (1 << ACCESS_TSC_INVARIANT), 0);
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut supported = all();
        supported[0].edx &= !(1 << 19);
        supported[0].eax &= !1;
        let error = replace(&base(0), &supported, 8).unwrap_err();
        assert!(error.contains("synthetic timers in direct mode"), "{error}");
    }
}
