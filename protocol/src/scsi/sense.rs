// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Sense data: why a command did not end well (SPC-5, section 4.4).
//!
//! [`Sense`] is the meaning, [`SenseBytes`] the wire format: fixed (the first
//! 18 bytes that every initiator knows) or made of descriptors (which can hold
//! 64-bit information).

/// Response code of current errors in fixed format.
const FIXED_CURRENT: u8 = 0x70;
/// Response code of current errors in descriptor format.
const DESCRIPTOR_CURRENT: u8 = 0x72;
/// Bit 0 of the response codes: the error belongs to an earlier command.
const DEFERRED: u8 = 0x01;
/// Bit 7 of byte 0 in fixed format, and of byte 2 of an information descriptor.
const VALID: u8 = 0x80;
/// ADDITIONAL SENSE LENGTH in fixed format: what follows the first 8 bytes.
const FIXED_ADDITIONAL_LEN: u8 = 10;
/// Length of the header of descriptor-format sense data.
const DESCRIPTOR_HEADER_LEN: usize = 8;

/// Descriptor type: information (SPC-5, section 4.4.2.2).
const TYPE_INFORMATION: u8 = 0x00;
/// Descriptor type: sense key specific (SPC-5, section 4.4.2.4).
const TYPE_KEY_SPECIFIC: u8 = 0x02;

/// SKSV: the sense key specific bytes mean something.
const SKSV: u8 = 0x80;
/// C/D: the field pointer points into the CDB, not into parameter data.
const IN_CDB: u8 = 0x40;
/// BPV: the bit pointer means something.
const BIT_VALID: u8 = 0x08;

/// Sense keys (SPC-5, table 48).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SenseKey {
    /// Nothing to report.
    NoSense = 0x0,
    /// Done, after some trouble.
    RecoveredError = 0x1,
    /// The unit cannot be accessed.
    NotReady = 0x2,
    /// The medium is flawed.
    MediumError = 0x3,
    /// The unit is broken.
    HardwareError = 0x4,
    /// The command makes no sense.
    IllegalRequest = 0x5,
    /// Something happened of which the initiator should know.
    UnitAttention = 0x6,
    /// The medium is protected.
    DataProtect = 0x7,
    /// A blank medium was read.
    BlankCheck = 0x8,
    /// Defined by the vendor.
    VendorSpecific = 0x9,
    /// A third-party copy ended early.
    CopyAborted = 0xa,
    /// The unit aborted the command.
    AbortedCommand = 0xb,
    /// The end of a partition was reached.
    VolumeOverflow = 0xd,
    /// Data differs from the medium.
    Miscompare = 0xe,
    /// See the additional sense code.
    Completed = 0xf,
}

impl SenseKey {
    /// The key of that number; `None` for 0xC, which is reserved, and beyond 0xF.
    pub fn from_raw(raw: u8) -> Option<Self> {
        Some(match raw {
            0x0 => Self::NoSense,
            0x1 => Self::RecoveredError,
            0x2 => Self::NotReady,
            0x3 => Self::MediumError,
            0x4 => Self::HardwareError,
            0x5 => Self::IllegalRequest,
            0x6 => Self::UnitAttention,
            0x7 => Self::DataProtect,
            0x8 => Self::BlankCheck,
            0x9 => Self::VendorSpecific,
            0xa => Self::CopyAborted,
            0xb => Self::AbortedCommand,
            0xd => Self::VolumeOverflow,
            0xe => Self::Miscompare,
            0xf => Self::Completed,
            _ => return None,
        })
    }
}

/// An additional sense code and its qualifier (SPC-5, annex F).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Additional {
    /// ADDITIONAL SENSE CODE.
    pub code: u8,
    /// ADDITIONAL SENSE CODE QUALIFIER.
    pub qualifier: u8,
}

/// The additional sense codes in use, by their names in SPC-5, annex F.
#[allow(missing_docs, reason = "the standard's names say what each is")]
pub mod asc {
    use super::Additional;

    const fn asc(code: u8, qualifier: u8) -> Additional {
        Additional { code, qualifier }
    }

