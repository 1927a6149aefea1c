// SPDX-License-Identifier: GPL-2.0

//! Module parameters, and the limits that follow from them.

use kernel::prelude::*;
use protocol::storvsp::{
    packet::PACKET_SIZE,
    MAX_FC_TARGETS,
    MAX_FC_TRANSFER,
    MAX_LUNS,
    MAX_PATHS,
    MAX_TARGETS, //
};
use protocol::vmbus::{
    class,
    Guid, //
};

guest::module_param_int! {
    /// What is said of commands that fail.
    static logging_level: 1,
    mode: 0o644,
    description: "Logging level, 0 - None, 1 - Error (default), 2 - Warning.",
}

guest::module_param_int! {
    /// Size of each ring.
    static storvsc_ringbuffer_size: 128 * 1024,
    mode: 0o444,
    description: "Ring buffer size (bytes)",
}

guest::module_param_uint! {
    /// Hardware queues, if it is not one for each CPU.
    static storvsc_max_hw_queues: 0,
    mode: 0o644,
    description: "Maximum number of hardware queues",
}

guest::module_param_int! {
    /// How many CPUs there are for each channel.
    static storvsc_vcpus_per_sub_channel: 4,
    mode: 0o444,
    description: "Ratio of VCPUs to subchannels",
}

guest::module_param_int! {
    /// How much of a channel's ring has to be free for it to be used while others have more.
    static ring_avail_percent_lowater: 10,
    mode: 0o444,
    description: "Select a channel if available ring size > this in percent",
}

/// Bytes of a page.
pub(crate) const PAGE: u32 = 4096;

/// How important a message is, by `logging_level`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    Error = 1,
    Warning = 2,
}

impl Level {
    /// Whether there is to be a message.
    pub(crate) fn is_logged(self) -> bool {
        logging_level.get() >= self as i32
    }
}

/// What kind of controller a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Scsi,
    Ide,
    FibreChannel,
}

impl Kind {
    /// The kind by the class of the device. Those that a user has added are SCSI controllers.
    pub(crate) fn of(guid: Guid) -> Self {
        match guid {
            class::IDE => Self::Ide,
            class::FIBRE_CHANNEL => Self::FibreChannel,
            _ => Self::Scsi,
        }
    }

    /// Buses, targets of each, and units of each target.
    pub(crate) fn addresses(self) -> (u32, u32, u64) {
        match self {
            Self::Scsi => (MAX_PATHS.into(), MAX_TARGETS.into(), MAX_LUNS.into()),
            Self::Ide => (1, 1, 64),
            Self::FibreChannel => (MAX_PATHS.into(), MAX_FC_TARGETS.into(), MAX_LUNS.into()),
        }
    }
}

/// What a device is set up with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Bytes of a ring, with its header.
    pub(crate) ring_size: u32,
    /// Hardware queues.
    pub(crate) queues: u32,
    /// Commands in flight on each of them.
    pub(crate) queue_depth: u32,
}

impl Settings {
    /// The settings by the parameters, on a machine with so many CPUs.
    pub(crate) fn new(kind: Kind, online: u32, present: u32) -> Self {
        let ring_size = ring_size(storvsc_ringbuffer_size.get());
        let channels = match kind {
            Kind::Ide => 1,
            _ => channels(online, storvsc_vcpus_per_sub_channel.get()),
        };
        let queues = match (kind, storvsc_max_hw_queues.get()) {
            (Kind::Ide, _) => 1,
            (_, 0) => present,
            (_, wanted) => wanted.min(present),
        };
        Self {
            ring_size,
            queues: queues.max(1),
            queue_depth: queue_depth(ring_size, channels, low_water()),
        }
    }

    /// Most bytes of data of a command, of what the host allows.
    pub(crate) fn max_transfer(&self, kind: Kind, allowed: u32) -> u32 {
        let most = match kind {
            Kind::FibreChannel => MAX_FC_TRANSFER,
            _ => u32::MAX,
        };
        // A packet that never fits into the ring would be tried again for ever.
        let words = self.ring_size.saturating_sub(PAGE) / 8;
        let pages = words.saturating_sub(OVERHEAD / 8).min(MOST_PAGES);
        let fits = pages.saturating_sub(2).saturating_mul(PAGE);
        allowed.min(most).min(fits) / PAGE * PAGE
    }
}

