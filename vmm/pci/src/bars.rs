// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Base address registers: their bits, where they point, and first addresses.
//!
//! The sizing protocol (write all ones, read back which bits stuck) needs no
//! code of its own: the write mask of a BAR register has exactly the bits above
//! its size.

use std::ops::Range;

use thiserror::Error;

use crate::config::{self, ConfigSpace};
use crate::device::{BarKind, BarSpec};

/// Registers in a type 0 header.
const BAR_COUNT: u8 = 6;

/// Register bits that say what kind of BAR it is.
const IO_FLAGS: u32 = 0x1;
const MEMORY64_FLAGS: u32 = 0x4;

/// A page: what KVM maps and what a guest's page tables can protect.
const PAGE: u64 = 0x1000;

/// What is wrong with a device's BARs.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum BarError {
    /// The register number is too large, or taken.
    #[error("BAR {0} does not exist or is used twice")]
    Index(u8),
    /// The size is no power of two, too small, or too large for its kind.
    #[error("BAR {index} cannot have {size:#x} bytes")]
    Size {
        /// Register number.
        index: u8,
        /// Bytes asked for.
        size: u64,
    },
    /// No room is left in the machine's window for this kind.
    #[error("no address space is left for BAR {index} with {size:#x} bytes")]
    Full {
        /// Register number.
        index: u8,
        /// Bytes asked for.
        size: u64,
    },
}

/// Checks what a device says about its BARs.
///
/// # Errors
///
/// [`BarError`] on a shape that hardware could not have.
pub fn check(specs: &[BarSpec]) -> Result<(), BarError> {
    let mut taken = 0u8;
    for spec in specs {
        let registers = if spec.kind == BarKind::Memory64 {
            0b11u8
        } else {
            0b1
        };
        let mask = registers.checked_shl(u32::from(spec.index)).unwrap_or(0);
        if spec.index >= BAR_COUNT || mask >> BAR_COUNT != 0 || mask & taken != 0 {
            return Err(BarError::Index(spec.index));
        }
        taken |= mask;
        let sizes = match spec.kind {
            BarKind::Io => 16..=0x100,
            BarKind::Memory32 => PAGE..=1 << 30,
            BarKind::Memory64 => PAGE..=1 << 40,
        };
        if !spec.size.is_power_of_two() || !sizes.contains(&spec.size) {
            return Err(BarError::Size {
                index: spec.index,
                size: spec.size,
            });
        }
    }
    Ok(())
}

/// Puts the register bits of `spec` into configuration space, pointing to
/// `address`.
pub fn install(config: &mut ConfigSpace, spec: &BarSpec, address: u64) {
    let register = register(spec);
    let mask = !spec.size.wrapping_sub(1);
    match spec.kind {
        BarKind::Memory32 | BarKind::Io => {
            let flags = if spec.kind == BarKind::Io {
                IO_FLAGS
            } else {
                0
            };
            config.set(register, &(address as u32 | flags).to_le_bytes());
            config.allow(register, &(mask as u32).to_le_bytes());
        }
        BarKind::Memory64 => {
            config.set(
                register,
                &(address | u64::from(MEMORY64_FLAGS)).to_le_bytes(),
            );
            config.allow(register, &mask.to_le_bytes());
        }
    }
}

/// Where the guest has a BAR decode now, if it does.
///
/// Address 0 and the all-ones pattern of the sizing protocol mean nowhere.
pub fn decoded(config: &ConfigSpace, spec: &BarSpec) -> Option<u64> {
    let command = config.read_u16(config::COMMAND);
    let (enable, limit) = match spec.kind {
        BarKind::Io => (config::COMMAND_IO, u64::from(u16::MAX)),
        BarKind::Memory32 => (config::COMMAND_MEMORY, u64::from(u32::MAX)),
        BarKind::Memory64 => (config::COMMAND_MEMORY, u64::MAX),
    };
    let register = register(spec);
    let low = u64::from(config.read_u32(register));
    let high = match spec.kind {
        BarKind::Memory64 => u64::from(config.read_u32(register.saturating_add(4))),
        _ => 0,
    };
    let address = ((high << 32) | low) & !spec.size.wrapping_sub(1);
    let last = address.checked_add(spec.size.wrapping_sub(1))?;
    // The last range of an address space is what sizing leaves behind.
    (command & enable != 0 && address != 0 && last < limit).then_some(address)
}

