// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Log pages (SPC-5, section 7.3, and SBC-4, section 6.4).

use core::mem::size_of;

use zerocopy::big_endian::U16;
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Supported log pages; with [`ALL_SUBPAGES`], supported pages and subpages.
pub const SUPPORTED_PAGES: u8 = 0x00;
/// Write error counters.
pub const WRITE_ERRORS: u8 = 0x02;
/// Read error counters.
pub const READ_ERRORS: u8 = 0x03;
/// Verify error counters.
pub const VERIFY_ERRORS: u8 = 0x05;
/// Non-medium errors.
pub const NON_MEDIUM_ERRORS: u8 = 0x06;
/// Informational exceptions.
pub const INFORMATIONAL_EXCEPTIONS: u8 = 0x2f;

/// SUBPAGE CODE: a list of subpages.
pub const ALL_SUBPAGES: u8 = 0xff;

/// What each page starts with (SPC-5, section 7.3.2.1).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct PageHeader {
    /// [`DS`], [`SPF`], PAGE CODE (5:0).
    pub page: u8,
    /// SUBPAGE CODE.
    pub subpage: u8,
    /// PAGE LENGTH: what follows it.
    pub len: U16,
}

const _: () = assert!(size_of::<PageHeader>() == 4);

/// [`PageHeader::page`]: the parameters are not saved.
pub const DS: u8 = 0x80;
/// [`PageHeader::page`]: the subpage code means something.
pub const SPF: u8 = 0x40;

/// What each parameter of a page starts with (SPC-5, section 7.3.2.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ParameterHeader {
    /// PARAMETER CODE.
    pub code: U16,
    /// DU (7), [`TSD`], FORMAT AND LINKING (1:0).
    pub control: u8,
    /// PARAMETER LENGTH: what follows it.
    pub len: u8,
}

const _: () = assert!(size_of::<ParameterHeader>() == 4);

/// [`ParameterHeader::control`]: the parameter is not saved.
pub const TSD: u8 = 0x20;
/// [`ParameterHeader::control`]: a counter that ends at its largest value.
pub const COUNTER: u8 = 0b10;
/// [`ParameterHeader::control`]: a list of binary values.
pub const BINARY_LIST: u8 = 0b11;

/// Parameters of the pages that count errors (SPC-5, table 349).
pub mod errors {
    /// Bytes that were processed.
    pub const BYTES_PROCESSED: u16 = 0x0005;
    /// Errors that were not corrected.
    pub const UNCORRECTED: u16 = 0x0006;
}

/// The parameter of the informational exceptions page (SPC-5, section 7.3.8).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct InformationalException {
    /// INFORMATIONAL EXCEPTION ADDITIONAL SENSE CODE: 0 for none.
    pub code: u8,
    /// INFORMATIONAL EXCEPTION ADDITIONAL SENSE CODE QUALIFIER.
    pub qualifier: u8,
    /// MOST RECENT TEMPERATURE READING, in °C, or [`NO_TEMPERATURE`].
    pub temperature: u8,
    /// Vendor specific. Initiators read it as the temperature to warn of, or
    /// [`NO_TEMPERATURE`].
    pub threshold: u8,
}

const _: () = assert!(size_of::<InformationalException>() == 4);

/// [`InformationalException::temperature`]: there is no sensor.
pub const NO_TEMPERATURE: u8 = 0xff;
