// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Standard INQUIRY data (SPC-5, section 6.6.2).

use core::mem::size_of;

use zerocopy::big_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// PERIPHERAL QUALIFIER: whether there is a unit (SPC-5, table 150).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Qualifier {
    /// There is.
    Connected = 0b000,
    /// There could be, and is none now.
    Disconnected = 0b001,
    /// There can be none at this number.
    Absent = 0b011,
}

/// PERIPHERAL DEVICE TYPE: what kind of unit (SPC-5, table 151).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DeviceType {
    /// A direct-access block device (SBC-4).
    Block = 0x00,
    /// A CD or DVD device (MMC-6).
    Multimedia = 0x05,
    /// A well-known logical unit.
    WellKnown = 0x1e,
    /// Unknown, or no device.
    Unknown = 0x1f,
}

/// The first byte of standard data and of each vital product data page.
pub const fn peripheral(qualifier: Qualifier, device_type: DeviceType) -> u8 {
    ((qualifier as u8) << 5) | device_type as u8
}

/// How a unit calls itself: ASCII, padded with spaces on the right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names {
    /// T10 VENDOR IDENTIFICATION.
    pub vendor: [u8; 8],
    /// PRODUCT IDENTIFICATION.
    pub product: [u8; 16],
    /// PRODUCT REVISION LEVEL.
    pub revision: [u8; 4],
}

/// VERSION: SPC-5.
const VERSION_SPC_5: u8 = 0x07;
/// HISUP and RESPONSE DATA FORMAT 2: the formats since SPC.
const RESPONSE_DATA_FORMAT: u8 = 0x12;
/// CMDQUE: commands are queued.
const CMDQUE: u8 = 0x02;
/// Version descriptors (SPC-5, table 153), with no version claimed.
const SAM_5: u16 = 0x00a0;
const SPC_5: u16 = 0x05c0;
const SBC_4: u16 = 0x0600;

/// Standard INQUIRY data, up to the version descriptors.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct StandardInquiry {
    /// PERIPHERAL QUALIFIER (7:5) and PERIPHERAL DEVICE TYPE (4:0).
    pub peripheral: u8,
    /// RMB (7): the medium can be removed.
    pub removable: u8,
    /// VERSION of the standard.
    pub version: u8,
    /// NORMACA (5), HISUP (4), RESPONSE DATA FORMAT (3:0).
    pub format: u8,
    /// ADDITIONAL LENGTH: what follows it.
    pub additional_len: u8,
    /// SCCS (7), TPGS (5:4), 3PC (3), PROTECT (0).
    pub flags5: u8,
    /// ENCSERV (6), MULTIP (4).
    pub flags6: u8,
    /// CMDQUE (1).
    pub flags7: u8,
    /// T10 VENDOR IDENTIFICATION.
    pub vendor: [u8; 8],
    /// PRODUCT IDENTIFICATION.
    pub product: [u8; 16],
    /// PRODUCT REVISION LEVEL.
    pub revision: [u8; 4],
    /// Vendor specific, and clocking of parallel SCSI: zero.
    pub unused: [u8; 22],
    /// The standards that the unit follows.
    pub versions: [U16; 8],
    /// Reserved.
    pub reserved: [u8; 22],
}

const _: () = assert!(size_of::<StandardInquiry>() == 96);

/// [`StandardInquiry::flags5`]: the unit has protection information.
pub const PROTECT: u8 = 0x01;

/// ADDITIONAL LENGTH: all but the first five bytes.
const ADDITIONAL_LEN: u8 = 96 - 5;

impl StandardInquiry {
    /// The data of a unit that queues commands and has no removable medium.
    pub fn new(qualifier: Qualifier, device_type: DeviceType, names: Names) -> Self {
        let mut versions = [U16::ZERO; 8];
        let standards = [SAM_5, SPC_5, SBC_4];
        let count = if matches!(device_type, DeviceType::Block) {
            3
        } else {
            2
        };
        for (version, standard) in versions.iter_mut().zip(standards).take(count) {
            *version = U16::new(standard);
        }
        Self {
            peripheral: peripheral(qualifier, device_type),
            removable: 0,
            version: VERSION_SPC_5,
            format: RESPONSE_DATA_FORMAT,
            additional_len: ADDITIONAL_LEN,
            flags5: 0,
            flags6: 0,
            flags7: CMDQUE,
            vendor: names.vendor,
            product: names.product,
            revision: names.revision,
            unused: [0; 22],
            versions,
            reserved: [0; 22],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::IntoBytes as _;

    #[test]
    fn a_disk() {
        let names = Names {
            vendor: *b"VENDOR  ",
            product: *b"PRODUCT         ",
            revision: *b"1   ",
        };
        let data = StandardInquiry::new(Qualifier::Connected, DeviceType::Block, names);
        let bytes = data.as_bytes();
        assert_eq!(bytes[..8], [0, 0, 7, 0x12, 91, 0, 0, 2]);
        assert_eq!(bytes[8..36], *b"VENDOR  PRODUCT         1   ");
        assert_eq!(bytes[58..66], [0x00, 0xa0, 0x05, 0xc0, 0x06, 0x00, 0, 0]);
    }

    #[test]
    fn an_absent_unit() {
        assert_eq!(peripheral(Qualifier::Absent, DeviceType::Unknown), 0x7f);
    }
}
