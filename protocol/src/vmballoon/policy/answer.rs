// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a guest makes of the host's word on a page.
//!
//! The host writes its word beside the number of the page, in memory that it may write all of. So
//! the number is looked at again, in the same word as the status: what the host says of a page that
//! it was not asked about says nothing of the page that it was asked about.

use crate::vmballoon::{Command, Entry, Operation, Status};

/// The host's word on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This became of it.
    Status(Status),
    /// It is about this page, which is another one.
    Other(u64),
}

impl Answer {
    /// What `entry` says of the page that it was sent for.
    #[inline]
    pub fn of(entry: Entry, page: u64) -> Self {
        if entry.page() == page {
            Self::Status(entry.status())
        } else {
            Self::Other(entry.page())
        }
    }

    /// The same if it was said in a command of which `command` became: that of the command comes
    /// first.
    #[inline]
    pub fn after(self, command: Status) -> Self {
        match (command, self) {
            (Status::SUCCESS, answer) => answer,
            _ => Self::Status(command),
        }
    }

    /// Whose page it is now.
    #[inline]
    pub fn fate(self, operation: Operation) -> Fate {
        match (operation, self) {
            (_, Self::Status(Status::SUCCESS)) => Fate::Done,
            // What is not in the balloon need not be taken out of it.
            (Operation::Unlock, Self::Status(Status::PAGE_UNLOCKED)) => Fate::Done,
            (_, Self::Status(_)) => Fate::Refused,
            (_, Self::Other(_)) => Fate::Unknown,
        }
    }

    /// Whether the host wants no more pages.
    #[inline]
    pub fn is_enough(self) -> bool {
        self == Self::Status(Status::PAGE_NOT_NEEDED)
    }
}

/// Whether a run ends with a command of which this became. That of a command for a single page is the
/// page's, and one page is as good as another.
#[inline]
pub fn ends_run(command: Command, status: Status) -> bool {
    let is_page = matches!(
        status,
        Status::PAGE_INVALID | Status::PAGE_LOCKED | Status::PAGE_UNLOCKED | Status::PAGE_PINNED
    );
    let is_single = matches!(command, Command::LOCK | Command::UNLOCK);
    let is_of_page = is_page && is_single;
    !status.is_success() && !is_of_page
}

/// Whose a page is after a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// As wanted: the host's if it was given, the guest's if it was taken.
    Done,
    /// As before.
    Refused,
    /// Nobody knows. It must not be used before the host has forgotten the balloon.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use zerocopy::little_endian::U64;

    fn answer(status: Status) -> Answer {
        Answer::of(Entry::new(7).with_status(status), 7)
    }

    #[test]
    fn fates() {
        use Operation::{Lock, Unlock};
        assert_eq!(answer(Status::SUCCESS).fate(Lock), Fate::Done);
        assert_eq!(answer(Status::SUCCESS).fate(Unlock), Fate::Done);
        assert_eq!(answer(Status::PAGE_UNLOCKED).fate(Lock), Fate::Refused);
        assert_eq!(answer(Status::PAGE_UNLOCKED).fate(Unlock), Fate::Done);
        for status in [Status::PAGE_LOCKED, Status::BUSY, Status(31)] {
            assert_eq!(answer(status).fate(Lock), Fate::Refused);
            assert_eq!(answer(status).fate(Unlock), Fate::Refused);
        }
        assert!(answer(Status::PAGE_NOT_NEEDED).is_enough());
        assert!(!answer(Status::BUSY).is_enough());
    }

    #[test]
    fn what_ends_a_run() {
        assert!(!ends_run(Command::BATCHED_LOCK, Status::SUCCESS));
        assert!(ends_run(Command::BATCHED_LOCK, Status::PAGE_PINNED));
        assert!(!ends_run(Command::LOCK, Status::PAGE_PINNED));
        assert!(ends_run(Command::LOCK, Status::BUSY));
        assert!(ends_run(Command::UNLOCK, Status::RESET));
    }

    #[test]
    fn the_command_comes_first() {
        let done = answer(Status::SUCCESS);
        assert_eq!(done.after(Status::SUCCESS), done);
        assert_eq!(done.after(Status::RESET), Answer::Status(Status::RESET));
        let other = Answer::of(Entry::new(8), 7);
        assert_eq!(
            other.after(Status::BUSY).fate(Operation::Lock),
            Fate::Refused
        );
    }

    proptest! {
        #[test]
        fn a_word_on_another_page_decides_nothing(raw: u64, page in 0u64..1 << 52) {
            let entry = Entry(U64::new(raw));
            let fate = Answer::of(entry, page).fate(Operation::Lock);
            prop_assert_eq!(fate == Fate::Unknown, raw >> 12 != page);
            let same = Entry::new(page).with_status(Status(raw as u32 & 31));
            let expected = if raw & 31 == 0 { Fate::Done } else { Fate::Refused };
            prop_assert_eq!(Answer::of(same, page).fate(Operation::Lock), expected);
        }
    }
}
