// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SMBIOS tables (DSP0134 3.0), by which a guest knows whose machine it has: the kernel's
//! alias of `vmw_balloon`, and what user space asks for, go by the vendor's name.
//!
//! A guest that was not booted by EFI looks for the 64-bit entry point in the last 64 KiB below
//! 1 MiB. There are only the structures that name somebody, and the one that ends the table.

use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::layout;

/// Bytes of an entry point.
const ENTRY_LEN: u8 = 24;
/// Where its checksum is.
const ENTRY_CHECKSUM: usize = 5;
/// Where the structures are behind it.
const TABLE: u64 = 32;

/// Types of structures.
const FIRMWARE: u8 = 0;
const SYSTEM: u8 = 1;
const BOARD: u8 = 2;
const END: u8 = 127;

/// What guests look for.
const VENDOR: &str = "VMware, Inc.";
const PRODUCT: &str = "VMware Virtual Platform";
/// Linux takes machines without a date, or with one before 2008, for old ones.
const DATE: &str = "01/01/2026";

/// Firmware: nothing is said of what it can do.
const NO_CHARACTERISTICS: u64 = 1 << 3;
/// Firmware: the machine is a virtual one.
const IS_VIRTUAL: u8 = 1 << 4;
/// What has no version.
const NO_VERSION: u8 = 0xff;
/// System: it was switched on.
const POWER_SWITCH: u8 = 6;

/// Guest memory has no place for the tables.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the SMBIOS tables do not fit into guest memory")]
pub struct SmbiosError;

/// Writes the tables of a machine of VMware.
///
/// # Errors
///
/// [`SmbiosError`] if there is no such memory.
pub fn write(memory: &GuestMemoryMmap<()>) -> Result<(), SmbiosError> {
    let table = table();
    let address = layout::SMBIOS.start.saturating_add(TABLE);
    let len = u32::try_from(table.len()).map_err(|_| SmbiosError)?;
    if address.saturating_add(len.into()) > layout::SMBIOS.end {
        return Err(SmbiosError);
    }
    let put = |bytes: &[u8], address| {
        let written = memory.write_slice(bytes, GuestAddress(address));
        written.map_err(|_| SmbiosError)
    };
    put(&table, address)?;
    put(&entry_point(address, len), layout::SMBIOS.start)
}

/// The entry point of a table.
fn entry_point(address: u64, len: u32) -> Vec<u8> {
    let mut entry = b"_SM3_\0".to_vec();
    // SMBIOS 3.0.0; revision 1 of the entry point.
    entry.extend_from_slice(&[ENTRY_LEN, 3, 0, 0, 1, 0]);
    entry.extend_from_slice(&len.to_le_bytes());
    entry.extend_from_slice(&address.to_le_bytes());
    let sum = entry.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    if let Some(checksum) = entry.get_mut(ENTRY_CHECKSUM) {
        *checksum = sum.wrapping_neg();
    }
    entry
}

/// The structures. Strings are named by their number, from 1.
fn table() -> Vec<u8> {
    // Vendor and version, segment, date, size of the ROM.
    let mut firmware = vec![1, 2, 0, 0, 3, 0];
    firmware.extend_from_slice(&NO_CHARACTERISTICS.to_le_bytes());
    firmware.extend_from_slice(&[0, IS_VIRTUAL]);
    firmware.extend_from_slice(&[NO_VERSION; 4]);
    // Vendor, product, version, serial number; no UUID; no number of a model and no family.
    let mut system = vec![1, 2, 3, 4];
    system.extend_from_slice(&[0; 16]);
    system.extend_from_slice(&[POWER_SWITCH, 0, 0]);
    let version = env!("CARGO_PKG_VERSION");
    let parts: [(u8, &[u8], &[&str]); 4] = [
        (FIRMWARE, &firmware, &["Hospes", version, DATE]),
        (SYSTEM, &system, &[VENDOR, PRODUCT, "None", "VMware-0"]),
        (BOARD, &[1, 2, 0, 0], &[VENDOR, PRODUCT]),
        (END, &[], &[]),
    ];
    let structures = (0u16..).zip(parts);
    structures
        .flat_map(|(handle, (kind, body, strings))| structure(kind, handle, body, strings))
        .collect()
}

/// A structure with its strings, of which an empty one is the end.
fn structure(kind: u8, handle: u16, body: &[u8], strings: &[&str]) -> Vec<u8> {
    let len = u8::try_from(body.len()).unwrap_or(u8::MAX);
    let mut bytes = vec![kind, len.saturating_add(4)];
    bytes.extend_from_slice(&handle.to_le_bytes());
    bytes.extend_from_slice(body);
    for string in strings {
        bytes.extend_from_slice(string.as_bytes());
        bytes.push(0);
    }
    if strings.is_empty() {
        bytes.push(0);
    }
    bytes.push(0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The structures as a guest reads them: type, body, strings.
    fn parse(mut table: &[u8]) -> Vec<(u8, Vec<u8>, Vec<String>)> {
        let mut found = Vec::new();
        while let [kind, len, ..] = *table {
            let (formatted, rest) = table.split_at(len.into());
            let end = rest.windows(2).position(|pair| pair == [0, 0]).unwrap();
            let strings = rest[..end].split(|byte| *byte == 0);
            let strings = strings.map(|text| String::from_utf8(text.to_vec()).unwrap());
            found.push((kind, formatted[4..].to_vec(), strings.collect()));
            table = &rest[end + 2..];
        }
        found
    }

    #[test]
    fn a_guest_finds_the_vendor() {
        let memory = crate::memory::create(16 << 20).unwrap();
        write(&memory).unwrap();
        let mut entry = [0; ENTRY_LEN as usize];
        let start = GuestAddress(layout::SMBIOS.start);
        memory.read_slice(&mut entry, start).unwrap();
        assert_eq!((&entry[..5], entry[6]), (&b"_SM3_"[..], 24));
        let sum = entry.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
        assert_eq!(sum, 0);
        let len = u32::from_le_bytes(entry[12..16].try_into().unwrap());
        let address = u64::from_le_bytes(entry[16..].try_into().unwrap());
        let mut table = vec![0; len as usize];
        memory
            .read_slice(&mut table, GuestAddress(address))
            .unwrap();
        let parts = parse(&table);
        let kinds: Vec<_> = parts.iter().map(|part| part.0).collect();
        assert_eq!(kinds, [FIRMWARE, SYSTEM, BOARD, END]);
        let lens: Vec<_> = parts.iter().map(|part| part.1.len() + 4).collect();
        assert_eq!(lens, [0x18, 0x1b, 8, 4]);
        assert_eq!(parts[SYSTEM as usize].2[0], VENDOR);
        assert_eq!(parts[FIRMWARE as usize].2[2], DATE);
    }
}
