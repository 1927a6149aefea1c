// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The state in which the first vCPU starts.
//!
//! The others wait for INIT and SIPI in KVM's LAPIC and need none. Two entries
//! exist: 32-bit protected mode without paging, as PVH asks for, and long mode
//! with an identity map, as the 64-bit Linux boot protocol asks for.

use kvm_bindings::{kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs, Msrs};
use kvm_ioctls::VcpuFd;
use vm_memory::{Address, Bytes, GuestAddress, GuestMemoryMmap};

use crate::kvm::vm::{refused, VmError};
use crate::layout;

/// Control register bits.
const CR0_PE: u64 = 1 << 0;
const CR0_ET: u64 = 1 << 4;
const CR0_PG: u64 = 1 << 31;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME: u64 = 1 << 8;
const EFER_LMA: u64 = 1 << 10;

/// The bit of EFLAGS that is always set.
const EFLAGS_RESERVED: u64 = 1 << 1;

/// Page table entry bits: present, writable, large page.
const PTE_TABLE: u64 = 0x3;
const PTE_LARGE: u64 = 0x83;

/// `IA32_MISC_ENABLE`, of which only "fast strings" is set.
const MSR_MISC_ENABLE: u32 = 0x1a0;
const MISC_ENABLE_FAST_STRING: u64 = 1;
/// `IA32_MTRR_DEF_TYPE`: MTRRs are on, and what they don't name is write-back.
const MSR_MTRR_DEF_TYPE: u32 = 0x2ff;
const MTRR_ENABLED_WRITE_BACK: u64 = (1 << 11) | 6;

/// `IA32_BIOS_SIGN_ID`: the revision of the microcode.
const MSR_BIOS_SIGN_ID: u32 = 0x8b;
/// `MSR_PLATFORM_INFO`: KVM offers in it to have CPUID fault.
const MSR_PLATFORM_INFO: u32 = 0xce;

/// Where and how the first vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// PVH: `ebx` points to the start info.
    Pvh {
        /// Entry point from the kernel's note.
        address: u64,
    },
    /// 64-bit Linux: `rsi` points to the boot parameters.
    Linux64 {
        /// Entry point.
        address: u64,
    },
}

/// Sets the model-specific registers that firmware would, and, if the microcode's
/// revision is given, those that belong to a processor's model: a model has no
/// feature of KVM's beside its own.
///
/// # Errors
///
/// What KVM says.
pub fn set_msrs(vcpu: &VcpuFd, microcode: Option<u64>) -> Result<(), VmError> {
    let entry = |index, data| kvm_msr_entry {
        index,
        data,
        ..Default::default()
    };
    let entries = [
        entry(MSR_MISC_ENABLE, MISC_ENABLE_FAST_STRING),
        entry(MSR_MTRR_DEF_TYPE, MTRR_ENABLED_WRITE_BACK),
    ];
    let of_model = microcode
        .map(|value| [entry(MSR_BIOS_SIGN_ID, value), entry(MSR_PLATFORM_INFO, 0)])
        .into_iter()
        .flatten();
    for entry in entries.into_iter().chain(of_model) {
        let Ok(msrs) = Msrs::from_entries(&[entry]) else {
            continue;
        };
        // KVM answers with how many it set; a processor without one of these
        // registers boots as well.
        let count = vcpu
            .set_msrs(&msrs)
            .map_err(refused("set model-specific registers"))?;
        if count == 0 {
            tracing::debug!(index = entry.index, "MSR not set");
        }
    }
    Ok(())
}

/// Puts the first vCPU at the kernel's entry.
///
/// # Errors
///
/// What KVM says.
pub fn enter(vcpu: &VcpuFd, memory: &GuestMemoryMmap<()>, entry: Entry) -> Result<(), VmError> {
    let mut sregs = vcpu
        .get_sregs()
        .map_err(refused("read segment registers"))?;
    let regs = match entry {
        Entry::Pvh { address } => {
            enter_protected_mode(&mut sregs);
            kvm_regs {
                rip: address,
                rbx: layout::PVH_START_INFO,
                rflags: EFLAGS_RESERVED,
                ..Default::default()
            }
        }
        Entry::Linux64 { address } => {
            write_page_tables(memory)?;
            enter_long_mode(&mut sregs);
            kvm_regs {
                rip: address,
                rsi: layout::BOOT_PARAMS,
                rsp: layout::BOOT_PARAMS,
                rflags: EFLAGS_RESERVED,
                ..Default::default()
            }
        }
    };
    write_gdt(memory, &sregs)?;
    vcpu.set_sregs(&sregs)
        .map_err(refused("set segment registers"))?;
    vcpu.set_regs(&regs).map_err(refused("set registers"))
}

fn enter_protected_mode(sregs: &mut kvm_sregs) {
    set_segments(sregs, Width::Bits32);
    sregs.cr0 = CR0_PE | CR0_ET;
    sregs.cr4 = 0;
    sregs.efer = 0;
}

