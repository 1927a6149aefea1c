// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The configuration space of a virtio-scsi device (VIRTIO 1.3, section 5.6.4).

use core::mem::{offset_of, size_of};

use zerocopy::little_endian::{U16, U32};
use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::lun::FLAT_SPACE;

/// The configuration space. Read-only for the driver but for `sense_size` and `cdb_size`.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
    Unaligned,
)]
#[repr(C)]
pub struct Config {
    /// Number of request queues.
    pub num_queues: U32,
    /// Most data segments that one command may have.
    pub seg_max: U32,
    /// Largest transfer of one command, in sectors of 512 bytes. 0 leaves it to the driver.
    pub max_sectors: U32,
    /// Most commands that the driver should have in flight to one logical unit.
    pub cmd_per_lun: U32,
    /// Size of the buffers for events, always the size of [`super::Event`].
    pub event_info_size: U32,
    /// Size of the sense field in a response. Written by the driver.
    pub sense_size: U32,
    /// Size of the CDB field in a request. Written by the driver.
    pub cdb_size: U32,
    /// Highest channel number. The specification fixes it at 0.
    pub max_channel: U16,
    /// Highest target number.
    pub max_target: U16,
    /// Highest logical unit number.
    pub max_lun: U32,
}

const _: () = assert!(size_of::<Config>() == 36);
const _: () = assert!(offset_of!(Config, sense_size) == 20);
const _: () = assert!(offset_of!(Config, max_channel) == 28);
const _: () = assert!(offset_of!(Config, max_lun) == 32);

/// What a driver may do with a device, every value usable as it stands.
///
/// The configuration space may hold anything. Here zeros have become the
/// defaults that Linux has always used for them, and no value exceeds what the
/// request format can express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Number of request queues, at least 1.
    pub num_queues: u32,
    /// Data segments a command, at least 1 and at most [`Limits::MAX_SEGMENTS`].
    pub segments: u16,
    /// Sectors of 512 bytes a command, at least 1.
    pub sectors: u32,
    /// Commands in flight a logical unit, at least 1.
    pub commands_per_lun: u32,
    /// Number of targets, 1 to 256.
    pub targets: u16,
    /// Number of logical units a target, as the Linux SCSI layer counts them: it
    /// numbers a unit that was reported in flat space from 0x4000 on.
    pub luns: u32,
}

impl Limits {
    /// The value for `sectors` where the device gives none, as in Linux since the first driver.
    pub const DEFAULT_SECTORS: u32 = 0xffff;
    /// Most data segments ever used: a ring has at most 32768 descriptors, two of
    /// which the request and response headers need.
    pub const MAX_SEGMENTS: u16 = 32766;

    /// Derives the limits from a configuration space.
    pub fn new(config: &Config) -> Self {
        let segments = config.seg_max.get().clamp(1, u32::from(Self::MAX_SEGMENTS));
        let sectors = match config.max_sectors.get() {
            0 => Self::DEFAULT_SECTORS,
            sectors => sectors,
        };
        Self {
            num_queues: config.num_queues.get().max(1),
            segments: u16::try_from(segments).unwrap_or(Self::MAX_SEGMENTS),
            sectors,
            commands_per_lun: config.cmd_per_lun.get().max(1),
            targets: config.max_target.get().min(255).saturating_add(1),
            luns: Self::luns(config.max_lun.get()),
        }
    }

    /// Reduces the segments to what a ring of `ring_size` descriptors holds beside the two headers
    /// of a command: no command may need more descriptors than the ring has (VIRTIO 1.3, 2.7.5.3).
    ///
    /// Returns `false` if that is none.
    #[must_use]
    pub fn fit(&mut self, ring_size: u32) -> bool {
        let room = u16::try_from(ring_size.saturating_sub(2)).unwrap_or(Self::MAX_SEGMENTS);
        self.segments = self.segments.min(room);
        room != 0
    }

    /// Number of Linux LUNs for the device's highest LUN, no more than a [`super::Lun`] can name.
    fn luns(max_lun: u32) -> u32 {
        let flat = u32::from(FLAT_SPACE);
        max_lun.saturating_add(1).min(flat).saturating_add(flat)
    }
}

#[cfg(test)]
#[expect(clippy::expect_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::FromBytes;

    #[test]
    fn zeros_become_defaults() {
        let limits = Limits::new(&Config::default());
        let expected = Limits {
            num_queues: 1,
            segments: 1,
            sectors: 0xffff,
            commands_per_lun: 1,
            targets: 1,
            luns: 0x4001,
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn usual_device() {
        let config = Config {
            num_queues: U32::new(4),
            seg_max: U32::new(254),
            max_sectors: U32::new(0xffff),
            cmd_per_lun: U32::new(128),
            max_target: U16::new(255),
            max_lun: U32::new(16383),
            ..Config::default()
        };
        let limits = Limits::new(&config);
        assert_eq!((limits.num_queues, limits.segments), (4, 254));
        assert_eq!((limits.targets, limits.luns), (256, 0x8000));
    }

    #[test]
    fn a_command_fits_into_the_ring() {
        let config = Config {
            seg_max: U32::new(254),
            ..Config::default()
        };
        let cases = [(256, 254), (128, 126), (3, 1), (u32::MAX, 254)];
        for (ring_size, segments) in cases {
            let mut limits = Limits::new(&config);
            assert!(limits.fit(ring_size));
            assert_eq!(limits.segments, segments);
        }
        assert!(!Limits::new(&config).fit(2));
    }

    proptest! {
        #[test]
        fn any_config_gives_usable_limits(bytes: [u8; 36]) {
            let config = Config::read_from_bytes(&bytes).expect("size is exact");
            let limits = Limits::new(&config);
            prop_assert!(limits.num_queues >= 1);
            prop_assert!((1..=Limits::MAX_SEGMENTS).contains(&limits.segments));
            prop_assert!(limits.sectors >= 1 && limits.commands_per_lun >= 1);
            prop_assert!((1..=256).contains(&limits.targets));
            prop_assert!((0x4001..=0x8000).contains(&limits.luns));
        }
    }
}
