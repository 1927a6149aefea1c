// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands, and what a host reads out of a call.

use super::{Call, Capabilities};
use crate::vmci::Handle;

/// A command; any number may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command(pub u32);

impl Command {
    /// Begins, and forgets what was before: the guest tells its capabilities.
    pub const START: Self = Self(0);
    /// Asks for the target, and tells how many pages the guest has.
    pub const GET_TARGET: Self = Self(1);
    /// Gives a page.
    pub const LOCK: Self = Self(2);
    /// Takes a page back.
    pub const UNLOCK: Self = Self(3);
    /// Tells what system the guest is.
    pub const GUEST_ID: Self = Self(4);
    /// Gives the pages of a batch.
    pub const BATCHED_LOCK: Self = Self(6);
    /// Takes the pages of a batch back.
    pub const BATCHED_UNLOCK: Self = Self(7);
    /// Gives the pages of 2 MiB of a batch.
    pub const BATCHED_2M_LOCK: Self = Self(8);
    /// Takes the pages of 2 MiB of a batch back.
    pub const BATCHED_2M_UNLOCK: Self = Self(9);
    /// Tells the doorbell to ring when the target changes.
    pub const DOORBELL_SET: Self = Self(10);

    /// One more than the highest known number; 5 is none.
    pub const COUNT: usize = 11;

    /// Known commands and what they are called.
    pub const NAMES: [(Self, &'static str); 10] = [
        (Self::START, "start"),
        (Self::GET_TARGET, "get-target"),
        (Self::LOCK, "lock"),
        (Self::UNLOCK, "unlock"),
        (Self::GUEST_ID, "guest-id"),
        (Self::BATCHED_LOCK, "batched-lock"),
        (Self::BATCHED_UNLOCK, "batched-unlock"),
        (Self::BATCHED_2M_LOCK, "batched-2m-lock"),
        (Self::BATCHED_2M_UNLOCK, "batched-2m-unlock"),
        (Self::DOORBELL_SET, "doorbell-set"),
    ];

    /// What it is called, if it is known.
    pub fn name(self) -> Option<&'static str> {
        let mut known = Self::NAMES.iter();
        known
            .find(|(command, _)| *command == self)
            .map(|(_, name)| *name)
    }

    /// The command that is called so.
    pub fn by_name(name: &str) -> Option<Self> {
        let mut known = Self::NAMES.iter();
        known
            .find(|(_, known)| *known == name)
            .map(|(command, _)| *command)
    }

    /// Whether a success of it carries the target.
    #[inline]
    pub const fn carries_target(self) -> bool {
        self.0 == Self::GET_TARGET.0 || self.operation().is_some()
    }

    /// What it does to pages of which size, if it does.
    #[inline]
    pub const fn operation(self) -> Option<(Operation, PageSize)> {
        Some(match self {
            Self::LOCK | Self::BATCHED_LOCK => (Operation::Lock, PageSize::Small),
            Self::UNLOCK | Self::BATCHED_UNLOCK => (Operation::Unlock, PageSize::Small),
            Self::BATCHED_2M_LOCK => (Operation::Lock, PageSize::Large),
            Self::BATCHED_2M_UNLOCK => (Operation::Unlock, PageSize::Large),
            _ => return None,
        })
    }

    /// Whether it is about the pages of a batch.
    #[inline]
    pub const fn is_batch(self) -> bool {
        self.operation().is_some() && self.0 != Self::LOCK.0 && self.0 != Self::UNLOCK.0
    }

    /// The command for single pages of 4 KiB.
    #[inline]
    pub const fn single(operation: Operation) -> Self {
        match operation {
            Operation::Lock => Self::LOCK,
            Operation::Unlock => Self::UNLOCK,
        }
    }

    /// The command for a batch.
    #[inline]
    pub const fn batched(operation: Operation, size: PageSize) -> Self {
        match (operation, size) {
            (Operation::Lock, PageSize::Small) => Self::BATCHED_LOCK,
            (Operation::Unlock, PageSize::Small) => Self::BATCHED_UNLOCK,
            (Operation::Lock, PageSize::Large) => Self::BATCHED_2M_LOCK,
            (Operation::Unlock, PageSize::Large) => Self::BATCHED_2M_UNLOCK,
        }
    }
}

