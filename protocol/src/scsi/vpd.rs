// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Vital product data pages (SPC-5, section 7.7, and SBC-4, section 6.6).

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Supported VPD pages.
pub const SUPPORTED_PAGES: u8 = 0x00;
/// Unit serial number.
pub const UNIT_SERIAL_NUMBER: u8 = 0x80;
/// Device identification.
pub const DEVICE_IDENTIFICATION: u8 = 0x83;
/// Extended INQUIRY data.
pub const EXTENDED_INQUIRY: u8 = 0x86;
/// Block limits.
pub const BLOCK_LIMITS: u8 = 0xb0;
/// Block device characteristics.
pub const BLOCK_DEVICE_CHARACTERISTICS: u8 = 0xb1;
/// Logical block provisioning.
pub const LOGICAL_BLOCK_PROVISIONING: u8 = 0xb2;

/// What each page starts with.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct PageHeader {
    /// As in standard INQUIRY data.
    pub peripheral: u8,
    /// PAGE CODE.
    pub page: u8,
    /// PAGE LENGTH: what follows it.
    pub len: U16,
}

const _: () = assert!(size_of::<PageHeader>() == 4);

/// CODE SET of a designator (SPC-5, table 450).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CodeSet {
    /// Binary values.
    Binary = 0x1,
    /// ASCII, printable characters.
    Ascii = 0x2,
}

/// DESIGNATOR TYPE (SPC-5, table 452).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DesignatorType {
    /// The vendor's T10 identification, and what it chose.
    T10VendorId = 0x1,
    /// A network address authority's format.
    Naa = 0x3,
}

/// What each designator of a logical unit starts with (SPC-5, section 7.7.6.1).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DesignatorHeader {
    /// PROTOCOL IDENTIFIER (7:4) and CODE SET (3:0).
    pub code_set: u8,
    /// PIV (7), ASSOCIATION (5:4), DESIGNATOR TYPE (3:0).
    pub kind: u8,
    /// Reserved.
    pub reserved: u8,
    /// DESIGNATOR LENGTH: what follows it.
    pub len: u8,
}

const _: () = assert!(size_of::<DesignatorHeader>() == 4);

impl DesignatorHeader {
    /// The header of a designator that is associated with the logical unit.
    pub const fn new(code_set: CodeSet, kind: DesignatorType, len: u8) -> Self {
        Self {
            code_set: code_set as u8,
            kind: kind as u8,
            reserved: 0,
            len,
        }
    }
}

/// Makes a locally assigned NAA designator (SPC-5, section 7.7.6.6.4) of
/// anything: 4 bits of format and 60 bits of `value`.
pub const fn naa_locally_assigned(value: u64) -> [u8; 8] {
    const FORMAT: u64 = 3 << 60;
    (FORMAT | (value & (u64::MAX >> 4))).to_be_bytes()
}

/// Extended INQUIRY data, after the header (SPC-5, section 7.7.7).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct ExtendedInquiry {
    /// ACTIVATE MICROCODE (7:6), SPT (5:3), [`GRD_CHK`], [`APP_CHK`], [`REF_CHK`].
    pub protection: u8,
    /// UASK_SUP (5), GROUP_SUP (4), PRIOR_SUP (3), [`HEADSUP`], [`ORDSUP`], [`SIMPSUP`].
    pub attributes: u8,
    /// WU_SUP (3), CRD_SUP (2), NV_SUP (1), [`V_SUP`].
    pub caches: u8,
    /// NO_PI_CHK (5), P_I_I_SUP (4), LUICLR (0).
    pub others: u8,
    /// Everything else: not reported.
    pub unused: [u8; 56],
}

const _: () = assert!(size_of::<ExtendedInquiry>() == 0x3c);

