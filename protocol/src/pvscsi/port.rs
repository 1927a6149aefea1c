// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The command registers, as a device sees them: a number, then words.
//!
//! Not obvious: a driver may begin another command at any time, which forgets
//! the one before. That is how it finds out whether there is a command.

use core::mem::size_of;

use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, IntoBytes};

use super::command::{Command, Descriptor, SetupRings};

/// Words of the longest descriptor.
const MAX_WORDS: usize = size_of::<SetupRings>() / size_of::<U32>();

/// What a write to one of the registers comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// So many more words are needed, which is what the status says meanwhile.
    Needs(u32),
    /// All of the command is there: it is to be carried out.
    Ready(Command),
    /// There is no such command.
    Unknown(Command),
    /// A word that belongs to nothing.
    Surplus,
}

/// What was written so far.
#[derive(Clone, Debug)]
pub struct CommandPort {
    command: Command,
    words: [U32; MAX_WORDS],
    given: usize,
    /// Words that the command has, while some are missing.
    wanted: usize,
}

impl CommandPort {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            command: Command(0),
            words: [U32::ZERO; MAX_WORDS],
            given: 0,
            wanted: 0,
        }
    }

    /// A write to the register that begins a command.
    pub fn begin(&mut self, number: u32) -> Step {
        *self = Self::new();
        self.command = Command(number);
        let Some(wanted) = self.command.words() else {
            return Step::Unknown(self.command);
        };
        self.wanted = wanted;
        self.step()
    }

    /// A write to the register for the descriptor.
    pub fn word(&mut self, word: u32) -> Step {
        if self.given >= self.wanted {
            return Step::Surplus;
        }
        let Some(place) = self.words.get_mut(self.given) else {
            return Step::Surplus;
        };
        place.set(word);
        self.given = self.given.saturating_add(1);
        self.step()
    }

    fn step(&self) -> Step {
        match self.wanted.saturating_sub(self.given) {
            0 => Step::Ready(self.command),
            missing => Step::Needs(missing as u32),
        }
    }

    /// The descriptor of a command that is [ready](Step::Ready).
    pub fn descriptor<D: Descriptor + FromBytes>(&self) -> Option<D> {
        if self.command != D::COMMAND || self.given < self.wanted {
            return None;
        }
        let (descriptor, _) = D::read_from_prefix(self.words.as_bytes()).ok()?;
        Some(descriptor)
    }
}

impl Default for CommandPort {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pvscsi::command::{AbortCommand, Pages, ResetDevice, SetupMessageRing};
    use crate::pvscsi::Context;
    use proptest::prelude::*;
    use std::vec::Vec;

    fn write<D: Descriptor>(port: &mut CommandPort, descriptor: &D) -> Step {
        let first = port.begin(D::COMMAND.0);
        descriptor.words().fold(first, |_, word| port.word(word))
    }

    #[test]
    fn a_descriptor_is_what_was_written() {
        let mut port = CommandPort::new();
        let abort = AbortCommand::new(Context(0x1_0000_0002), 3);
        assert_eq!(
            write(&mut port, &abort),
            Step::Ready(Command::ABORT_COMMAND)
        );
        assert_eq!(port.descriptor(), Some(abort));
        assert_eq!(port.descriptor::<ResetDevice>(), None);
        assert_eq!(port.word(1), Step::Surplus);
        let rings = SetupRings::new(
            0x1000,
            Pages {
                address: 0x2000,
                count: 32,
            },
            Pages {
                address: 0x10_0000,
                count: 32,
            },
        );
        assert_eq!(write(&mut port, &rings), Step::Ready(Command::SETUP_RINGS));
        assert_eq!(port.descriptor(), Some(rings));
    }

    #[test]
    fn whether_there_is_a_command_can_be_found_out() {
        let mut port = CommandPort::new();
        assert_eq!(port.begin(8), Step::Needs(34));
        assert_eq!(port.descriptor::<SetupMessageRing>(), None);
        assert_eq!(port.begin(10), Step::Needs(1));
        assert_eq!(port.begin(12), Step::Unknown(Command(12)));
        assert_eq!(port.word(1), Step::Surplus);
        assert_eq!(port.begin(4), Step::Ready(Command::RESET_BUS));
    }

    proptest! {
        #[test]
        fn any_writes_are_taken(writes: Vec<(bool, u32)>) {
            let mut port = CommandPort::new();
            for (begins, value) in writes {
                let step = if begins { port.begin(value % 16) } else { port.word(value) };
                if let Step::Needs(more) = step {
                    prop_assert!((1..=MAX_WORDS as u32).contains(&more));
                }
                let _ = port.descriptor::<SetupRings>();
            }
        }
    }
}
