// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a guest answers when the host of an integration service asks for versions.
//!
//! Integration services (time, shutdown, heartbeat, key-value pairs …) share a header and the first
//! message: the host lists the versions of the framework and of the service that it speaks, the
//! guest puts the two that it has chosen in their place.
//!
//! Source: Linux 7.3, `include/linux/hyperv.h` (`icmsg_hdr`, `icmsg_negotiate`) and
//! `drivers/hv/channel_mgmt.c`.

use core::mem::size_of;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes as _, IntoBytes as _};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Bytes before the list: the header of the pipe and that of the service (`ICMSG_HDR`).
pub const HEADER_SIZE: usize = 28;

/// Most versions of each kind that a host may list (`IC_VERSION_NEGOTIATION_MAX_VER_COUNT`).
pub const MAX_VERSIONS: u16 = 100;

/// What the header of an answer says is its size.
pub const ANSWER_SIZE: u16 = 16;

/// A version of the framework or of a service (`ic_version`).
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Version {
    /// The major number.
    pub major: U16,
    /// The minor number.
    pub minor: U16,
}

impl Version {
    /// A version from the integer that drivers use: the major number above the minor one.
    pub const fn from_u32(value: u32) -> Self {
        let [a, b, c, d] = value.to_le_bytes();
        Self {
            major: U16::from_bytes([c, d]),
            minor: U16::from_bytes([a, b]),
        }
    }

    /// The integer that drivers use.
    pub const fn to_u32(self) -> u32 {
        let ([a, b], [c, d]) = (self.minor.to_bytes(), self.major.to_bytes());
        u32::from_le_bytes([a, b, c, d])
    }
}

/// What is before the versions (`icmsg_negotiate`).
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Counts {
    frameworks: U16,
    services: U16,
    reserved: U32,
}

const _: () = assert!(size_of::<Version>() == 4 && size_of::<Counts>() == 8);

/// The versions that both sides speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// Of the framework.
    pub framework: Version,
    /// Of the service.
    pub service: Version,
}

/// Why there is no agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The packet ends before its counts; it was left as it is.
    Short {
        /// Bytes that there are.
        len: usize,
    },
    /// There are more versions than can be, or than the packet has room for.
    Counts {
        /// How many of the framework the host says there are.
        frameworks: u16,
        /// How many of the service.
        services: u16,
    },
    /// There is none of the framework, or none of the service, that both sides speak.
    NothingCommon,
}

/// Chooses versions and writes the answer into `packet`, which begins with the header of the pipe.
///
/// `frameworks` and `services` are what the guest speaks, the best first. The host learns of a
/// refusal by counts of 0.
pub fn answer(packet: &mut [u8], frameworks: &[u32], services: &[u32]) -> Result<Agreed, Refusal> {
    let len = packet.len();
    let (counts, listed) = packet
        .get_mut(HEADER_SIZE..)
        .and_then(|body| Counts::mut_from_prefix(body).ok())
        .ok_or(Refusal::Short { len })?;
    let agreed = choose(counts, listed, frameworks, services).and_then(|agreed| {
        let chosen = [agreed.framework, agreed.service];
        chosen
            .write_to_prefix(listed)
            .map(|()| agreed)
            .or(Err(Refusal::Short { len }))
    });
    let count = U16::new(agreed.is_ok().into());
    (counts.frameworks, counts.services) = (count, count);
    agreed
}

fn choose(
    counts: &Counts,
    listed: &[u8],
    frameworks: &[u32],
    services: &[u32],
) -> Result<Agreed, Refusal> {
    let (of_framework, of_service) = (counts.frameworks.get(), counts.services.get());
    let malformed = Refusal::Counts {
        frameworks: of_framework,
        services: of_service,
    };
    if of_framework > MAX_VERSIONS || of_service > MAX_VERSIONS {
        return Err(malformed);
    }
    let (theirs, rest) = versions(listed, of_framework).ok_or(malformed)?;
    let (their_services, _) = versions(rest, of_service).ok_or(malformed)?;
    let framework = best(frameworks, theirs).ok_or(Refusal::NothingCommon)?;
    let service = best(services, their_services).ok_or(Refusal::NothingCommon)?;
    Ok(Agreed { framework, service })
}

