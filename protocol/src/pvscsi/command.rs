// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands to the adapter itself: a number, then a descriptor word by word.

use core::mem::size_of;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::request::Context;
use super::ring::{MAX_MESSAGE_PAGES, MAX_RING_PAGES};
use super::PAGE_SHIFT;
use crate::hyperv::wire::wire;

/// A command. Any value may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub u32);

impl Command {
    /// Forgets the rings and all that is in them.
    pub const ADAPTER_RESET: Self = Self(1);
    /// A SCSI command without a ring. Nobody sends it.
    pub const ISSUE_SCSI: Self = Self(2);
    /// Where the rings are: [`SetupRings`].
    pub const SETUP_RINGS: Self = Self(3);
    /// Ends all commands and resets all targets.
    pub const RESET_BUS: Self = Self(4);
    /// Ends the commands of a target and resets that: [`ResetDevice`].
    pub const RESET_DEVICE: Self = Self(5);
    /// Ends one command: [`AbortCommand`].
    pub const ABORT_COMMAND: Self = Self(6);
    /// Asks for a page about the adapter: [`Config`].
    pub const CONFIG: Self = Self(7);
    /// Where the message ring is: [`SetupMessageRing`]. After [`SETUP_RINGS`](Self::SETUP_RINGS).
    pub const SETUP_MESSAGE_RING: Self = Self(8);
    /// Takes a device away. What its descriptor has is not known.
    pub const DEVICE_UNPLUG: Self = Self(9);
    /// Whether requests may go without a kick: [`SetupRequestThreshold`].
    pub const SETUP_REQUEST_THRESHOLD: Self = Self(10);
    /// Asks how many targets there are, which is what the status says then. Linux asks for a
    /// page instead.
    pub const GET_MAX_TARGETS: Self = Self(11);

    /// How many words its descriptor has, if that is known.
    pub const fn words(self) -> Option<usize> {
        let size = match self {
            Self::ADAPTER_RESET | Self::RESET_BUS | Self::GET_MAX_TARGETS => 0,
            Self::SETUP_RINGS => size_of::<SetupRings>(),
            Self::RESET_DEVICE => size_of::<ResetDevice>(),
            Self::ABORT_COMMAND => size_of::<AbortCommand>(),
            Self::CONFIG => size_of::<Config>(),
            Self::SETUP_MESSAGE_RING => size_of::<SetupMessageRing>(),
            Self::SETUP_REQUEST_THRESHOLD => size_of::<SetupRequestThreshold>(),
            _ => return None,
        };
        size.checked_div(size_of::<u32>())
    }
}

/// What [`COMMAND_STATUS`](super::register::COMMAND_STATUS) has after a command that there is
/// not, or that has failed.
///
/// So a driver asks for [`Command::SETUP_MESSAGE_RING`] and
/// [`Command::SETUP_REQUEST_THRESHOLD`] by writing the number alone.
pub const FAILED: u32 = u32::MAX;

/// The descriptor of a command.
pub trait Descriptor: IntoBytes + Immutable {
    /// The command.
    const COMMAND: Command;

    /// The words to write, in their order.
    fn words(&self) -> impl Iterator<Item = u32> {
        let words = self.as_bytes().chunks_exact(size_of::<u32>());
        words.map(|word| word.try_into().map_or(0, u32::from_le_bytes))
    }
}

/// Numbers of pages that follow each other, as one allocation has them, then zeros.
fn page_numbers<const MAX: usize>(address: u64, pages: u32) -> [U64; MAX] {
    let first = address >> PAGE_SHIFT;
    let mut numbers = [U64::ZERO; MAX];
    for (number, index) in numbers.iter_mut().zip(0..u64::from(pages)) {
        *number = U64::new(first.wrapping_add(index));
    }
    numbers
}

/// Pages of memory that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pages {
    /// The address of the first one.
    pub address: u64,
    /// How many there are.
    pub count: u32,
}

wire! {
    /// Where the rings and the page of their state are.
    pub struct SetupRings: 528 {
        /// Pages of the request ring: a power of two.
        pub request_pages: U32,
        /// Pages of the completion ring: a power of two.
        pub completion_pages: U32,
        /// The page of [`RingsState`](super::RingsState).
        pub state_page: U64,
        /// The pages of the request ring.
        pub request: [U64; MAX_RING_PAGES as usize],
        /// The pages of the completion ring.
        pub completion: [U64; MAX_RING_PAGES as usize],
    }
}

impl SetupRings {
    /// Rings in these pages. No more than [`MAX_RING_PAGES`] of each are named.
    pub fn new(state: u64, request: Pages, completion: Pages) -> Self {
        Self {
            request_pages: U32::new(request.count),
            completion_pages: U32::new(completion.count),
            state_page: U64::new(state >> PAGE_SHIFT),
            request: page_numbers(request.address, request.count),
            completion: page_numbers(completion.address, completion.count),
        }
    }
}

impl Descriptor for SetupRings {
    const COMMAND: Command = Command::SETUP_RINGS;
}

wire! {
    /// Where the message ring is.
    pub struct SetupMessageRing: 136 {
        /// Pages of the ring: a power of two.
        pub pages: U32,
        /// Zero.
        pub reserved: U32,
        /// The pages.
        pub ring: [U64; MAX_MESSAGE_PAGES as usize],
    }
}

