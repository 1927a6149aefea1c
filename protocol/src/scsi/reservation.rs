// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Persistent reservations: types and parameter data
//! (SPC-5, sections 5.14, 6.16 and 6.17).

use core::mem::size_of;

use zerocopy::big_endian::{U16, U32, U64};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// SCOPE: the whole logical unit, the only one there is.
pub const LU_SCOPE: u8 = 0;

/// TYPE: what others may do while there is a reservation (SPC-5, table 219).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Only the holder writes.
    WriteExclusive = 0x1,
    /// Only the holder reads and writes.
    ExclusiveAccess = 0x3,
    /// Only who is registered writes.
    WriteExclusiveRegistrantsOnly = 0x5,
    /// Only who is registered reads and writes.
    ExclusiveAccessRegistrantsOnly = 0x6,
    /// Only who is registered writes, and all of them hold the reservation.
    WriteExclusiveAllRegistrants = 0x7,
    /// Only who is registered reads and writes, and all of them hold the
    /// reservation.
    ExclusiveAccessAllRegistrants = 0x8,
}

impl Kind {
    /// The type of that number.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            0x1 => Self::WriteExclusive,
            0x3 => Self::ExclusiveAccess,
            0x5 => Self::WriteExclusiveRegistrantsOnly,
            0x6 => Self::ExclusiveAccessRegistrantsOnly,
            0x7 => Self::WriteExclusiveAllRegistrants,
            0x8 => Self::ExclusiveAccessAllRegistrants,
            _ => return None,
        })
    }

    /// Whether every registered nexus holds the reservation.
    pub fn is_of_all_registrants(self) -> bool {
        matches!(
            self,
            Self::WriteExclusiveAllRegistrants | Self::ExclusiveAccessAllRegistrants
        )
    }

    /// Whether every registered nexus has access.
    pub fn admits_registrants(self) -> bool {
        !matches!(self, Self::WriteExclusive | Self::ExclusiveAccess)
    }

    /// Whether everybody may read.
    pub fn admits_reads(self) -> bool {
        matches!(
            self,
            Self::WriteExclusive
                | Self::WriteExclusiveRegistrantsOnly
                | Self::WriteExclusiveAllRegistrants
        )
    }

    /// SCOPE and TYPE as they are on the wire.
    pub const fn scope_and_type(self) -> u8 {
        (LU_SCOPE << 4) | self as u8
    }
}

/// The parameter list of PERSISTENT RESERVE OUT (SPC-5, section 6.17.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct OutParameters {
    /// RESERVATION KEY: that of the sender.
    pub key: U64,
    /// SERVICE ACTION RESERVATION KEY: what the action is about.
    pub action_key: U64,
    /// Obsolete.
    pub obsolete16: [u8; 4],
    /// [`SPEC_I_PT`], [`ALL_TG_PT`], [`APTPL`].
    pub flags: u8,
    /// Reserved.
    pub reserved: u8,
    /// Obsolete.
    pub obsolete22: [u8; 2],
}

const _: () = assert!(size_of::<OutParameters>() == 24);

/// [`OutParameters::flags`]: registers other initiator ports too.
pub const SPEC_I_PT: u8 = 0x08;
/// [`OutParameters::flags`]: registers at all target ports.
pub const ALL_TG_PT: u8 = 0x04;
/// [`OutParameters::flags`]: registrations and reservations survive a loss of
/// power.
pub const APTPL: u8 = 0x01;

/// What the data of READ KEYS, READ RESERVATION and READ FULL STATUS starts
/// with (SPC-5, section 6.16.2).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct InHeader {
    /// PRGENERATION: counts changes of registrations.
    pub generation: U32,
    /// ADDITIONAL LENGTH: what follows it.
    pub len: U32,
}

const _: () = assert!(size_of::<InHeader>() == 8);

/// The reservation, in the data of READ RESERVATION (SPC-5, section 6.16.3).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Reservation {
    /// RESERVATION KEY of the holder, or 0 if all registrants hold it.
    pub key: U64,
    /// Obsolete.
    pub obsolete8: [u8; 4],
    /// Reserved.
    pub reserved: u8,
    /// SCOPE (7:4) and TYPE (3:0).
    pub scope_and_type: u8,
    /// Obsolete.
    pub obsolete14: [u8; 2],
}

const _: () = assert!(size_of::<Reservation>() == 16);

/// The data of REPORT CAPABILITIES (SPC-5, section 6.16.4).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Capabilities {
    /// LENGTH of all of it.
    pub len: U16,
    /// RLR_C (7), CRH (4), SIP_C (3), ATP_C (2), PTPL_C (0).
    pub flags: u8,
    /// [`TMV`], ALLOW COMMANDS (6:4), PTPL_A (0).
    pub activated: u8,
    /// One bit a type, of which [`ALL_TYPES`] are all.
    pub types: U16,
    /// Reserved.
    pub reserved: [u8; 2],
}

const _: () = assert!(size_of::<Capabilities>() == 8);

/// [`Capabilities::activated`]: the mask of types means something.
pub const TMV: u8 = 0x80;
/// [`Capabilities::types`]: WR_EX_AR, EX_AC_RO, WR_EX_RO, EX_AC, WR_EX, EX_AC_AR.
pub const ALL_TYPES: u16 = 0xea01;

/// One registration, in the data of READ FULL STATUS (SPC-5, section 6.16.5).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct FullStatus {
    /// RESERVATION KEY.
    pub key: U64,
    /// Reserved.
    pub reserved8: [u8; 4],
    /// ALL_TG_PT (1) and [`R_HOLDER`].
    pub flags: u8,
    /// SCOPE (7:4) and TYPE (3:0), if it holds the reservation.
    pub scope_and_type: u8,
    /// Reserved.
    pub reserved14: [u8; 4],
    /// RELATIVE TARGET PORT IDENTIFIER.
    pub port: U16,
    /// ADDITIONAL DESCRIPTOR LENGTH: that of the TransportID, which follows.
    pub transport_len: U32,
}

const _: () = assert!(size_of::<FullStatus>() == 24);

/// [`FullStatus::flags`]: this nexus holds the reservation.
pub const R_HOLDER: u8 = 0x01;

/// The TransportID of an initiator port (SPC-5, section 7.6.4.1), of a
/// transport for which no protocol identifier is assigned.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct TransportId {
    /// TPID FORMAT (7:6) and PROTOCOL IDENTIFIER (3:0).
    pub protocol: u8,
    /// Reserved.
    pub reserved: [u8; 3],
    /// The number of the initiator port.
    pub port: U32,
    /// Reserved.
    pub padding: [u8; 16],
}

const _: () = assert!(size_of::<TransportId>() == 24);

/// PROTOCOL IDENTIFIER: no specific protocol (SPC-5, table 445).
pub const NO_PROTOCOL: u8 = 0x0f;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_by_number() {
        for raw in 0..=u8::MAX {
            if let Some(kind) = Kind::from_raw(raw) {
                assert_eq!(kind.scope_and_type(), raw);
                // Bits 15:8 of the mask are types 0 to 7, bit 0 is type 8.
                let bit = if raw < 8 { 8 + raw } else { raw - 8 };
                assert_ne!(ALL_TYPES & (1 << bit), 0, "{kind:?}");
            }
        }
        let count = (0..16).filter_map(Kind::from_raw).count();
        assert_eq!(count as u32, ALL_TYPES.count_ones());
    }
}