/// [`ExtendedInquiry::protection`]: LOGICAL BLOCK GUARDs are checked.
pub const GRD_CHK: u8 = 0x04;
/// [`ExtendedInquiry::protection`]: LOGICAL BLOCK APPLICATION TAGs are checked.
pub const APP_CHK: u8 = 0x02;
/// [`ExtendedInquiry::protection`]: LOGICAL BLOCK REFERENCE TAGs are checked.
pub const REF_CHK: u8 = 0x01;
/// [`ExtendedInquiry::protection`]: SPT 100b, only type 3 is supported. SPT 000b
/// is only type 1.
pub const SPT_TYPE_3: u8 = 0x20;
/// [`ExtendedInquiry::attributes`]: head of queue is known.
pub const HEADSUP: u8 = 0x04;
/// [`ExtendedInquiry::attributes`]: ordered is known.
pub const ORDSUP: u8 = 0x02;
/// [`ExtendedInquiry::attributes`]: simple is known.
pub const SIMPSUP: u8 = 0x01;
/// [`ExtendedInquiry::caches`]: there is a volatile cache.
pub const V_SUP: u8 = 0x01;

/// Block limits, after the header (SBC-4, section 6.6.4). Zero means that a
/// limit is not reported.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BlockLimits {
    /// WSNZ (0): WRITE SAME of zero blocks is refused.
    pub flags: u8,
    /// MAXIMUM COMPARE AND WRITE LENGTH.
    pub max_compare_and_write: u8,
    /// OPTIMAL TRANSFER LENGTH GRANULARITY, in blocks.
    pub optimal_granularity: U16,
    /// MAXIMUM TRANSFER LENGTH, in blocks.
    pub max_transfer: U32,
    /// OPTIMAL TRANSFER LENGTH, in blocks.
    pub optimal_transfer: U32,
    /// MAXIMUM PREFETCH LENGTH, in blocks.
    pub max_prefetch: U32,
    /// MAXIMUM UNMAP LBA COUNT, in blocks.
    pub max_unmap_blocks: U32,
    /// MAXIMUM UNMAP BLOCK DESCRIPTOR COUNT.
    pub max_unmap_descriptors: U32,
    /// OPTIMAL UNMAP GRANULARITY, in blocks.
    pub unmap_granularity: U32,
    /// UGAVALID (31) and UNMAP GRANULARITY ALIGNMENT, in blocks.
    pub unmap_alignment: U32,
    /// MAXIMUM WRITE SAME LENGTH, in blocks.
    pub max_write_same: U64,
    /// Limits of atomic commands, which are not there.
    pub atomic: [u8; 20],
}

const _: () = assert!(size_of::<BlockLimits>() == 0x3c);

/// [`BlockLimits::flags`]: WSNZ.
pub const WSNZ: u8 = 0x01;

/// Block device characteristics, after the header (SBC-4, section 6.6.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct BlockDeviceCharacteristics {
    /// MEDIUM ROTATION RATE: [`NON_ROTATING`], or turns per minute.
    pub rotation_rate: U16,
    /// Everything else: not reported.
    pub unused: [u8; 58],
}

const _: () = assert!(size_of::<BlockDeviceCharacteristics>() == 0x3c);

/// [`BlockDeviceCharacteristics::rotation_rate`] of a solid-state medium.
pub const NON_ROTATING: u16 = 0x0001;

/// Logical block provisioning, after the header (SBC-4, section 6.6.6).
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct LogicalBlockProvisioning {
    /// THRESHOLD EXPONENT: zero, as there are no thresholds.
    pub threshold_exponent: u8,
    /// [`LBPU`], [`LBPWS`], [`LBPWS10`], [`LBPRZ`], ANC_SUP (1), DP (0).
    pub flags: u8,
    /// MINIMUM PERCENTAGE (7:3) and PROVISIONING TYPE (2:0).
    pub provisioning: u8,
    /// THRESHOLD PERCENTAGE.
    pub threshold_percentage: u8,
}

const _: () = assert!(size_of::<LogicalBlockProvisioning>() == 4);

/// UNMAP is supported.
pub const LBPU: u8 = 0x80;
/// WRITE SAME (16) unmaps.
pub const LBPWS: u8 = 0x40;
/// WRITE SAME (10) unmaps.
pub const LBPWS10: u8 = 0x20;
/// Blocks that are unmapped read as zeroes.
pub const LBPRZ: u8 = 0x04;
/// [`LogicalBlockProvisioning::provisioning`]: the unit is fully provisioned.
pub const FULLY_PROVISIONED: u8 = 0;
/// [`LogicalBlockProvisioning::provisioning`]: the unit is thin provisioned.
pub const THIN_PROVISIONED: u8 = 2;