/// The first `count` versions, and what is after them.
fn versions(listed: &[u8], count: u16) -> Option<(&[Version], &[u8])> {
    <[Version]>::ref_from_prefix_with_elems(listed, count.into()).ok()
}

/// The first of ours that they have.
fn best(ours: &[u32], theirs: &[Version]) -> Option<Version> {
    let mut ours = ours.iter().map(|version| Version::from_u32(*version));
    ours.find(|version| theirs.contains(version))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;
    use std::vec::Vec;

    const V1: u32 = 0x1_0000;
    const V3: u32 = 0x3_0000;
    const V4_1: u32 = 0x4_0001;

    fn packet(frameworks: &[u32], services: &[u32]) -> Vec<u8> {
        let mut packet = vec![0xee; HEADER_SIZE];
        packet.extend((frameworks.len() as u16).to_le_bytes());
        packet.extend((services.len() as u16).to_le_bytes());
        packet.extend([0; 4]);
        for version in frameworks.iter().chain(services) {
            packet.extend(((version >> 16) as u16).to_le_bytes());
            packet.extend((*version as u16).to_le_bytes());
        }
        packet
    }

    #[test]
    fn the_guest_chooses_its_best() {
        let mut bytes = packet(&[V1, V3], &[V1, V4_1, V3]);
        let agreed = answer(&mut bytes, &[V3, V1], &[0x5_0000, V4_1, V1]).unwrap();
        assert_eq!(agreed.framework.to_u32(), V3);
        assert_eq!(agreed.service.to_u32(), V4_1);
        let expected = packet(&[V3], &[V4_1]);
        assert_eq!(bytes.get(..expected.len()).unwrap(), expected);
    }

    #[test]
    fn nothing_common_is_two_zeros() {
        for (ours, services) in [(&[V4_1], &[V1]), (&[V3], &[V4_1])] {
            let mut bytes = packet(&[V1, V3], &[V1]);
            assert_eq!(
                answer(&mut bytes, ours, services),
                Err(Refusal::NothingCommon)
            );
            assert_eq!(bytes.get(28..32).unwrap(), [0; 4]);
        }
    }

    #[test]
    fn a_service_is_not_taken_from_the_list_of_frameworks() {
        let mut bytes = packet(&[V1, V3], &[V1]);
        assert_eq!(
            answer(&mut bytes, &[V1], &[V3]),
            Err(Refusal::NothingCommon)
        );
    }

    #[test]
    fn counts_beyond_the_packet_or_the_limit_are_refused() {
        let mut bytes = packet(&[V1], &[V1]);
        bytes[28] = 2;
        let counts = Refusal::Counts {
            frameworks: 2,
            services: 1,
        };
        assert_eq!(answer(&mut bytes, &[V1], &[V1]), Err(counts));
        let mut bytes = packet(&[V1; 101], &[V1]);
        let counts = Refusal::Counts {
            frameworks: 101,
            services: 1,
        };
        assert_eq!(answer(&mut bytes, &[V1], &[V1]), Err(counts));
        assert_eq!(bytes.get(28..32).unwrap(), [0; 4]);
    }

    #[test]
    fn a_short_packet_is_left_alone() {
        let mut bytes = packet(&[], &[]);
        bytes.truncate(35);
        let before = bytes.clone();
        assert_eq!(
            answer(&mut bytes, &[V1], &[V1]),
            Err(Refusal::Short { len: 35 })
        );
        assert_eq!(bytes, before);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..120),
            ours in proptest::collection::vec(0_u32..4, 0..4),
        ) {
            let before = bytes.clone();
            let _ = answer(&mut bytes, &ours, &ours);
            prop_assert_eq!(bytes.len(), before.len());
            let header = HEADER_SIZE.min(before.len());
            prop_assert_eq!(bytes.get(..header), before.get(..header));
        }

        #[test]
        fn what_is_agreed_is_spoken_by_both(
            theirs in proptest::collection::vec(0_u32..6, 0..5),
            ours in proptest::collection::vec(0_u32..6, 0..5),
        ) {
            let common = ours.iter().find(|version| theirs.contains(version));
            let agreed = answer(&mut packet(&theirs, &theirs), &ours, &ours).ok();
            prop_assert_eq!(agreed.map(|agreed| agreed.service.to_u32()), common.copied());
        }
    }
}
