// SPDX-License-Identifier: GPL-2.0

//! The adapter's registers, and the commands that go through them.
//!
//! A command is several writes, so only one CPU at a time sends one: who has the adapter's state,
//! or who sets it up. Kicks and the interrupt registers are for anyone at any time.

use guest::pci::Bar;
use kernel::{
    device::Bound,
    pci,
    prelude::*, //
};
use protocol::pvscsi::{
    command::{
        self,
        SetupRequestThreshold, //
    },
    register::{
        self,
        interrupt, //
    },
    Command,
    Descriptor, //
};

/// Which kicks are due.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kicks {
    pub(crate) read_write: bool,
    pub(crate) other: bool,
}

/// The registers.
pub(crate) struct Registers(Bar<{ register::MEMORY_SIZE }>);

impl Registers {
    /// Maps them.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the device has no memory like that, `EBUSY`, `ENOMEM`.
    pub(crate) fn map(dev: &pci::Device<Bound>) -> Result<Self> {
        Ok(Self(Bar::first(dev, c"vmw_pvscsi")?))
    }

    /// Begins a command, which is all of it if it has no descriptor.
    fn begin(&self, command: Command) {
        self.0.write::<{ register::COMMAND }>(command.0);
    }

    /// Sends a command.
    pub(crate) fn send<D: Descriptor>(&self, descriptor: &D) {
        self.begin(D::COMMAND);
        for word in descriptor.words() {
            self.0.write::<{ register::COMMAND_DATA }>(word);
        }
    }

    fn status(&self) -> u32 {
        self.0.read::<{ register::COMMAND_STATUS }>()
    }

    /// Has the device forget its rings. It does not use memory any more then.
    pub(crate) fn reset_adapter(&self) {
        self.begin(Command::ADAPTER_RESET);
        // A read comes back when the writes before it have arrived.
        self.0.read::<{ register::INTERRUPT_STATUS }>();
    }

    /// Ends all commands.
    pub(crate) fn reset_bus(&self) {
        self.begin(Command::RESET_BUS);
    }

    /// Whether the device has a message ring.
    pub(crate) fn has_messages(&self) -> bool {
        self.begin(Command::SETUP_MESSAGE_RING);
        self.status() != command::FAILED
    }

    /// Has the device say when it wants to be kicked. Returns whether it does.
    pub(crate) fn enable_threshold(&self) -> bool {
        self.begin(Command::SETUP_REQUEST_THRESHOLD);
        if self.status() == command::FAILED {
            return false;
        }
        self.send(&SetupRequestThreshold::ENABLE);
        !matches!(self.status(), 0 | command::FAILED)
    }

    /// Tells the device that there are requests.
    #[inline]
    pub(crate) fn kick(&self, kicks: Kicks) {
        if kicks.other {
            self.0.write::<{ register::KICK_OTHER }>(0);
        } else if kicks.read_write {
            self.0.write::<{ register::KICK_READ_WRITE }>(0);
        }
    }

    /// Lets the device interrupt, for messages only if there may be any.
    pub(crate) fn unmask(&self, messages: bool) {
        let mask = match messages {
            true => interrupt::ALL,
            false => interrupt::COMPLETION,
        };
        self.0.write::<{ register::INTERRUPT_MASK }>(mask);
    }

    /// Does not let the device interrupt.
    pub(crate) fn mask(&self) {
        self.0.write::<{ register::INTERRUPT_MASK }>(0);
    }

    /// Takes the reasons for an interrupt back, on a line that may be shared. Returns whether there
    /// was any. A device that is gone reads as ones.
    pub(crate) fn acknowledge(&self) -> bool {
        let status = self.0.read::<{ register::INTERRUPT_STATUS }>();
        if status == u32::MAX || status & interrupt::ALL == 0 {
            return false;
        }
        self.0.write::<{ register::INTERRUPT_STATUS }>(status);
        true
    }
}