/// What is done to pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// They go to the host.
    Lock,
    /// They come back.
    Unlock,
}

/// The size of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PageSize {
    /// 4 KiB.
    Small,
    /// 2 MiB.
    Large,
}

impl PageSize {
    /// Its size in pages of 4 KiB.
    #[inline]
    pub const fn pages(self) -> u64 {
        match self {
            Self::Small => 1,
            Self::Large => 512,
        }
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// The guest begins, and can do this. Without any capability it has ended.
    Start(Capabilities),
    /// The target is wanted; the guest has so many pages.
    GetTarget(u64),
    /// A page is given or taken.
    Single(Operation, u64),
    /// A batch is.
    Batch {
        /// Whether pages are given or taken.
        operation: Operation,
        /// How large they are.
        size: PageSize,
        /// The number of the batch page.
        page: u64,
        /// Entries in it, of which there may be too many.
        count: u64,
    },
    /// The guest is such a system.
    GuestId(u64),
    /// This doorbell is to ring, or none.
    DoorbellSet(Option<Handle>),
    /// There is no such command.
    Unknown(Command),
}

impl From<Call> for Request {
    fn from(call: Call) -> Self {
        let Call {
            command,
            arg1,
            arg2,
            ..
        } = call;
        match (command, command.operation()) {
            (Command::START, _) => Self::Start(Capabilities(arg1)),
            (Command::GET_TARGET, _) => Self::GetTarget(arg1),
            (Command::LOCK, _) => Self::Single(Operation::Lock, arg1),
            (Command::UNLOCK, _) => Self::Single(Operation::Unlock, arg1),
            (_, Some((operation, size))) => Self::Batch {
                operation,
                size,
                page: arg1,
                count: arg2,
            },
            (Command::GUEST_ID, _) => Self::GuestId(arg1),
            (Command::DOORBELL_SET, _) => {
                let handle = Handle::new(arg1 as u32, arg2 as u32);
                Self::DoorbellSet(handle.valid())
            }
            _ => Self::Unknown(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn commands_with_a_target() {
        let with = (0..20).filter(|number| Command(*number).carries_target());
        assert!(with.eq([1, 2, 3, 6, 7, 8, 9]));
    }

    #[test]
    fn known_commands_have_names() {
        for (command, name) in Command::NAMES {
            assert_eq!(command.name(), Some(name));
            assert_eq!(Command::by_name(name), Some(command));
            assert!((command.0 as usize) < Command::COUNT);
        }
        assert_eq!(Command(5).name(), None);
    }

    #[test]
    fn operations_find_their_commands() {
        for operation in [Operation::Lock, Operation::Unlock] {
            let single = Command::single(operation);
            assert_eq!(single.operation(), Some((operation, PageSize::Small)));
            for size in [PageSize::Small, PageSize::Large] {
                let batched = Command::batched(operation, size);
                assert_eq!(batched.operation(), Some((operation, size)));
            }
        }
    }

    #[test]
    fn a_doorbell_of_ones_is_none() {
        let none = Request::DoorbellSet(None);
        assert_eq!(Request::from(Call::doorbell_set(None)), none);
        // What Linux sends has 32 ones in each.
        let ones = u64::from(u32::MAX);
        let call = Call {
            command: Command::DOORBELL_SET,
            arg1: ones,
            arg2: ones,
        };
        assert_eq!(Request::from(call), none);
        let handle = Handle::new(3, 70);
        let set = Call::doorbell_set(Some(handle));
        assert_eq!(Request::from(set), Request::DoorbellSet(Some(handle)));
    }

    proptest! {
        #[test]
        fn unknown_commands_stay_what_they_are(number: u32, arg1: u64, arg2: u64) {
            let call = Call { command: Command(number), arg1, arg2 };
            let unknown = Request::from(call) == Request::Unknown(Command(number));
            prop_assert_eq!(unknown, number == 5 || number > 10);
        }
    }
}