    pub const NO_ADDITIONAL_SENSE_INFORMATION: Additional = asc(0x00, 0x00);
    pub const LOGICAL_UNIT_NOT_READY_INITIALIZING_COMMAND_REQUIRED: Additional = asc(0x04, 0x02);
    pub const LOGICAL_UNIT_NOT_READY_MANUAL_INTERVENTION_REQUIRED: Additional = asc(0x04, 0x03);
    pub const WRITE_ERROR: Additional = asc(0x0c, 0x00);
    pub const LOGICAL_BLOCK_GUARD_CHECK_FAILED: Additional = asc(0x10, 0x01);
    pub const LOGICAL_BLOCK_REFERENCE_TAG_CHECK_FAILED: Additional = asc(0x10, 0x03);
    pub const UNRECOVERED_READ_ERROR: Additional = asc(0x11, 0x00);
    pub const PARAMETER_LIST_LENGTH_ERROR: Additional = asc(0x1a, 0x00);
    pub const MISCOMPARE_DURING_VERIFY_OPERATION: Additional = asc(0x1d, 0x00);
    pub const INVALID_COMMAND_OPERATION_CODE: Additional = asc(0x20, 0x00);
    pub const LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE: Additional = asc(0x21, 0x00);
    pub const INVALID_FIELD_IN_CDB: Additional = asc(0x24, 0x00);
    pub const LOGICAL_UNIT_NOT_SUPPORTED: Additional = asc(0x25, 0x00);
    pub const INVALID_FIELD_IN_PARAMETER_LIST: Additional = asc(0x26, 0x00);
    pub const INVALID_RELEASE_OF_PERSISTENT_RESERVATION: Additional = asc(0x26, 0x04);
    pub const WRITE_PROTECTED: Additional = asc(0x27, 0x00);
    pub const SPACE_ALLOCATION_FAILED_WRITE_PROTECT: Additional = asc(0x27, 0x07);
    pub const NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED: Additional = asc(0x28, 0x00);
    pub const POWER_ON_RESET_OR_BUS_DEVICE_RESET_OCCURRED: Additional = asc(0x29, 0x00);
    pub const BUS_DEVICE_RESET_FUNCTION_OCCURRED: Additional = asc(0x29, 0x03);
    pub const I_T_NEXUS_LOSS_OCCURRED: Additional = asc(0x29, 0x07);
    pub const CAPACITY_DATA_HAS_CHANGED: Additional = asc(0x2a, 0x09);
    pub const CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT: Additional = asc(0x30, 0x02);
    pub const SAVING_PARAMETERS_NOT_SUPPORTED: Additional = asc(0x39, 0x00);
    pub const MEDIUM_NOT_PRESENT_TRAY_CLOSED: Additional = asc(0x3a, 0x01);
    pub const MEDIUM_NOT_PRESENT_TRAY_OPEN: Additional = asc(0x3a, 0x02);
    pub const REPORTED_LUNS_DATA_HAS_CHANGED: Additional = asc(0x3f, 0x0e);
    pub const LOGICAL_UNIT_FAILED_SELF_TEST: Additional = asc(0x3e, 0x03);
    pub const INTERNAL_TARGET_FAILURE: Additional = asc(0x44, 0x00);
    pub const INVALID_MESSAGE_ERROR: Additional = asc(0x49, 0x00);
    pub const MEDIUM_REMOVAL_PREVENTED: Additional = asc(0x53, 0x02);
    pub const ILLEGAL_MODE_FOR_THIS_TRACK: Additional = asc(0x64, 0x00);
}

/// Where in a CDB or a parameter list the first wrong field is
/// (SPC-5, section 4.4.2.4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldPointer {
    /// Whether it points into the CDB, not into the parameter list.
    pub in_cdb: bool,
    /// The byte, counted from 0.
    pub byte: u16,
    /// The most significant bit (7 to 0) of the field, if it is part of a byte.
    pub bit: Option<u8>,
}

impl FieldPointer {
    fn encode(self) -> [u8; 3] {
        let [high, low] = self.byte.to_be_bytes();
        let place = if self.in_cdb { IN_CDB } else { 0 };
        let bit = self.bit.map_or(0, |bit| BIT_VALID | (bit & 0x07));
        [SKSV | place | bit, high, low]
    }

    fn decode([flags, high, low]: [u8; 3]) -> Option<Self> {
        (flags & SKSV != 0).then(|| Self {
            in_cdb: flags & IN_CDB != 0,
            byte: u16::from_be_bytes([high, low]),
            bit: (flags & BIT_VALID != 0).then_some(flags & 0x07),
        })
    }
}

/// What sense data says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sense {
    /// The kind of event.
    pub key: SenseKey,
    /// Which event exactly.
    pub additional: Additional,
    /// INFORMATION: for block devices, the logical block of the error.
    pub information: Option<u64>,
    /// Sense key specific: the field in error, with ILLEGAL REQUEST only.
    pub field: Option<FieldPointer>,
    /// Whether it is about an earlier command.
    pub deferred: bool,
}

/// The two formats of sense data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 18 bytes at fixed places.
    Fixed,
    /// A header, and descriptors of what there is.
    Descriptor,
}

