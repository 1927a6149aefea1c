// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The page by which an adapter tells about itself.

use zerocopy::little_endian::{U16, U32, U64};

use super::command::Config;
use super::completion::HostStatus;
use super::MAX_TARGETS;
use crate::hyperv::wire::wire;
use crate::scsi::status;

wire! {
    /// What is at the beginning of each page.
    pub struct PageHeader: 16 {
        /// Number of the page.
        pub page: U32,
        /// Length of the page in words of four bytes.
        pub words: U16,
        /// A [`HostStatus`].
        pub host_status: U16,
        /// A SCSI status.
        pub scsi_status: U16,
        /// Zero.
        pub reserved: [U16; 3],
    }
}

impl PageHeader {
    /// Not a page: what a driver has there before it asks.
    pub const UNWRITTEN: Self = Self {
        page: U32::ZERO,
        words: U16::ZERO,
        host_status: U16::new(HostStatus::INVALID_PARAMETER.0),
        scsi_status: U16::new(status::CHECK_CONDITION as u16),
        reserved: [U16::ZERO; 3],
    };

    /// Whether the device has written a page.
    pub fn is_good(&self) -> bool {
        self.host_status.get() == HostStatus::SUCCESS.0
            && self.scsi_status.get() == u16::from(status::GOOD)
    }
}

wire! {
    /// The page about a controller. Texts are in UTF-16.
    pub struct ControllerPage: 480 {
        /// What is at the beginning of each page.
        pub header: PageHeader,
        /// Its name in the world of SAS.
        pub node_wwn: U64,
        /// Who has made it.
        pub manufacturer: [U16; 64],
        /// Its serial number.
        pub serial_number: [U16; 64],
        /// Version of its option ROM.
        pub oprom_version: [U16; 32],
        /// Version of its hardware.
        pub hardware_version: [U16; 32],
        /// Version of its firmware.
        pub firmware_version: [U16; 32],
        /// How many targets there are.
        pub phys: U32,
        /// Whether the names of the targets follow each other.
        pub consecutive_phy_wwns: u8,
        /// Zero.
        pub reserved: [u8; 3],
    }
}

/// The texts of a [`ControllerPage`]. What does not fit is cut off.
#[derive(Clone, Copy, Debug, Default)]
pub struct ControllerTexts<'a> {
    /// Who has made it.
    pub manufacturer: &'a str,
    /// Its serial number.
    pub serial_number: &'a str,
    /// Version of its hardware.
    pub hardware_version: &'a str,
    /// Version of its firmware.
    pub firmware_version: &'a str,
}

/// A text in UTF-16, then zeros.
fn text<const ROOM: usize>(text: &str) -> [U16; ROOM] {
    let mut units = [U16::ZERO; ROOM];
    for (unit, value) in units.iter_mut().zip(text.encode_utf16()) {
        unit.set(value);
    }
    units
}

impl ControllerPage {
    /// The page of a device with so many targets.
    pub fn new(targets: u32, node_wwn: u64, texts: &ControllerTexts<'_>) -> Self {
        Self {
            header: PageHeader {
                page: U32::new(Config::CONTROLLER_PAGE),
                words: U16::new(Self::WORDS),
                host_status: U16::new(HostStatus::SUCCESS.0),
                scsi_status: U16::new(u16::from(status::GOOD)),
                reserved: [U16::ZERO; 3],
            },
            node_wwn: U64::new(node_wwn),
            manufacturer: text(texts.manufacturer),
            serial_number: text(texts.serial_number),
            oprom_version: [U16::ZERO; 32],
            hardware_version: text(texts.hardware_version),
            firmware_version: text(texts.firmware_version),
            phys: U32::new(targets),
            consecutive_phy_wwns: 0,
            reserved: [0; 3],
        }
    }

    /// Its length in words of four bytes.
    const WORDS: u16 = (core::mem::size_of::<Self>() / 4) as u16;

    /// How many targets there are, if the device has said so and it makes sense.
    pub fn targets(&self) -> Option<u32> {
        let phys = self.phys.get();
        (self.header.is_good() && (1..=MAX_TARGETS).contains(&phys)).then_some(phys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::mem::offset_of;
    use zerocopy::FromZeros;

    fn page(phys: u32) -> ControllerPage {
        ControllerPage {
            phys: U32::new(phys),
            ..ControllerPage::new_zeroed()
        }
    }

    #[test]
    fn a_page_tells_how_many_targets_there_are() {
        assert_eq!(offset_of!(ControllerPage, phys), 472);
        for phys in [1, 65, 256] {
            assert_eq!(page(phys).targets(), Some(phys));
        }
        for phys in [0, 257, u32::MAX] {
            assert_eq!(page(phys).targets(), None);
        }
    }

    #[test]
    fn a_page_that_was_not_written_tells_nothing() {
        let mut page = page(65);
        page.header = PageHeader::UNWRITTEN;
        assert_eq!(page.targets(), None);
    }
}
