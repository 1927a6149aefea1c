// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a vCPU says about itself.
//!
//! The base is what KVM supports on this host. What differs between vCPUs or
//! describes the host's topology is replaced: the machine is one package with
//! one thread a core, and the APIC id is the vCPU's number.

use kvm_bindings::{
    kvm_cpuid_entry2, CpuId, KVM_CPUID_FLAG_SIGNIFCANT_INDEX, KVM_MAX_CPUID_ENTRIES,
};
use kvm_ioctls::{Cap, Kvm};

use crate::kvm::vm::{refused, VmError};

/// Leaf 1, ECX: the LAPIC timer can be given a TSC value.
const TSC_DEADLINE: u32 = 1 << 24;
/// Leaf 1, ECX: there is a hypervisor.
const HYPERVISOR: u32 = 1 << 31;
/// Leaf 1, EDX: the package has several logical processors.
const HTT: u32 = 1 << 28;
/// Leaf 0x8000_0001, ECX: those are cores, not threads (AMD).
const CMP_LEGACY: u32 = 1 << 1;
/// Leaf 0, EBX: how the names of AMD and of Hygon, which is alike, begin.
const AMD: [u32; 2] = [0x6874_7541, 0x6f67_7948];

/// The leaf with the levels of the topology.
const LEVELS: u32 = 0xb;
/// Its level types.
const LEVEL_THREAD: u32 = 1 << 8;
const LEVEL_CORE: u32 = 2 << 8;

/// The leaves that all vCPUs have in common, before topology.
///
/// # Errors
///
/// What KVM says.
pub fn supported(kvm: &Kvm) -> Result<CpuId, VmError> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(refused("list the supported CPUID leaves"))?;
    let deadline = kvm.check_extension(Cap::TscDeadlineTimer);
    for entry in cpuid.as_mut_slice() {
        if entry.function == 1 && deadline {
            entry.ecx |= TSC_DEADLINE;
        }
    }
    Ok(cpuid)
}

/// The leaves of vCPU `index` of `count`.
pub fn for_vcpu(base: &CpuId, index: u8, count: u8) -> CpuId {
    let mut cpuid = base.clone();
    let (id, count) = (u32::from(index), u32::from(count));
    // Without the newer leaves with the host's topology a guest falls back to
    // the ones that are filled in here.
    cpuid.retain(|entry| !matches!(entry.function, LEVELS | 0x1f | 0x8000_0026));
    let is_amds_name = |entry: &kvm_cpuid_entry2| entry.function == 0 && AMD.contains(&entry.ebx);
    let is_amd = base.as_slice().iter().any(is_amds_name);
    for entry in cpuid.as_mut_slice() {
        set_topology(entry, id, count, is_amd);
    }
    let has_levels = |entry: &kvm_cpuid_entry2| entry.function == 0 && entry.eax >= LEVELS;
    if cpuid.as_slice().iter().any(has_levels) {
        for entry in levels(id, count) {
            // Two leaves went before these two came, so there is room.
            if cpuid.push(entry).is_err() {
                tracing::warn!("no room for the topology in CPUID");
            }
        }
    }
    cpuid
}

fn set_topology(entry: &mut kvm_cpuid_entry2, id: u32, count: u32, is_amd: bool) {
    let several = count > 1;
    match entry.function {
        1 => {
            entry.ebx = (entry.ebx & 0xffff) | (count << 16) | (id << 24);
            set_bit(&mut entry.edx, HTT, several);
            // Whatever the model.
            entry.ecx |= HYPERVISOR;
        }
        // Caches: bits 25:14 say how many logical processors share one, bits
        // 31:26 how many cores the package has, each less one.
        4 if entry.eax & 0x1f != 0 => {
            let cores = count.saturating_sub(1);
            let shared = if (entry.eax >> 5) & 7 >= 3 { cores } else { 0 };
            entry.eax = (entry.eax & 0x3fff) | (shared << 14) | (cores.min(63) << 26);
        }
        0x8000_0001 => set_bit(&mut entry.ecx, CMP_LEGACY, several && is_amd),
        0x8000_0008 => {
            entry.ecx = (entry.ecx & !0xf0ff) | count.saturating_sub(1) | (id_bits(count) << 12);
        }
        0x8000_001d if entry.eax & 0x1f != 0 => {
            let shared = if (entry.eax >> 5) & 7 >= 3 {
                count.saturating_sub(1)
            } else {
                0
            };
            entry.eax = (entry.eax & !(0xfff << 14)) | (shared << 14);
        }
        0x8000_001e => {
            entry.eax = id;
            entry.ebx = id & 0xff;
            entry.ecx = 0;
        }
        _ => {}
    }
}

/// The topology by levels: the threads of a core, then the cores.
fn levels(id: u32, count: u32) -> [kvm_cpuid_entry2; 2] {
    let level = |index, shift, processors, kind| kvm_cpuid_entry2 {
        function: LEVELS,
        index,
        flags: KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
        eax: shift,
        ebx: processors,
        ecx: index | kind,
        edx: id,
        ..Default::default()
    };
    [
        level(0, 0, 1, LEVEL_THREAD),
        level(1, id_bits(count), count, LEVEL_CORE),
    ]
}

/// Bits of an APIC id that tell `count` cores apart.
fn id_bits(count: u32) -> u32 {
    count
        .checked_next_power_of_two()
        .unwrap_or(count)
        .trailing_zeros()
}

fn set_bit(register: &mut u32, bit: u32, on: bool) {
    if on {
        *register |= bit;
    } else {
        *register &= !bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32, index: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            index,
            ..Default::default()
        }
    }

    #[test]
    fn each_vcpu_has_its_own_apic_id() {
        let first = kvm_cpuid_entry2 {
            eax: 0x1f,
            ..leaf(0, 0)
        };
        let base = CpuId::from_entries(&[first, leaf(1, 0), leaf(0xb, 0), leaf(0x1f, 0)]).unwrap();
        let cpuid = for_vcpu(&base, 5, 6);
        let [_, first, threads, cores] = cpuid.as_slice() else {
            panic!("leaf 0x1f is left out, and leaf 0xb has two levels");
        };
        assert_eq!(first.ebx, (5 << 24) | (6 << 16));
        assert_eq!(first.edx, HTT);
        assert_eq!((threads.eax, threads.ebx, threads.edx), (0, 1, 5));
        assert_eq!((cores.eax, cores.ebx, cores.ecx), (3, 6, 1 | LEVEL_CORE));
    }

    #[test]
    fn cores_of_amd_are_cores_and_every_guest_has_a_hypervisor() {
        let extended = leaf(0x8000_0001, 0);
        for (ebx, expected) in [(AMD[0], CMP_LEGACY), (0x756e_6547, 0)] {
            let name = kvm_cpuid_entry2 { ebx, ..leaf(0, 0) };
            let base = CpuId::from_entries(&[name, leaf(1, 0), extended]).unwrap();
            let cpuid = for_vcpu(&base, 0, 2);
            assert_eq!(cpuid.as_slice()[1].ecx, HYPERVISOR);
            assert_eq!(cpuid.as_slice()[2].ecx, expected);
        }
    }

    #[test]
    fn one_vcpu_is_no_multiprocessor() {
        let base = CpuId::from_entries(&[leaf(1, 0), leaf(0x8000_0008, 0)]).unwrap();
        let cpuid = for_vcpu(&base, 0, 1);
        assert_eq!(cpuid.as_slice()[0].edx, 0);
        assert_eq!(cpuid.as_slice()[1].ecx, 0);
    }
}