/// A number of hardware queues that cannot be is no longer there. Returns whether it was.
pub(crate) fn forget_bad_queues(present: u32) -> bool {
    let is_bad = storvsc_max_hw_queues.get() > present;
    if is_bad {
        storvsc_max_hw_queues.set(0);
    }
    is_bad
}

/// How much of a ring has to be free, in percent.
pub(crate) fn low_water() -> u32 {
    u32::try_from(ring_avail_percent_lowater.get())
        .unwrap_or(0)
        .min(99)
}

/// What a packet has beside the numbers of pages: header, range, and the packet itself, its trailer
/// and a byte that stays free, in words.
const OVERHEAD: u32 = 32 + PACKET_SIZE as u32 + 8 + 8;

/// A packet says in 16 bits how many words it has.
const MOST_PAGES: u32 = 0xffff - OVERHEAD / 8;

/// Bytes of a ring with its header, for which there is room in large ones.
fn ring_size(parameter: i32) -> u32 {
    const MOST: u32 = 16 << 20;
    let size = u32::try_from(parameter)
        .unwrap_or(0)
        .clamp(PAGE, MOST)
        .next_multiple_of(PAGE);
    if size >= 8 * PAGE {
        size
    } else {
        size.saturating_add(PAGE)
    }
}

/// Channels that are reckoned with: one, and another for so many CPUs.
fn channels(online: u32, cpus_per_channel: i32) -> u32 {
    let each = u32::try_from(cpus_per_channel).unwrap_or(1).max(1);
    (online.saturating_sub(1) / each).saturating_add(1)
}

/// Commands for which there is room in all rings together, if each has 32 pages.
fn queue_depth(ring_size: u32, channels: u32, low_water: u32) -> u32 {
    const EACH: u32 = OVERHEAD - 8 + 32 * 8;
    let in_one = ring_size.saturating_sub(PAGE) / EACH;
    let used = 100u32.saturating_sub(low_water);
    (in_one.saturating_mul(channels).saturating_mul(used) / 100).max(1)
}

#[kunit_tests(hv_storvsc_settings)]
mod tests {
    use super::*;

    #[test]
    fn rings_are_of_whole_pages() {
        let cases = [
            (128 * 1024, 128 * 1024),
            (32 * 1024, 32 * 1024),
            (16 * 1024, 20 * 1024),
            (100_000, 102_400),
            (0, 8192),
            (-1, 8192),
            (i32::MAX, 16 << 20),
        ];
        for (parameter, expected) in cases {
            assert_eq!(ring_size(parameter), expected);
        }
    }

    #[test]
    fn depth_is_that_of_the_c_driver() {
        // (131072 - 4096) / 360 = 352 commands in a ring.
        assert_eq!(queue_depth(128 * 1024, 1, 10), 316);
        assert_eq!(queue_depth(128 * 1024, 4, 10), 1267);
        assert_eq!(queue_depth(128 * 1024, 1, 0), 352);
        assert_eq!(queue_depth(4096, 1, 10), 1);
    }

    #[test]
    fn cpus_share_channels() {
        let cases = [
            ((1, 4), 1),
            ((4, 4), 1),
            ((5, 4), 2),
            ((9, 4), 3),
            ((3, 1), 3),
            ((3, 0), 3),
        ];
        for ((online, each), expected) in cases {
            assert_eq!(channels(online, each), expected);
        }
        assert_eq!(channels(3, -1), 3);
    }

    #[test]
    fn transfers_are_of_whole_pages_that_fit() {
        let settings = Settings {
            ring_size: 128 * 1024,
            queues: 1,
            queue_depth: 1,
        };
        assert_eq!(settings.max_transfer(Kind::Scsi, 1 << 20), 1 << 20);
        assert_eq!(settings.max_transfer(Kind::Scsi, 8 << 20), 8 << 20);
        assert_eq!(settings.max_transfer(Kind::Scsi, 70_000), 69_632);
        assert_eq!(
            settings.max_transfer(Kind::FibreChannel, 1 << 20),
            512 << 10
        );
        assert_eq!(settings.max_transfer(Kind::Scsi, 4095), 0);
        let largest = settings.max_transfer(Kind::Scsi, u32::MAX);
        // With an offset there is one page more.
        assert!((largest / PAGE + 1) * 8 + OVERHEAD <= 128 * 1024 - PAGE);
    }
}