impl SetupMessageRing {
    /// A ring in these pages. No more than [`MAX_MESSAGE_PAGES`] are named.
    pub fn new(ring: Pages) -> Self {
        Self {
            pages: U32::new(ring.count),
            reserved: U32::ZERO,
            ring: page_numbers(ring.address, ring.count),
        }
    }
}

impl Descriptor for SetupMessageRing {
    const COMMAND: Command = Command::SETUP_MESSAGE_RING;
}

wire! {
    /// Which target to reset.
    pub struct ResetDevice: 12 {
        /// The target.
        pub target: U32,
        /// The unit, as in a request. Linux resets the first one.
        pub lun: [u8; 8],
    }
}

impl ResetDevice {
    /// A target.
    pub fn new(target: u32) -> Self {
        Self {
            target: U32::new(target),
            lun: [0; 8],
        }
    }
}

impl Descriptor for ResetDevice {
    const COMMAND: Command = Command::RESET_DEVICE;
}

wire! {
    /// Which command to end.
    pub struct AbortCommand: 16 {
        /// The [`Context`] of its request.
        pub context: U64,
        /// Its target.
        pub target: U32,
        /// Zero.
        pub reserved: U32,
    }
}

impl AbortCommand {
    /// A command of a target.
    pub fn new(context: Context, target: u32) -> Self {
        Self {
            context: U64::new(context.0),
            target: U32::new(target),
            reserved: U32::ZERO,
        }
    }
}

impl Descriptor for AbortCommand {
    const COMMAND: Command = Command::ABORT_COMMAND;
}

wire! {
    /// Which page about the adapter to write, and where to.
    pub struct Config: 24 {
        /// Where to.
        pub destination: U64,
        /// What the page is about: the kind of address in the upper half, the address in the lower.
        pub address: U64,
        /// The number of the page.
        pub page: U32,
        /// Zero.
        pub reserved: U32,
    }
}

impl Config {
    /// Page about a controller.
    pub const CONTROLLER_PAGE: u32 = 0x1958;
    /// The kind of address of a controller, which has no number.
    pub const CONTROLLER_ADDRESS: u64 = 0x2120 << 32;

    /// Asks for the [`ControllerPage`](super::config::ControllerPage).
    pub fn controller(destination: u64) -> Self {
        Self {
            destination: U64::new(destination),
            address: U64::new(Self::CONTROLLER_ADDRESS),
            page: U32::new(Self::CONTROLLER_PAGE),
            reserved: U32::ZERO,
        }
    }
}

impl Descriptor for Config {
    const COMMAND: Command = Command::CONFIG;
}

wire! {
    /// Whether reads and writes need a kick only once
    /// [enough of them](super::RingsState::request_threshold) are there.
    ///
    /// A status other than zero says that this is so from now on.
    pub struct SetupRequestThreshold: 4 {
        /// 1 for yes.
        pub enable: U32,
    }
}

impl SetupRequestThreshold {
    /// Yes.
    pub const ENABLE: Self = Self {
        enable: U32::new(1),
    };
}

impl Descriptor for SetupRequestThreshold {
    const COMMAND: Command = Command::SETUP_REQUEST_THRESHOLD;
}

#[cfg(test)]
#[expect(clippy::indexing_slicing, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec::Vec;

    #[test]
    fn numbers_of_words_are_those_of_the_descriptors() {
        let cases = [
            (Command::ADAPTER_RESET, Some(0)),
            (Command::RESET_BUS, Some(0)),
            (Command::SETUP_RINGS, Some(132)),
            (Command::RESET_DEVICE, Some(3)),
            (Command::ABORT_COMMAND, Some(4)),
            (Command::CONFIG, Some(6)),
            (Command::SETUP_MESSAGE_RING, Some(34)),
            (Command::SETUP_REQUEST_THRESHOLD, Some(1)),
            (Command::ISSUE_SCSI, None),
            (Command::DEVICE_UNPLUG, None),
            (Command::GET_MAX_TARGETS, Some(0)),
            (Command(0), None),
            (Command(12), None),
        ];
        for (command, words) in cases {
            assert_eq!(command.words(), words, "{command:?}");
        }
    }

    #[test]
    fn words_are_little_endian_and_in_order() {
        let abort = AbortCommand::new(Context(0x1_0000_0002), 3);
        assert_eq!(abort.words().collect::<Vec<_>>(), [2, 1, 3, 0]);
        let config = Config::controller(0x1234_5678_9000);
        let words: Vec<_> = config.words().collect();
        assert_eq!(words, [0x5678_9000, 0x1234, 0, 0x2120, 0x1958, 0]);
    }

    #[test]
    fn rings_are_named_by_their_pages() {
        let request = Pages {
            address: 0x10_0000,
            count: 2,
        };
        let completion = Pages {
            address: 0x20_0000,
            count: 1,
        };
        let setup = SetupRings::new(0x30_0000, request, completion);
        let words: Vec<_> = setup.words().collect();
        assert_eq!(words[..9], [2, 1, 0x300, 0, 0x100, 0, 0x101, 0, 0]);
        assert_eq!(words[4 + 64..][..4], [0x200, 0, 0, 0]);
    }

    proptest! {
        #[test]
        fn any_setup_has_as_many_words_as_its_command(address: u64, count: u32) {
            let pages = Pages { address, count };
            let rings = SetupRings::new(address, pages, pages);
            prop_assert_eq!(Some(rings.words().count()), Command::SETUP_RINGS.words());
            let messages = SetupMessageRing::new(pages);
            prop_assert_eq!(Some(messages.words().count()), Command::SETUP_MESSAGE_RING.words());
        }
    }
}
