// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Command descriptor blocks of multimedia devices, decoded.
//!
//! Opcodes mean other things here than for disks: 42h is READ SUB-CHANNEL, not
//! UNMAP. So these commands have a list of their own, and of those that all
//! devices share only the ones that MMC-6 has are taken from [`Cdb`].

use super::super::cdb::{check_usage, BlockRange, Cdb, Fields};
use super::super::opcode::{self, CommandInfo};
use super::super::sense::{asc, Sense};
use super::toc::Msf;

/// PREVENT ALLOW MEDIUM REMOVAL (MMC-6, section 6.13).
pub const PREVENT_ALLOW_MEDIUM_REMOVAL: u8 = 0x1e;
/// SEEK (10) (MMC-6, section 6.36).
pub const SEEK_10: u8 = 0x2b;
/// READ TOC/PMA/ATIP (MMC-6, section 6.25).
pub const READ_TOC: u8 = 0x43;
/// GET CONFIGURATION (MMC-6, section 6.5).
pub const GET_CONFIGURATION: u8 = 0x46;
/// GET EVENT STATUS NOTIFICATION (MMC-6, section 6.6).
pub const GET_EVENT_STATUS_NOTIFICATION: u8 = 0x4a;
/// READ DISC INFORMATION (MMC-6, section 6.21).
pub const READ_DISC_INFORMATION: u8 = 0x51;
/// READ TRACK INFORMATION (MMC-6, section 6.26).
pub const READ_TRACK_INFORMATION: u8 = 0x52;
/// READ DISC STRUCTURE (MMC-6, section 6.22).
pub const READ_DISC_STRUCTURE: u8 = 0xad;
/// READ CD MSF (MMC-6, section 6.20).
pub const READ_CD_MSF: u8 = 0xb9;
/// MECHANISM STATUS (MMC-6, section 6.10).
pub const MECHANISM_STATUS: u8 = 0xbd;
/// READ CD (MMC-6, section 6.19).
pub const READ_CD: u8 = 0xbe;

/// The commands that are decoded here. What is left out on purpose: audio (READ
/// SUB-CHANNEL, PLAY AUDIO), keys of scrambled discs, writing, power conditions,
/// a PREVENT that outlives a request to eject.
#[rustfmt::skip]
pub static COMMANDS: &[CommandInfo] = &[
    command(&[opcode::START_STOP_UNIT, 0x01, 0, 0, 0x03, 0]),
    command(&[PREVENT_ALLOW_MEDIUM_REMOVAL, 0, 0, 0, 0x01, 0]),
    command(&[SEEK_10, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
    command(&[READ_TOC, 0x02, 0x0f, 0, 0, 0, 0xff, 0xff, 0xff, 0xc0]),
    command(&[GET_CONFIGURATION, 0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff, 0]),
    command(&[GET_EVENT_STATUS_NOTIFICATION, 0x01, 0, 0, 0xff, 0, 0, 0xff, 0xff, 0]),
    command(&[READ_DISC_INFORMATION, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0]),
    command(&[READ_TRACK_INFORMATION, 0x03, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0]),
    command(&[READ_DISC_STRUCTURE, 0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0, 0]),
    command(&[READ_CD_MSF, 0x1e, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x07, 0]),
    command(&[MECHANISM_STATUS, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0]),
    command(&[READ_CD, 0x1e, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0x07, 0]),
];

/// The commands of all devices, and of block devices, that a drive has too.
const SHARED: [u8; 12] = [
    opcode::TEST_UNIT_READY,
    opcode::REQUEST_SENSE,
    opcode::READ_6,
    opcode::INQUIRY,
    opcode::MODE_SELECT_6,
    opcode::MODE_SENSE_6,
    opcode::READ_CAPACITY_10,
    opcode::READ_10,
    opcode::MODE_SELECT_10,
    opcode::MODE_SENSE_10,
    opcode::REPORT_LUNS,
    opcode::READ_12,
];

const fn command(usage: &'static [u8]) -> CommandInfo {
    CommandInfo {
        opcode: match usage {
            [opcode, ..] => *opcode,
            [] => 0,
        },
        service_action: None,
        usage,
    }
}

/// What READ TOC/PMA/ATIP returns (MMC-6, table 477).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TocFormat {
    /// The tracks, from that one on; 0 is the first, AAh the lead-out.
    Tracks(u8),
    /// Where the last session starts.
    Sessions,
    /// The lead-in's own entries, from that session on.
    Full(u8),
}

/// Which features GET CONFIGURATION returns: RT (MMC-6, table 261).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FeatureRequest {
    /// All from a feature code on.
    All(u16),
    /// Those of them that can be used now.
    Current(u16),
    /// This one.
    One(u16),
}