fn enter_long_mode(sregs: &mut kvm_sregs) {
    set_segments(sregs, Width::Bits64);
    sregs.cr3 = layout::PAGE_TABLES;
    sregs.cr4 |= CR4_PAE;
    sregs.cr0 |= CR0_PE | CR0_ET | CR0_PG;
    sregs.efer |= EFER_LME | EFER_LMA;
}

/// Width of the code segment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Width {
    Bits32,
    Bits64,
}

/// Selectors as the boot protocol wants them: code 0x10, data 0x18.
fn set_segments(sregs: &mut kvm_sregs, width: Width) {
    let flat = kvm_segment {
        limit: 0xffff_ffff,
        present: 1,
        s: 1,
        g: 1,
        ..Default::default()
    };
    let long = width == Width::Bits64;
    let code = kvm_segment {
        selector: 0x10,
        type_: 0xb,
        l: u8::from(long),
        db: u8::from(!long),
        ..flat
    };
    let data = kvm_segment {
        selector: 0x18,
        type_: 0x3,
        db: 1,
        ..flat
    };
    let task = kvm_segment {
        selector: 0x20,
        type_: 0xb,
        limit: 0x67,
        present: 1,
        ..Default::default()
    };
    sregs.cs = code;
    (sregs.ds, sregs.es, sregs.fs, sregs.gs, sregs.ss) = (data, data, data, data, data);
    sregs.tr = task;
}

/// A descriptor as it is in memory.
fn descriptor(segment: &kvm_segment) -> u64 {
    let attributes = u64::from(segment.type_)
        | (u64::from(segment.s) << 4)
        | (u64::from(segment.dpl) << 5)
        | (u64::from(segment.present) << 7)
        | (u64::from(segment.l) << 13)
        | (u64::from(segment.db) << 14)
        | (u64::from(segment.g) << 15);
    let limit = u64::from(if segment.g == 1 {
        segment.limit >> 12
    } else {
        segment.limit
    });
    (limit & 0xffff)
        | ((segment.base & 0xff_ffff) << 16)
        | (attributes << 40)
        | (((limit >> 16) & 0xf) << 48)
        | (((segment.base >> 24) & 0xff) << 56)
}

fn write_gdt(memory: &GuestMemoryMmap<()>, sregs: &kvm_sregs) -> Result<(), VmError> {
    let table = [
        0,
        0,
        descriptor(&sregs.cs),
        descriptor(&sregs.ds),
        descriptor(&sregs.tr),
    ];
    for (index, entry) in (0u64..).zip(table) {
        write(
            memory,
            layout::GDT.saturating_add(index.saturating_mul(8)),
            entry,
        )?;
    }
    Ok(())
}

/// Maps the first 4 GiB one to one, with 2 MiB pages: one page of the first
/// level, one of the second, four of the third.
fn write_page_tables(memory: &GuestMemoryMmap<()>) -> Result<(), VmError> {
    let page = |number: u64| layout::PAGE_TABLES.saturating_add(number.saturating_mul(0x1000));
    write(memory, page(0), page(1) | PTE_TABLE)?;
    for gib in 0..4u64 {
        let directory = page(gib.saturating_add(2));
        write(
            memory,
            page(1).saturating_add(gib.saturating_mul(8)),
            directory | PTE_TABLE,
        )?;
        for entry in 0..512u64 {
            let target = (gib << 30) | (entry << 21);
            write(
                memory,
                directory.saturating_add(entry.saturating_mul(8)),
                target | PTE_LARGE,
            )?;
        }
    }
    Ok(())
}

fn write(memory: &GuestMemoryMmap<()>, address: u64, value: u64) -> Result<(), VmError> {
    let address = GuestAddress::new(address);
    memory
        .write_obj(value, address)
        .map_err(|_| VmError::Missing("room for boot tables: the guest has too little memory"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_the_processors_format() {
        let mut sregs = kvm_sregs::default();
        set_segments(&mut sregs, Width::Bits64);
        assert_eq!(descriptor(&sregs.cs), 0x00af_9b00_0000_ffff);
        assert_eq!(descriptor(&sregs.ds), 0x00cf_9300_0000_ffff);
        set_segments(&mut sregs, Width::Bits32);
        assert_eq!(descriptor(&sregs.cs), 0x00cf_9b00_0000_ffff);
        assert_eq!(descriptor(&sregs.tr), 0x0000_8b00_0000_0067);
    }

    #[test]
    fn the_identity_map_is_one() {
        let memory = crate::memory::create(16 << 20).unwrap();
        write_page_tables(&memory).unwrap();
        for address in [0u64, 0x20_0000, 0xffe0_0000] {
            let read = |at| memory.read_obj::<u64>(GuestAddress(at)).unwrap() & !0xfff;
            let pointers = read(layout::PAGE_TABLES);
            let directory = read(pointers + (address >> 30) * 8);
            assert_eq!(read(directory + ((address >> 21) & 511) * 8), address);
        }
    }
}
