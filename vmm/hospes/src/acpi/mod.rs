// SPDX-License-Identifier: GPL-2.0 OR MIT

//! ACPI tables: what the guest is told about processors, interrupts, PCI and
//! power.
//!
//! The tables lie one after the other in the BIOS area, the RSDP first, so
//! that a guest finds it by its pointer (PVH, boot parameters) and by search.

mod dsdt;
mod fixed;
pub mod slots;

use acpi_tables::facs::FACS;
use acpi_tables::mcfg::MCFG;
use acpi_tables::rsdp::Rsdp;
use acpi_tables::xsdt::XSDT;
use acpi_tables::Aml;
use hospes_pci::bars::Windows;
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::layout;

/// Who made the tables.
const OEM_ID: [u8; 6] = *b"HOSPES";
/// Which machine they are for.
const OEM_TABLE: [u8; 8] = *b"HOSPESPC";
/// Their revision.
const OEM_REVISION: u32 = 1;

/// Alignment of every table; the FACS asks for it.
const ALIGNMENT: u64 = 64;

/// The tables do not fit into their place, or guest memory has no such place.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the ACPI tables do not fit into guest memory")]
pub struct AcpiError;

/// Whether functions on the PCI bus come and go while the guest runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HotPlug {
    /// They stay as they are, and the guest need not look for [`slots`].
    None,
    /// Every device number is a slot.
    Slots,
}

/// What differs between machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Board {
    /// How functions on the PCI bus come and go.
    pub hot_plug: HotPlug,
    /// Whether there is a VMBus.
    pub vmbus: bool,
}

/// Writes the tables of a machine with `cpus` vCPUs; returns the address of
/// the RSDP.
///
/// # Errors
///
/// [`AcpiError`] if they do not fit.
pub fn write(
    memory: &GuestMemoryMmap<()>,
    cpus: u8,
    windows: &Windows,
    board: &Board,
) -> Result<GuestAddress, AcpiError> {
    let rsdp = GuestAddress(layout::ACPI.start);
    let mut area = Area {
        memory,
        next: layout::ACPI.start.saturating_add(ALIGNMENT),
    };
    let dsdt = area.place(&dsdt::build(windows, board))?;
    let facs = area.place(&bytes(&FACS::new()))?;
    let mut xsdt = XSDT::new(OEM_ID, OEM_TABLE, OEM_REVISION);
    xsdt.add_entry(area.place(fixed::fadt(dsdt, facs).as_slice())?);
    xsdt.add_entry(area.place(fixed::madt(cpus).as_slice())?);
    let mut mcfg = MCFG::new(OEM_ID, OEM_TABLE, OEM_REVISION);
    mcfg.add_ecam(layout::ECAM, 0, 0, 0);
    xsdt.add_entry(area.place(&bytes(&mcfg))?);
    let xsdt = area.place(&bytes(&xsdt))?;
    let pointer = bytes(&Rsdp::new(OEM_ID, xsdt));
    memory.write_slice(&pointer, rsdp).map_err(|_| AcpiError)?;
    Ok(rsdp)
}

fn bytes(table: &dyn Aml) -> Vec<u8> {
    let mut bytes = Vec::new();
    table.to_aml_bytes(&mut bytes);
    bytes
}

/// Where the next table goes.
struct Area<'a> {
    memory: &'a GuestMemoryMmap<()>,
    next: u64,
}

impl Area<'_> {
    /// Writes a table and returns its address.
    fn place(&mut self, table: &[u8]) -> Result<u64, AcpiError> {
        let address = self.next;
        let len = u64::try_from(table.len()).map_err(|_| AcpiError)?;
        let end = address.checked_add(len).ok_or(AcpiError)?;
        if end > layout::ACPI.end {
            return Err(AcpiError);
        }
        self.memory
            .write_slice(table, GuestAddress(address))
            .map_err(|_| AcpiError)?;
        self.next = end.next_multiple_of(ALIGNMENT);
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(bytes: &[u8]) -> u8 {
        bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte))
    }

    fn read(memory: &GuestMemoryMmap<()>, address: u64) -> Vec<u8> {
        let len: u32 = memory.read_obj(GuestAddress(address + 4)).unwrap();
        let mut table = vec![0; len as usize];
        memory
            .read_slice(&mut table, GuestAddress(address))
            .unwrap();
        table
    }

    #[test]
    fn every_table_is_found_and_sums_to_zero() {
        let memory = crate::memory::create(16 << 20).unwrap();
        let board = Board {
            hot_plug: HotPlug::Slots,
            vmbus: true,
        };
        let rsdp = write(&memory, 64, &layout::windows(16 << 20), &board).unwrap();
        let mut pointer = [0; 36];
        memory.read_slice(&mut pointer, rsdp).unwrap();
        assert_eq!((sum(&pointer[..20]), sum(&pointer)), (0, 0));
        let xsdt = read(
            &memory,
            u64::from_le_bytes(pointer[24..32].try_into().unwrap()),
        );
        let mut names = Vec::new();
        for entry in xsdt[36..].chunks(8) {
            let table = read(&memory, u64::from_le_bytes(entry.try_into().unwrap()));
            assert_eq!(sum(&table), 0);
            names.push(String::from_utf8(table[..4].to_vec()).unwrap());
            if names.last().unwrap() == "FACP" {
                let dsdt = u64::from_le_bytes(table[140..148].try_into().unwrap());
                assert_eq!(sum(&read(&memory, dsdt)), 0);
            }
        }
        assert_eq!(sum(&xsdt), 0);
        assert_eq!(names, ["FACP", "APIC", "MCFG"]);
    }
}
