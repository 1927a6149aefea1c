// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A call and its reply, as they are in registers.
//!
//! Not obvious: RBX and RSI count with all 64 bits in both directions, while the status
//! is what a read of four bytes brings, so RAX has 32 of them.

use super::{Capabilities, Command, Operation, PageSize, Status, GUEST_LINUX, MAGIC, PORT};
use crate::vmci::Handle;

/// The registers around a read of the port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The magic number, then the status.
    pub rax: u64,
    /// The first argument, then the result.
    pub rbx: u64,
    /// The command, then the capabilities, if it was the first one.
    pub rcx: u64,
    /// The port, in the lower half of EDX.
    pub rdx: u64,
    /// The second argument.
    pub rsi: u64,
}

/// What a guest asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// The command.
    pub command: Command,
    /// Its first argument.
    pub arg1: u64,
    /// Its second argument.
    pub arg2: u64,
}

impl Call {
    const fn new(command: Command, arg1: u64, arg2: u64) -> Self {
        Self {
            command,
            arg1,
            arg2,
        }
    }

    /// Begins with these capabilities, or ends with none.
    #[inline]
    pub const fn start(capabilities: Capabilities) -> Self {
        Self::new(Command::START, capabilities.0, 0)
    }

    /// Asks for the target of a guest that has so many pages.
    #[inline]
    pub const fn get_target(pages: u64) -> Self {
        Self::new(Command::GET_TARGET, pages, 0)
    }

    /// Gives or takes one page. The first 32 bits of its number have to be all.
    #[inline]
    pub const fn single(operation: Operation, page: u64) -> Self {
        Self::new(Command::single(operation), page, 1)
    }

    /// Gives or takes the first `count` pages that the batch page names, whose own number
    /// is `page`.
    #[inline]
    pub const fn batch(operation: Operation, size: PageSize, page: u64, count: u64) -> Self {
        Self::new(Command::batched(operation, size), page, count)
    }

    /// Tells that the guest is a Linux.
    #[inline]
    pub const fn guest_id() -> Self {
        Self::new(Command::GUEST_ID, GUEST_LINUX, 0)
    }

    /// Has a doorbell ring, or none any more.
    #[inline]
    pub const fn doorbell_set(handle: Option<Handle>) -> Self {
        let handle = match handle {
            Some(handle) => handle,
            None => Handle::INVALID,
        };
        Self::new(
            Command::DOORBELL_SET,
            handle.context as u64,
            handle.resource as u64,
        )
    }

    /// The registers with which the port is read.
    #[inline]
    pub const fn registers(self) -> Registers {
        Registers {
            rax: MAGIC as u64,
            rbx: self.arg1,
            rcx: self.command.0 as u64,
            rdx: PORT as u64,
            rsi: self.arg2,
        }
    }

    /// What the registers ask for. `None` if the caller does not know the magic number:
    /// then nothing is behind the port.
    #[inline]
    pub const fn from_registers(registers: &Registers) -> Option<Self> {
        if registers.rax as u32 != MAGIC {
            return None;
        }
        Some(Self::new(
            Command(registers.rcx as u32),
            registers.rbx,
            registers.rsi,
        ))
    }
}

/// What the host says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// What became of the command.
    pub status: Status,
    /// RBX: the target, if the command carries one and this is a success.
    pub result: u64,
    /// RCX: the capabilities, if this is said to the first command.
    pub capabilities: Capabilities,
}

impl Reply {
    /// A reply without a result.
    #[inline]
    pub const fn of(status: Status) -> Self {
        Self {
            status,
            result: 0,
            capabilities: Capabilities(0),
        }
    }

    /// A success that carries the target.
    #[inline]
    pub const fn with_target(target: u64) -> Self {
        Self {
            result: target,
            ..Self::of(Status::SUCCESS)
        }
    }