impl Sense {
    /// A current event with nothing more to say about it.
    pub const fn new(key: SenseKey, additional: Additional) -> Self {
        Self {
            key,
            additional,
            information: None,
            field: None,
            deferred: false,
        }
    }

    /// An illegal request.
    pub const fn illegal(additional: Additional) -> Self {
        Self::new(SenseKey::IllegalRequest, additional)
    }

    /// INVALID FIELD IN CDB, at that byte and bit.
    pub const fn invalid_cdb(byte: u16, bit: Option<u8>) -> Self {
        let mut sense = Self::illegal(asc::INVALID_FIELD_IN_CDB);
        sense.field = Some(FieldPointer {
            in_cdb: true,
            byte,
            bit,
        });
        sense
    }

    /// INVALID FIELD IN PARAMETER LIST, at that byte and bit.
    pub const fn invalid_parameter(byte: u16, bit: Option<u8>) -> Self {
        let mut sense = Self::illegal(asc::INVALID_FIELD_IN_PARAMETER_LIST);
        sense.field = Some(FieldPointer {
            in_cdb: false,
            byte,
            bit,
        });
        sense
    }

    /// The same, about that logical block.
    pub const fn at_block(mut self, lba: u64) -> Self {
        self.information = Some(lba);
        self
    }

    /// The same, with INFORMATION that is not a block: where data differs.
    pub const fn with_information(mut self, information: u64) -> Self {
        self.information = Some(information);
        self
    }

    /// The wire format.
    ///
    /// Fixed format has room for 32 bits of information; what does not fit is
    /// left out, as the standard asks for.
    pub fn encode(&self, format: Format) -> SenseBytes {
        match format {
            Format::Fixed => self.encode_fixed(),
            Format::Descriptor => self.encode_descriptors(),
        }
    }

    fn encode_fixed(&self) -> SenseBytes {
        let information = self.information.and_then(|value| u32::try_from(value).ok());
        let mut bytes = SenseBytes::default();
        bytes.push(&[
            FIXED_CURRENT | u8::from(self.deferred) | information.map_or(0, |_| VALID),
            0,
            self.key as u8,
        ]);
        bytes.push(&information.unwrap_or(0).to_be_bytes());
        // Four bytes of command specific information follow the length.
        bytes.push(&[FIXED_ADDITIONAL_LEN, 0, 0, 0, 0]);
        bytes.push(&[self.additional.code, self.additional.qualifier, 0]);
        bytes.push(&self.field.map_or([0; 3], FieldPointer::encode));
        bytes
    }

    fn encode_descriptors(&self) -> SenseBytes {
        let code = DESCRIPTOR_CURRENT | u8::from(self.deferred);
        let information: u8 = if self.information.is_some() { 12 } else { 0 };
        let field = if self.field.is_some() { 8 } else { 0 };
        let mut bytes = SenseBytes::default();
        bytes.push(&[
            code,
            self.key as u8,
            self.additional.code,
            self.additional.qualifier,
        ]);
        bytes.push(&[0, 0, 0, information.saturating_add(field)]);
        if let Some(value) = self.information {
            bytes.push(&[TYPE_INFORMATION, 10, VALID, 0]);
            bytes.push(&value.to_be_bytes());
        }
        if let Some(pointer) = self.field {
            let [flags, high, low] = pointer.encode();
            bytes.push(&[TYPE_KEY_SPECIFIC, 6, 0, 0, flags, high, low, 0]);
        }
        bytes
    }

    /// Reads sense data of either format, as far as there are bytes of it.
    ///
    /// `None` if it is not sense data, or too short to hold a sense key.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let code = bytes.first()? & !VALID;
        match code & !DEFERRED {
            FIXED_CURRENT => Self::decode_fixed(bytes),
            DESCRIPTOR_CURRENT => Self::decode_descriptors(bytes),
            _ => None,
        }
    }

    fn decode_fixed(bytes: &[u8]) -> Option<Self> {
        let code = *bytes.first()?;
        let key = SenseKey::from_raw(bytes.get(2)? & 0x0f)?;
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let information = u32::from_be_bytes([byte(3), byte(4), byte(5), byte(6)]);
        Some(Self {
            key,
            additional: Additional {
                code: byte(12),
                qualifier: byte(13),
            },
            information: (code & VALID != 0).then_some(information.into()),
            field: FieldPointer::decode([byte(15), byte(16), byte(17)]),
            deferred: code & DEFERRED != 0,
        })
    }

    fn decode_descriptors(bytes: &[u8]) -> Option<Self> {
        let [code, key, asc, ascq] = *bytes.first_chunk()?;
        let mut sense = Self::new(
            SenseKey::from_raw(key & 0x0f)?,
            Additional {
                code: asc,
                qualifier: ascq,
            },
        );
        sense.deferred = code & DEFERRED != 0;
        let mut rest = bytes.get(DESCRIPTOR_HEADER_LEN..).unwrap_or(&[]);
        while let [kind, len, tail @ ..] = rest {
            let (body, next) = tail
                .split_at_checked(usize::from(*len))
                .unwrap_or((tail, &[]));
            sense.take_descriptor(*kind, body);
            rest = next;
        }
        Some(sense)
    }

    fn take_descriptor(&mut self, kind: u8, body: &[u8]) {
        match (kind, body) {
            (TYPE_INFORMATION, [flags, _, value @ ..]) if flags & VALID != 0 => {
                self.information = value.first_chunk().map(|value| u64::from_be_bytes(*value));
            }
            (TYPE_KEY_SPECIFIC, [_, _, a, b, c, ..]) => {
                self.field = FieldPointer::decode([*a, *b, *c]);
            }
            _ => {}
        }
    }
}

