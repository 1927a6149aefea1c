// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What became of a command, or of one page of a batch.

/// A status; any value may come. That of a page has five bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub u32);

impl Status {
    /// As wanted.
    pub const SUCCESS: Self = Self(0);
    /// There is no such command.
    pub const COMMAND_INVALID: Self = Self(1);
    /// There is no such page.
    pub const PAGE_INVALID: Self = Self(2);
    /// The page is in the balloon already.
    pub const PAGE_LOCKED: Self = Self(3);
    /// The page is not in the balloon.
    pub const PAGE_UNLOCKED: Self = Self(4);
    /// The host cannot do without the page.
    pub const PAGE_PINNED: Self = Self(5);
    /// The host does not want the page.
    pub const PAGE_NOT_NEEDED: Self = Self(6);
    /// The guest is to forget the balloon and start anew.
    pub const RESET: Self = Self(7);
    /// Not now.
    pub const BUSY: Self = Self(8);
    /// As wanted, of the first command: the guest is told capabilities.
    pub const SUCCESS_WITH_CAPABILITIES: Self = Self(0x0300_0000);

    /// Those that are no success, and what they are called.
    pub const FAILURES: [(Self, &'static str); 8] = [
        (Self::COMMAND_INVALID, "command-invalid"),
        (Self::PAGE_INVALID, "page-invalid"),
        (Self::PAGE_LOCKED, "page-locked"),
        (Self::PAGE_UNLOCKED, "page-unlocked"),
        (Self::PAGE_PINNED, "page-pinned"),
        (Self::PAGE_NOT_NEEDED, "page-not-needed"),
        (Self::RESET, "reset"),
        (Self::BUSY, "busy"),
    ];

    /// Whether it went as wanted.
    #[inline]
    pub const fn is_success(self) -> bool {
        matches!(self, Self::SUCCESS | Self::SUCCESS_WITH_CAPABILITIES)
    }

    /// What a failure is called, if it is known.
    pub fn failure_name(self) -> Option<&'static str> {
        let mut known = Self::FAILURES.iter();
        known
            .find(|(status, _)| *status == self)
            .map(|(_, name)| *name)
    }

    /// The failure that is called so.
    pub fn failure(name: &str) -> Option<Self> {
        let mut known = Self::FAILURES.iter();
        known
            .find(|(_, known)| *known == name)
            .map(|(status, _)| *status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_known_by_name() {
        for (status, name) in Status::FAILURES {
            assert!(!status.is_success());
            assert_eq!(status.failure_name(), Some(name));
            assert_eq!(Status::failure(name), Some(status));
        }
        assert_eq!(Status(9).failure_name(), None);
        assert_eq!(Status::failure("success"), None);
        assert!(Status::SUCCESS_WITH_CAPABILITIES.is_success());
    }
}
