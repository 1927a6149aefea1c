// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What drive and disc can do: GET CONFIGURATION.
//!
//! Claimed is only what all commands of a feature are there for. So there is
//! neither Power Management nor Real-Time Streaming, which MMC-6 has in the
//! profile of a DVD-ROM.

use protocol::scsi::mmc::cdb::FeatureRequest;
use protocol::scsi::mmc::feature::{
    code, profile, FeatureHeader, Header, ProfileEntry, CD_READ, CD_READ_VERSION, CURRENT,
    INTERFACE_SCSI, PERSISTENT, RANDOM_READABLE, REMOVABLE_MEDIUM_VERSION, TRAY,
};
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use super::CdRom;
use crate::data_in::DataIn;
use crate::unit::Task;

/// The profiles that there are, the newest first as MMC-6 has it.
const PROFILES: [u16; 2] = [profile::DVD_ROM, profile::CD_ROM];

struct Feature {
    code: u16,
    flags: u8,
    body: Vec<u8>,
}

impl Feature {
    /// One that is always there.
    fn persistent(code: u16, version: u8, body: &[u8]) -> Self {
        Self {
            code,
            flags: version | PERSISTENT | CURRENT,
            body: body.to_vec(),
        }
    }

    /// One that depends on the medium.
    fn of_medium(code: u16, version: u8, is_current: bool, body: &[u8]) -> Self {
        Self {
            code,
            flags: version | if is_current { CURRENT } else { 0 },
            body: body.to_vec(),
        }
    }

    fn is_wanted(&self, request: FeatureRequest) -> bool {
        match request {
            FeatureRequest::All(start) => self.code >= start,
            FeatureRequest::Current(start) => self.code >= start && self.flags & CURRENT != 0,
            FeatureRequest::One(code) => self.code == code,
        }
    }

    fn encode(self) -> Vec<u8> {
        let header = FeatureHeader {
            code: U16::new(self.code),
            flags: self.flags,
            // Each body is a few bytes long.
            len: u8::try_from(self.body.len()).unwrap_or(u8::MAX),
        };
        [header.as_bytes(), &self.body].concat()
    }
}

/// All features, in the order of their codes.
fn features(current: u16) -> [Feature; 6] {
    let profiles = PROFILES.map(|profile| ProfileEntry {
        profile: U16::new(profile),
        current: u8::from(profile == current),
        reserved: 0,
    });
    let (is_cd, is_dvd) = (current == profile::CD_ROM, current == profile::DVD_ROM);
    [
        Feature::persistent(code::PROFILE_LIST, 0, profiles.as_bytes()),
        Feature::persistent(code::CORE, 0, INTERFACE_SCSI.as_bytes()),
        Feature::persistent(
            code::REMOVABLE_MEDIUM,
            REMOVABLE_MEDIUM_VERSION,
            TRAY.as_bytes(),
        ),
        Feature::of_medium(
            code::RANDOM_READABLE,
            0,
            is_cd || is_dvd,
            RANDOM_READABLE.as_bytes(),
        ),
        Feature::of_medium(code::CD_READ, CD_READ_VERSION, is_cd, &CD_READ),
        Feature::of_medium(code::DVD_READ, 0, is_dvd, &[]),
    ]
}

impl CdRom {
    /// GET CONFIGURATION.
    pub(super) fn get_configuration(
        &self,
        task: &Task<'_>,
        request: FeatureRequest,
        allocation: u32,
    ) -> u64 {
        let profile = self.drive.profile();
        let wanted: Vec<u8> = features(profile)
            .into_iter()
            .filter(|feature| feature.is_wanted(request))
            .flat_map(Feature::encode)
            .collect();
        let mut data = DataIn::new(task.data_in, allocation);
        data.put(&Header::new(wanted.len(), profile));
        data.finish(wanted.as_slice())
    }
}
