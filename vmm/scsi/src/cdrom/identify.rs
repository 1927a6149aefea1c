// SPDX-License-Identifier: GPL-2.0 OR MIT

//! INQUIRY: what the drive is.

use protocol::scsi::inquiry::{DeviceType, StandardInquiry};
use protocol::scsi::vpd::{self, CodeSet, DesignatorType};

use super::CdRom;
use crate::identity::{self, Identify};

/// RMB: the medium can be removed.
const REMOVABLE: u8 = 0x80;

impl Identify for CdRom {
    const KIND: DeviceType = DeviceType::Multimedia;
    const PRODUCT: &'static str = "CD-ROM";

    fn describe(&self, inquiry: &mut StandardInquiry) {
        inquiry.removable = REMOVABLE;
    }

    /// A drive without a serial number has no pages that would be made of it.
    fn vpd_page(&self, page: u8) -> Option<Vec<u8>> {
        let is_named = !self.serial.is_empty();
        Some(match page {
            vpd::SUPPORTED_PAGES if is_named => vec![
                vpd::SUPPORTED_PAGES,
                vpd::UNIT_SERIAL_NUMBER,
                vpd::DEVICE_IDENTIFICATION,
            ],
            vpd::SUPPORTED_PAGES => vec![vpd::SUPPORTED_PAGES],
            vpd::UNIT_SERIAL_NUMBER if is_named => self.serial.clone().into_bytes(),
            vpd::DEVICE_IDENTIFICATION if is_named => {
                let name = identity::t10_name(Self::PRODUCT, &self.serial);
                identity::designator(CodeSet::Ascii, DesignatorType::T10VendorId, &name)
            }
            _ => return None,
        })
    }
}
