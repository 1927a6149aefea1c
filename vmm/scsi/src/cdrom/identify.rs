// SPDX-License-Identifier: GPL-2.0 OR MIT

//! INQUIRY: what the drive is.

use protocol::scsi::inquiry::{peripheral, DeviceType, Names, Qualifier, StandardInquiry};
use protocol::scsi::sense::Sense;
use protocol::scsi::vpd::{self, CodeSet, DesignatorHeader, DesignatorType};
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use super::CdRom;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::identity;
use crate::unit::Task;

/// RMB: the medium can be removed.
const REMOVABLE: u8 = 0x80;

impl CdRom {
    /// INQUIRY.
    pub(super) fn inquiry(
        &self,
        task: &Task<'_>,
        page: Option<u8>,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let mut data = DataIn::new(task.data_in, allocation);
        let Some(page) = page else {
            let kind = DeviceType::Multimedia;
            let mut inquiry = StandardInquiry::new(Qualifier::Connected, kind, names());
            inquiry.removable = REMOVABLE;
            return Ok(data.finish(&inquiry));
        };
        let body = self.vpd_page(page).ok_or(Sense::invalid_cdb(2, None))?;
        data.put(&vpd::PageHeader {
            peripheral: peripheral(Qualifier::Connected, DeviceType::Multimedia),
            page,
            // Each page is much shorter than that.
            len: U16::new(u16::try_from(body.len()).unwrap_or(u16::MAX)),
        });
        Ok(data.finish(body.as_slice()))
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
            vpd::DEVICE_IDENTIFICATION if is_named => self.designator(),
            _ => return None,
        })
    }

    /// The name of the drive: vendor, product and serial number.
    fn designator(&self) -> Vec<u8> {
        let Names {
            vendor, product, ..
        } = names();
        let name = [vendor.as_slice(), &product, self.serial.as_bytes()].concat();
        // Names are 24 bytes, and serial numbers are limited.
        let len = u8::try_from(name.len()).unwrap_or(u8::MAX);
        let header = DesignatorHeader::new(CodeSet::Ascii, DesignatorType::T10VendorId, len);
        [header.as_bytes(), &name].concat()
    }
}

fn names() -> Names {
    identity::names("CD-ROM")
}
