// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is on the disc: one session with one track, which is all of it.

use protocol::scsi::mmc::cdb::{TocFormat, TrackAddress};
use protocol::scsi::mmc::disc::{
    structure, DiscInformation, List, MechanismStatus, Physical, StructureHeader, TrackInformation,
    DOOR_OPEN,
};
use protocol::scsi::mmc::feature::profile;
use protocol::scsi::mmc::toc::{self, FullEntry, TrackEntry, LEAD_OUT};
use protocol::scsi::mmc::ONLY;
use protocol::scsi::sense::{asc, Sense};
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use super::medium::Medium;
use super::CdRom;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

/// The copyright information of a disc that is not protected.
const NO_COPYRIGHT: [u8; 4] = [0; 4];

impl CdRom {
    /// READ TOC/PMA/ATIP. A DVD has a table that is made up from its one track.
    pub(super) fn read_toc(
        &self,
        task: &Task<'_>,
        format: TocFormat,
        msf: bool,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let medium = self.drive.medium()?;
        let track = TrackEntry::new(ONLY, toc::address(0, msf));
        let lead_out = TrackEntry::new(LEAD_OUT, toc::address(medium.blocks(), msf));
        let wrong_number = || Sense::invalid_cdb(6, None);
        let entries = match format {
            TocFormat::Tracks(0 | ONLY) => [track, lead_out].as_bytes().to_vec(),
            TocFormat::Tracks(LEAD_OUT) => lead_out.as_bytes().to_vec(),
            TocFormat::Tracks(_) => return Err(wrong_number().into()),
            TocFormat::Sessions => track.as_bytes().to_vec(),
            TocFormat::Full(0 | ONLY) => FullEntry::all(medium.blocks()).as_bytes().to_vec(),
            TocFormat::Full(_) => return Err(wrong_number().into()),
        };
        let mut data = DataIn::new(task.data_in, allocation);
        data.put(&toc::Header::new(entries.len()));
        Ok(data.finish(entries.as_slice()))
    }

    /// READ DISC INFORMATION.
    pub(super) fn read_disc_information(
        &self,
        task: &Task<'_>,
        allocation: u32,
    ) -> Result<u64, Failure> {
        self.drive.medium()?;
        Ok(DataIn::new(task.data_in, allocation).finish(&DiscInformation::READ_ONLY))
    }

    /// READ TRACK INFORMATION.
    pub(super) fn read_track_information(
        &self,
        task: &Task<'_>,
        address: TrackAddress,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let medium = self.drive.medium()?;
        match address {
            TrackAddress::Track(number) | TrackAddress::Session(number)
                if number != u32::from(ONLY) =>
            {
                return Err(Sense::invalid_cdb(2, None).into());
            }
            TrackAddress::Block(lba) if lba >= medium.blocks() => {
                return Err(Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE).into());
            }
            _ => {}
        }
        let track = TrackInformation::new(medium.blocks());
        Ok(DataIn::new(task.data_in, allocation).finish(&track))
    }

    /// READ DISC STRUCTURE. Only a DVD has some.
    pub(super) fn read_disc_structure(
        &self,
        task: &Task<'_>,
        layer: u8,
        format: u8,
        allocation: u32,
    ) -> Result<u64, Failure> {
        let medium = self.drive.medium()?;
        if medium.profile() != profile::DVD_ROM {
            return Err(Sense::illegal(asc::CANNOT_READ_MEDIUM_INCOMPATIBLE_FORMAT).into());
        }
        let found = match (format, layer) {
            (structure::PHYSICAL, 1..) => return Err(Sense::invalid_cdb(6, None).into()),
            (format, _) => disc_structure(&medium, format),
        };
        let found = found.ok_or(Sense::invalid_cdb(7, None))?;
        let mut data = DataIn::new(task.data_in, allocation);
        data.put(&StructureHeader::new(found.len()));
        Ok(data.finish(found.as_slice()))
    }

    /// MECHANISM STATUS.
    pub(super) fn mechanism_status(&self, task: &Task<'_>, allocation: u32) -> u64 {
        let status = MechanismStatus {
            changer: 0,
            mechanism: if self.drive.is_open() { DOOR_OPEN } else { 0 },
            lba: [0; 3],
            slots: 0,
            slot_table_len: U16::ZERO,
        };
        DataIn::new(task.data_in, allocation).finish(&status)
    }
}

fn disc_structure(medium: &Medium, format: u8) -> Option<Vec<u8>> {
    let physical = Physical::new(medium.blocks());
    Some(match format {
        structure::PHYSICAL => physical.as_bytes().to_vec(),
        structure::COPYRIGHT => NO_COPYRIGHT.to_vec(),
        structure::LIST => {
            let list = [
                List::readable(structure::PHYSICAL, size_of_val(&physical)),
                List::readable(structure::COPYRIGHT, NO_COPYRIGHT.len()),
            ];
            list.as_bytes().to_vec()
        }
        _ => return None,
    })
}