/// What READ TRACK INFORMATION is about (MMC-6, table 499).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrackAddress {
    /// The track that holds this block.
    Block(u32),
    /// The track of this number; 0 is the lead-in.
    Track(u32),
    /// The first track of this session.
    Session(u32),
}

/// What START STOP UNIT does to the tray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Starts or stops turning the disc.
    Spin,
    /// Closes the tray.
    Load,
    /// Opens it.
    Eject,
}

/// A command to a multimedia device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MmcCdb {
    /// One that other devices have too.
    Shared(Cdb),
    /// START STOP UNIT.
    StartStop(Motion),
    /// PREVENT ALLOW MEDIUM REMOVAL.
    PreventRemoval {
        /// Prevent it, or allow it.
        prevent: bool,
    },
    /// SEEK (10).
    Seek {
        /// Where to.
        lba: u32,
    },
    /// READ TOC/PMA/ATIP.
    ReadToc {
        /// What is asked for.
        format: TocFormat,
        /// TIME: addresses are minutes, seconds and frames.
        msf: bool,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// GET CONFIGURATION.
    GetConfiguration {
        /// What is asked for.
        request: FeatureRequest,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// GET EVENT STATUS NOTIFICATION, to be answered at once.
    GetEventStatus {
        /// NOTIFICATION CLASS REQUEST: a bit for each class.
        classes: u8,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// READ DISC INFORMATION: the standard one.
    ReadDiscInformation {
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// READ TRACK INFORMATION.
    ReadTrackInformation {
        /// Which track.
        address: TrackAddress,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// READ DISC STRUCTURE, of a DVD.
    ReadDiscStructure {
        /// LAYER NUMBER.
        layer: u8,
        /// FORMAT CODE.
        format: u8,
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// MECHANISM STATUS.
    MechanismStatus {
        /// ALLOCATION LENGTH.
        allocation: u32,
    },
    /// READ CD and READ CD MSF, of user data and nothing else.
    ReadCd {
        /// The blocks.
        range: BlockRange,
        /// Whether anything is transferred at all.
        user_data: bool,
    },
}

impl MmcCdb {
    /// Decodes a CDB; see [`Cdb::decode`].
    ///
    /// # Errors
    ///
    /// The sense data to end the command with.
    pub fn decode(bytes: &[u8]) -> Result<Self, Sense> {
        let unknown = Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE);
        let opcode = *bytes.first().ok_or(unknown)?;
        if SHARED.contains(&opcode) {
            return Cdb::decode(bytes).map(Self::Shared);
        }
        let info = COMMANDS.iter().find(|info| info.opcode == opcode);
        let fields = Fields(bytes);
        check_usage(&fields, info.ok_or(unknown)?)?;
        match opcode {
            opcode::START_STOP_UNIT => Ok(Self::StartStop(motion(&fields))),
            PREVENT_ALLOW_MEDIUM_REMOVAL => Ok(Self::PreventRemoval {
                prevent: fields.bit(4, 0),
            }),
            SEEK_10 => Ok(Self::Seek { lba: fields.u32(2) }),
            READ_TOC => read_toc(&fields),
            GET_CONFIGURATION => get_configuration(&fields),
            GET_EVENT_STATUS_NOTIFICATION => get_event_status(&fields),
            READ_DISC_INFORMATION => Ok(Self::ReadDiscInformation {
                allocation: fields.u16(7).into(),
            }),
            READ_TRACK_INFORMATION => read_track_information(&fields),
            READ_DISC_STRUCTURE => read_disc_structure(&fields),
            MECHANISM_STATUS => Ok(Self::MechanismStatus {
                allocation: fields.u16(8).into(),
            }),
            READ_CD => read_cd(&fields, cd_range(&fields)),
            READ_CD_MSF => read_cd(&fields, cd_range_msf(&fields)?),
            _ => Err(unknown),
        }
    }
}

fn motion(fields: &Fields<'_>) -> Motion {
    match (fields.bit(4, 1), fields.bit(4, 0)) {
        (false, _) => Motion::Spin,
        (true, true) => Motion::Load,
        (true, false) => Motion::Eject,
    }
}

/// The format has a second place, bits 7:6 of the last byte, which counts where
/// the first says 0: that of the first ATAPI drives, and of Linux when it looks
/// for the last session.
fn read_toc(fields: &Fields<'_>) -> Result<MmcCdb, Sense> {
    let number = fields.u8(6);
    let format = match (fields.u8(2) & 0x0f, fields.u8(9) >> 6) {
        (0, 0) => TocFormat::Tracks(number),
        (1, _) | (0, 1) => TocFormat::Sessions,
        (2, _) | (0, 2) => TocFormat::Full(number),
        (0, _) => return Err(Sense::invalid_cdb(9, Some(7))),
        _ => return Err(Sense::invalid_cdb(2, Some(3))),
    };
    Ok(MmcCdb::ReadToc {
        format,
        msf: fields.bit(1, 1),
        allocation: fields.u16(7).into(),
    })
}

fn get_configuration(fields: &Fields<'_>) -> Result<MmcCdb, Sense> {
    let start = fields.u16(2);
    let request = match fields.u8(1) & 0x03 {
        0 => FeatureRequest::All(start),
        1 => FeatureRequest::Current(start),
        2 => FeatureRequest::One(start),
        _ => return Err(Sense::invalid_cdb(1, Some(1))),
    };
    Ok(MmcCdb::GetConfiguration {
        request,
        allocation: fields.u16(7).into(),
    })
}

/// Commands that wait for an event are not there: POLLED has to be set.
fn get_event_status(fields: &Fields<'_>) -> Result<MmcCdb, Sense> {
    if !fields.bit(1, 0) {
        return Err(Sense::invalid_cdb(1, Some(0)));
    }
    Ok(MmcCdb::GetEventStatus {
        classes: fields.u8(4),
        allocation: fields.u16(7).into(),
    })
}

fn read_track_information(fields: &Fields<'_>) -> Result<MmcCdb, Sense> {
    let number = fields.u32(2);
    let address = match fields.u8(1) & 0x03 {
        0 => TrackAddress::Block(number),
        1 => TrackAddress::Track(number),
        2 => TrackAddress::Session(number),
        _ => return Err(Sense::invalid_cdb(1, Some(1))),
    };
    Ok(MmcCdb::ReadTrackInformation {
        address,
        allocation: fields.u16(7).into(),
    })
}

/// MEDIA TYPE 0 is DVD; the address within a structure is used by none of
/// those that there are.
fn read_disc_structure(fields: &Fields<'_>) -> Result<MmcCdb, Sense> {
    if fields.u8(1) & 0x0f != 0 {
        return Err(Sense::invalid_cdb(1, Some(3)));
    }
    Ok(MmcCdb::ReadDiscStructure {
        layer: fields.u8(6),
        format: fields.u8(7),
        allocation: fields.u16(8).into(),
    })
}

/// A disc image has the user data of its blocks, and nothing of what surrounds
/// it on a CD: no sync pattern, headers, error correction or sub-channels.
fn read_cd(fields: &Fields<'_>, range: BlockRange) -> Result<MmcCdb, Sense> {
    /// EXPECTED SECTOR TYPE: any, and Mode 1.
    const TYPES: [u8; 2] = [0, 2];
    const USER_DATA: u8 = 0x10;
    if !TYPES.contains(&((fields.u8(1) >> 2) & 0x07)) {
        return Err(Sense::illegal(asc::ILLEGAL_MODE_FOR_THIS_TRACK));
    }
    if fields.u8(9) & !USER_DATA != 0 {
        return Err(Sense::invalid_cdb(9, None));
    }
    if fields.u8(10) != 0 {
        return Err(Sense::invalid_cdb(10, Some(2)));
    }
    Ok(MmcCdb::ReadCd {
        range,
        user_data: fields.u8(9) == USER_DATA,
    })
}

fn cd_range(fields: &Fields<'_>) -> BlockRange {
    BlockRange {
        lba: fields.u32(2).into(),
        // Three bytes, of which the last is byte 8.
        blocks: fields.u32(5) & 0x00ff_ffff,
    }
}

fn cd_range_msf(fields: &Fields<'_>) -> Result<BlockRange, Sense> {
    let address = |at: usize| Msf {
        minute: fields.u8(at),
        second: fields.u8(at.saturating_add(1)),
        frame: fields.u8(at.saturating_add(2)),
    };
    let start = address(3).lba().ok_or(Sense::invalid_cdb(3, None))?;
    let end = address(6).lba().ok_or(Sense::invalid_cdb(6, None))?;
    let blocks = end.checked_sub(start).ok_or(Sense::invalid_cdb(6, None))?;
    Ok(BlockRange {
        lba: start.into(),
        blocks,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::sense::SenseKey;
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn lists_are_apart_and_of_the_right_length() {
        for info in COMMANDS {
            assert!(!SHARED.contains(&info.opcode), "{:#x}", info.opcode);
            let expected = [6, 10, 10, 0, 16, 12][usize::from(info.opcode >> 5)];
            assert_eq!(info.usage.len(), expected, "{:#x}", info.opcode);
        }
    }

    #[test]
    fn both_places_of_the_toc_format() {
        let toc = |format, control| {
            let cdb = [READ_TOC, 2, format, 0, 0, 0, 1, 0, 12, control];
            match MmcCdb::decode(&cdb) {
                Ok(MmcCdb::ReadToc {
                    format,
                    msf: true,
                    allocation: 12,
                }) => Ok(format),
                Ok(other) => panic!("{other:?}"),
                Err(sense) => Err(sense),
            }
        };
        assert_eq!(toc(0, 0), Ok(TocFormat::Tracks(1)));
        assert_eq!(toc(1, 0), Ok(TocFormat::Sessions));
        assert_eq!(toc(0, 0x40), Ok(TocFormat::Sessions));
        assert_eq!(toc(2, 0x40), Ok(TocFormat::Full(1)));
        assert_eq!(toc(0, 0xc0), Err(Sense::invalid_cdb(9, Some(7))));
        assert_eq!(toc(4, 0), Err(Sense::invalid_cdb(2, Some(3))));
    }

    #[test]
    fn read_cd_has_user_data_only() {
        let read = |kind, flags, sub| {
            MmcCdb::decode(&[READ_CD, kind, 0, 0, 0, 16, 0, 1, 2, flags, sub, 0])
        };
        let range = BlockRange {
            lba: 16,
            blocks: 0x102,
        };
        let expected = |user_data| Ok(MmcCdb::ReadCd { range, user_data });
        assert_eq!(read(0, 0x10, 0), expected(true));
        assert_eq!(read(8, 0, 0), expected(false));
        assert_eq!(read(0, 0xf8, 0), Err(Sense::invalid_cdb(9, None)));
        assert_eq!(read(0, 0x10, 1), Err(Sense::invalid_cdb(10, Some(2))));
        let audio = read(4, 0x10, 0).unwrap_err();
        assert_eq!(audio.additional, asc::ILLEGAL_MODE_FOR_THIS_TRACK);
    }

    #[test]
    fn read_cd_msf() {
        let read = |end| MmcCdb::decode(&[READ_CD_MSF, 0, 0, 0, 2, 16, 0, 2, end, 0x10, 0, 0]);
        let range = BlockRange { lba: 16, blocks: 4 };
        let user_data = true;
        assert_eq!(read(20), Ok(MmcCdb::ReadCd { range, user_data }));
        assert_eq!(read(15), Err(Sense::invalid_cdb(6, None)));
        assert_eq!(read(75), Err(Sense::invalid_cdb(6, None)));
    }

    #[test]
    fn commands_of_disks_are_unknown() {
        // UNMAP, WRITE (10), SYNCHRONIZE CACHE (10), READ (16).
        for opcode in [0x42, 0x2a, 0x35, 0x88] {
            let sense = MmcCdb::decode(&[opcode; 16]).unwrap_err();
            assert_eq!(sense.additional, asc::INVALID_COMMAND_OPERATION_CODE);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(
            index in 0..COMMANDS.len(), noise in prop::collection::vec(any::<u8>(), 0..16),
        ) {
            let info = &COMMANDS[index];
            let mut cdb: Vec<u8> = noise.iter().zip(info.usage).map(|(n, u)| n & u).collect();
            if let Some(first) = cdb.first_mut() {
                *first = info.opcode;
            }
            for bytes in [&cdb, &noise] {
                if let Err(sense) = MmcCdb::decode(bytes) {
                    prop_assert_eq!(sense.key, SenseKey::IllegalRequest);
                }
            }
        }
    }
}