/// Offset of a BAR's first register.
fn register(spec: &BarSpec) -> usize {
    config::BAR0.saturating_add(usize::from(spec.index).saturating_mul(4))
}

/// The address ranges that the machine sets aside for BARs.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Memory below 4 GiB.
    pub memory32: Range<u64>,
    /// Memory above all RAM.
    pub memory64: Range<u64>,
    /// Ports.
    pub io: Range<u64>,
}

impl Windows {
    /// Takes a range for `spec`, aligned to its size, as firmware would.
    ///
    /// # Errors
    ///
    /// [`BarError::Full`] if none is left.
    pub fn take(&mut self, spec: &BarSpec) -> Result<u64, BarError> {
        let window = match spec.kind {
            BarKind::Memory32 => &mut self.memory32,
            BarKind::Memory64 => &mut self.memory64,
            BarKind::Io => &mut self.io,
        };
        let full = BarError::Full {
            index: spec.index,
            size: spec.size,
        };
        let start = window
            .start
            .checked_next_multiple_of(spec.size)
            .ok_or(full)?;
        let end = start.checked_add(spec.size).ok_or(full)?;
        if end > window.end {
            return Err(full);
        }
        window.start = end;
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::Identity;

    fn bar(index: u8, kind: BarKind, size: u64) -> BarSpec {
        BarSpec { index, kind, size }
    }

    fn config(spec: &BarSpec, address: u64) -> ConfigSpace {
        let mut config = ConfigSpace::new(&Identity {
            vendor: 1,
            device: 1,
            revision: 0,
            class: [0; 3],
            subsystem_vendor: 0,
            subsystem: 0,
        });
        install(&mut config, spec, address);
        config
    }

    #[test]
    fn sizing_shows_the_size() {
        for (spec, low, high) in [
            (bar(0, BarKind::Memory32, 0x2000), 0xffff_e000, 0),
            (bar(0, BarKind::Memory64, 0x4000), 0xffff_c004, u32::MAX),
            (bar(0, BarKind::Io, 0x20), 0xffff_ffe1, 0),
        ] {
            let mut config = config(&spec, 0x8000);
            config.write(0x10, &[0xff; 8]);
            assert_eq!(config.read_u32(0x10), low);
            assert_eq!(config.read_u32(0x14), high);
            config.write(config::COMMAND, &[7, 0]);
            assert_eq!(decoded(&config, &spec), None);
        }
    }

    #[test]
    fn decoding_follows_the_command_register() {
        let spec = bar(2, BarKind::Memory64, 0x4000);
        let mut config = config(&spec, 0x12_3456_8000);
        assert_eq!(decoded(&config, &spec), None);
        config.write(config::COMMAND, &[1, 0]);
        assert_eq!(decoded(&config, &spec), None);
        config.write(config::COMMAND, &[2, 0]);
        assert_eq!(decoded(&config, &spec), Some(0x12_3456_8000));
    }

    #[test]
    fn impossible_bars_are_rejected() {
        let page = |index, kind| bar(index, kind, 0x1000);
        for (specs, error) in [
            (vec![page(6, BarKind::Memory32)], BarError::Index(6)),
            (vec![page(5, BarKind::Memory64)], BarError::Index(5)),
            (
                vec![page(0, BarKind::Memory64), page(1, BarKind::Memory32)],
                BarError::Index(1),
            ),
            (
                vec![bar(0, BarKind::Io, 8)],
                BarError::Size { index: 0, size: 8 },
            ),
            (
                vec![bar(0, BarKind::Memory32, 0x3000)],
                BarError::Size {
                    index: 0,
                    size: 0x3000,
                },
            ),
        ] {
            assert_eq!(check(&specs), Err(error));
        }
    }

    #[test]
    fn windows_align_and_end() {
        let mut windows = Windows {
            memory32: 0x1000..0x9000,
            memory64: 0..0,
            io: 0..0,
        };
        let spec = bar(0, BarKind::Memory32, 0x4000);
        assert_eq!(windows.take(&spec), Ok(0x4000));
        assert_eq!(
            windows.take(&spec),
            Err(BarError::Full {
                index: 0,
                size: 0x4000
            })
        );
    }
}
