// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What everything here calls itself, and how INQUIRY says so.

use protocol::scsi::inquiry::{peripheral, DeviceType, Names, Qualifier, StandardInquiry};
use protocol::scsi::sense::Sense;
use protocol::scsi::vpd::{self, CodeSet, DesignatorHeader, DesignatorType};
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

/// T10 VENDOR IDENTIFICATION.
pub(crate) const VENDOR: [u8; 8] = *b"HOSPES  ";

/// The names of a product. A longer name than fits is cut.
pub(crate) fn names(product: &str) -> Names {
    Names {
        vendor: VENDOR,
        product: padded(product),
        revision: padded(env!("CARGO_PKG_VERSION_MINOR")),
    }
}

/// What a unit says to INQUIRY.
pub(crate) trait Identify {
    /// What it is.
    const KIND: DeviceType;
    /// The name of the product.
    const PRODUCT: &'static str;

    /// Fills in what the standard data has beside kind and names.
    fn describe(&self, inquiry: &mut StandardInquiry);

    /// The body of a page of vital product data, if there is such a page.
    fn vpd_page(&self, page: u8) -> Option<Vec<u8>>;

    /// INQUIRY, for the standard data or for a `page`.
    fn inquiry(&self, task: &Task<'_>, page: Option<u8>, allocation: u32) -> Result<u64, Failure> {
        let mut data = DataIn::new(task.data_in, allocation);
        let Some(page) = page else {
            let names = names(Self::PRODUCT);
            let mut inquiry = StandardInquiry::new(Qualifier::Connected, Self::KIND, names);
            self.describe(&mut inquiry);
            return Ok(data.finish(&inquiry));
        };
        let body = self.vpd_page(page).ok_or(Sense::invalid_cdb(2, None))?;
        data.put(&vpd::PageHeader {
            peripheral: peripheral(Qualifier::Connected, Self::KIND),
            page,
            // Each page is much shorter than that.
            len: U16::new(u16::try_from(body.len()).unwrap_or(u16::MAX)),
        });
        Ok(data.finish(body.as_slice()))
    }
}

/// The name of a unit by T10: vendor, product and serial number.
pub(crate) fn t10_name(product: &str, serial: &str) -> Vec<u8> {
    let Names {
        vendor, product, ..
    } = names(product);
    [vendor.as_slice(), &product, serial.as_bytes()].concat()
}

/// A designator of the page that identifies a unit.
pub(crate) fn designator(code_set: CodeSet, kind: DesignatorType, value: &[u8]) -> Vec<u8> {
    // Names are 24 bytes, and serial numbers are limited.
    let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
    let header = DesignatorHeader::new(code_set, kind, len);
    [header.as_bytes(), value].concat()
}

/// `text`, followed by spaces.
fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut bytes = [b' '; N];
    for (to, from) in bytes.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_padded_and_cut() {
        assert_eq!(&names("DISK").product, b"DISK            ");
        assert_eq!(&padded("abcdef"), b"abcd");
    }
}