    /// The success of a first command.
    #[inline]
    pub const fn started(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            ..Self::of(Status::SUCCESS_WITH_CAPABILITIES)
        }
    }

    /// What the registers say after the port was read.
    #[inline]
    pub const fn from_registers(registers: &Registers) -> Self {
        Self {
            status: Status(registers.rax as u32),
            result: registers.rbx,
            capabilities: Capabilities(registers.rcx),
        }
    }

    /// The registers of the guest that was answered, which were `call` before. What is not
    /// answered stays.
    #[inline]
    pub fn registers(self, call: &Registers) -> Registers {
        let command = Command(call.rcx as u32);
        let has_target = self.status == Status::SUCCESS && command.carries_target();
        let has_capabilities = self.status == Status::SUCCESS_WITH_CAPABILITIES;
        Registers {
            rax: self.status.0.into(),
            rbx: if has_target { self.result } else { call.rbx },
            rcx: if has_capabilities {
                self.capabilities.0
            } else {
                call.rcx
            },
            ..*call
        }
    }

    /// The target that this carries as the reply to `command`, if it does.
    #[inline]
    pub fn target(&self, command: Command) -> Option<u64> {
        (self.status == Status::SUCCESS && command.carries_target()).then_some(self.result)
    }

    /// Which capabilities a guest may use that has begun with `wanted`. `None` if it could
    /// not begin. An old host names none, and a guest takes no more than it has asked for.
    #[inline]
    pub fn granted(&self, wanted: Capabilities) -> Option<Capabilities> {
        match self.status {
            Status::SUCCESS_WITH_CAPABILITIES => Some(self.capabilities & wanted),
            Status::SUCCESS => Some(Capabilities::BASIC & wanted),
            _ => None,
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn calls() -> impl Strategy<Value = Call> {
        let number = prop_oneof![0u32..12, any::<u32>()];
        (number, any::<u64>(), any::<u64>())
            .prop_map(|(number, arg1, arg2)| Call::new(Command(number), arg1, arg2))
    }

    #[test]
    fn a_guest_takes_no_more_than_it_asked_for() {
        let reply = Reply::started(Capabilities(u64::MAX));
        let wanted = Capabilities::BASIC.with(Capabilities::BATCHED);
        assert_eq!(reply.granted(wanted), Some(wanted));
        let old = Reply::of(Status::SUCCESS);
        assert_eq!(old.granted(Capabilities::ALL), Some(Capabilities::BASIC));
        assert_eq!(Reply::of(Status::BUSY).granted(wanted), None);
    }

    #[test]
    fn an_answer_leaves_other_registers_alone() {
        let call = Call::guest_id().registers();
        let answered = Reply::of(Status::SUCCESS).registers(&call);
        assert_eq!(answered, Registers { rax: 0, ..call });
        let call = Call::get_target(1 << 40).registers();
        let answered = Reply::with_target(1 << 33).registers(&call);
        assert_eq!((answered.rbx, answered.rcx), (1 << 33, 1));
        let answered = Reply::of(Status::RESET).registers(&call);
        assert_eq!((answered.rax, answered.rbx), (7, 1 << 40));
    }

    proptest! {
        #[test]
        fn calls_survive_the_registers(call in calls()) {
            let registers = call.registers();
            prop_assert_eq!(registers.rdx as u16, PORT);
            prop_assert_eq!(Call::from_registers(&registers).unwrap(), call);
        }

        #[test]
        fn without_the_magic_number_nothing_is_there(rax: u64) {
            let registers = Registers { rax, ..Call::guest_id().registers() };
            let is_call = Call::from_registers(&registers).is_some();
            prop_assert_eq!(is_call, rax as u32 == MAGIC);
        }

        #[test]
        fn targets_and_capabilities_survive_the_registers(call in calls(), value: u64) {
            let registers = call.registers();
            let target = Reply::from_registers(&Reply::with_target(value).registers(&registers));
            let expected = call.command.carries_target().then_some(value);
            prop_assert_eq!(target.target(call.command), expected);
            let started = Reply::started(Capabilities(value)).registers(&registers);
            let granted = Reply::from_registers(&started).granted(Capabilities::ALL);
            prop_assert_eq!(granted, Some(Capabilities(value) & Capabilities::ALL));
        }
    }
}