/// Sense data on the wire: at most [`SenseBytes::CAPACITY`] bytes, and only
/// those that exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SenseBytes {
    bytes: [u8; SenseBytes::CAPACITY],
    len: usize,
}

const _: () = assert!(8 + FIXED_ADDITIONAL_LEN as usize <= SenseBytes::CAPACITY);
const _: () = assert!(DESCRIPTOR_HEADER_LEN + 12 + 8 <= SenseBytes::CAPACITY);

impl SenseBytes {
    /// More than [`Sense::encode`] makes: what a passed-through device says has
    /// to fit too, of which 96 bytes are all that most initiators ask for.
    pub const CAPACITY: usize = 96;

    /// The sense data that a device sent. What is beyond
    /// [`Self::CAPACITY`] is dropped.
    pub fn new(data: &[u8]) -> Self {
        let mut bytes = Self::default();
        bytes.push(data);
        bytes
    }

    /// The bytes that exist.
    pub fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or(&[])
    }

    fn push(&mut self, data: &[u8]) {
        let room = self.bytes.iter_mut().skip(self.len);
        let taken = room.zip(data).map(|(to, from)| *to = *from).count();
        self.len = self.len.saturating_add(taken);
    }
}

impl Default for SenseBytes {
    fn default() -> Self {
        Self {
            bytes: [0; Self::CAPACITY],
            len: 0,
        }
    }
}

impl core::fmt::Debug for SenseBytes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x?}", self.as_slice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn fixed_format() {
        let sense = Sense::new(SenseKey::MediumError, asc::UNRECOVERED_READ_ERROR).at_block(0x1234);
        let expected = [
            0xf0, 0, 3, 0, 0, 0x12, 0x34, 10, 0, 0, 0, 0, 0x11, 0, 0, 0, 0, 0,
        ];
        assert_eq!(sense.encode(Format::Fixed).as_slice(), expected);
        assert_eq!(
            Sense::invalid_cdb(1, Some(4))
                .encode(Format::Fixed)
                .as_slice(),
            [0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0, 0, 0xcc, 0, 1],
        );
    }

    #[test]
    fn descriptor_format() {
        let sense = Sense::invalid_parameter(0x102, None).at_block(1 << 40);
        let expected = [
            0x72, 5, 0x26, 0, 0, 0, 0, 20, 0, 10, 0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 2, 6, 0, 0,
            0x80, 1, 2, 0,
        ];
        assert_eq!(sense.encode(Format::Descriptor).as_slice(), expected);
    }

    #[test]
    fn long_information_is_left_out_of_fixed_format() {
        let sense = Sense::new(SenseKey::MediumError, asc::WRITE_ERROR).at_block(1 << 40);
        let bytes = sense.encode(Format::Fixed);
        assert_eq!(Sense::decode(bytes.as_slice()).unwrap().information, None);
    }

    proptest! {
        #[test]
        fn round_trip(
            key in 0_u8..16, code: u8, qualifier: u8, deferred: bool,
            information: Option<u32>, field: Option<(bool, u16, Option<u8>)>,
        ) {
            let Some(key) = SenseKey::from_raw(key) else { return Ok(()) };
            let field = field.map(|(in_cdb, byte, bit)| FieldPointer {
                in_cdb, byte, bit: bit.map(|bit| bit & 7),
            });
            let additional = Additional { code, qualifier };
            let information = information.map(u64::from);
            let sense = Sense { key, additional, information, field, deferred };
            for format in [Format::Fixed, Format::Descriptor] {
                prop_assert_eq!(Sense::decode(sense.encode(format).as_slice()), Some(sense));
            }
        }

        #[test]
        fn any_bytes_decode_without_panic(bytes: Vec<u8>) {
            let _ = Sense::decode(&bytes);
        }
    }
}
