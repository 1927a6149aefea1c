// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The leaves by which a guest knows that it is on VMware.
//!
//! KVM's own leaves are left out: Linux takes the hypervisor whose leaves are the
//! highest. Not obvious: ECX of the frequencies' leaf would tell a guest to call
//! by VMCALL or VMMCALL, which KVM keeps to itself. Zero there leaves the port.

use std::ops::RangeInclusive;

use kvm_bindings::{kvm_cpuid_entry2, CpuId};

/// All leaves of hypervisors.
const HYPERVISORS: RangeInclusive<u32> = 0x4000_0000..=0x4fff_ffff;
const VENDOR: u32 = 0x4000_0000;
const FREQUENCIES: u32 = 0x4000_0010;
/// `VMwareVMware`, as in EBX, ECX and EDX.
const SIGNATURE: [u32; 3] = [0x6177_4d56, 0x4d56_6572, 0x6572_6177];

/// Replaces whatever leaves of hypervisors are in `base` by VMware's. `None` if there are
/// too many others.
pub fn replace(base: &CpuId, tsc_khz: u32, bus_khz: u32) -> Option<CpuId> {
    let is_plain = |entry: &&kvm_cpuid_entry2| !HYPERVISORS.contains(&entry.function);
    let mut entries: Vec<_> = base.as_slice().iter().filter(is_plain).copied().collect();
    let [ebx, ecx, edx] = SIGNATURE;
    entries.extend([
        kvm_cpuid_entry2 {
            function: VENDOR,
            eax: FREQUENCIES,
            ebx,
            ecx,
            edx,
            ..Default::default()
        },
        kvm_cpuid_entry2 {
            function: FREQUENCIES,
            eax: tsc_khz,
            ebx: bus_khz,
            ..Default::default()
        },
    ]);
    CpuId::from_entries(&entries).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(function: u32) -> kvm_cpuid_entry2 {
        kvm_cpuid_entry2 {
            function,
            ..Default::default()
        }
    }

    #[test]
    fn a_guest_sees_one_hypervisor() {
        let base = [
            leaf(1),
            leaf(0x4000_0000),
            leaf(0x4000_0001),
            leaf(0x8000_0000),
        ];
        let base = CpuId::from_entries(&base).unwrap();
        let cpuid = replace(&base, 2_000_000, 1_000_000).unwrap();
        let [first, extended, vendor, frequencies] = cpuid.as_slice() else {
            panic!("{:?}", cpuid.as_slice());
        };
        assert_eq!((first.function, extended.function), (1, 0x8000_0000));
        let text = [vendor.ebx, vendor.ecx, vendor.edx].map(u32::to_le_bytes);
        assert_eq!(text.as_flattened(), b"VMwareVMware");
        assert_eq!(vendor.eax, 0x4000_0010);
        let values = [frequencies.eax, frequencies.ebx, frequencies.ecx];
        assert_eq!(values, [2_000_000, 1_000_000, 0]);
    }
}
