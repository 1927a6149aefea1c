// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The registers, and commands to the adapter.

use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hospes_device::memory::{MemoryError, Segment, SgList};
use hospes_scsi::{TaskFunction, TaskOutcome, UnitAddress};
use protocol::pvscsi::command::{
    AbortCommand, Config, ResetDevice, SetupMessageRing, SetupRequestThreshold, SetupRings, FAILED,
};
use protocol::pvscsi::config::{ControllerPage, ControllerTexts};
use protocol::pvscsi::port::{CommandPort, Step};
use protocol::pvscsi::register;
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::Command;
use protocol::scsi::lun::Lun;
use thiserror::Error;
use vm_memory::GuestAddress;
use zerocopy::IntoBytes;

use crate::fault::{self, About, FaultKind};
use crate::port::Port;
use crate::rings::{BadRings, Ring, Rings};
use crate::Pvscsi;

/// What a command's status is that was carried out, unless it has something to say.
const DONE: u32 = 0;
/// The status of [`Command::SETUP_REQUEST_THRESHOLD`]: it is on.
const ON: u32 = 1;
/// How long an abort waits for a command that cannot be stopped. Drivers write it with
/// interrupts off, and wait for the completion some seconds afterwards.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// The command registers.
#[derive(Default)]
pub(crate) struct Registers {
    port: CommandPort,
    status: u32,
}

/// Why a command fails.
#[derive(Debug, Error)]
enum Refused {
    #[error("there is no such command")]
    Unknown,
    #[error("the adapter was told to refuse it")]
    Told,
    #[error("a word without a command")]
    Surplus,
    #[error("there are no rings")]
    NoRings,
    #[error("{0}")]
    Rings(#[from] BadRings),
    #[error("no thread for the rings: {0}")]
    Thread(#[from] std::io::Error),
    #[error("there is no target {0}")]
    NoTarget(u32),
    #[error("there is no unit {0:02x?}")]
    NoUnit([u8; 8]),
    #[error("there is no page {page:#x} about {address:#x}")]
    NoPage { page: u32, address: u64 },
    #[error("{0}")]
    Memory(#[from] MemoryError),
}

impl Pvscsi {
    /// A read of a register.
    pub(crate) fn read_register(&self, offset: usize) -> u32 {
        match offset {
            register::COMMAND_STATUS => self.registers().status,
            register::INTERRUPT_STATUS => self.interrupt.status(),
            register::INTERRUPT_MASK => self.interrupt.mask(),
            _ => 0,
        }
    }

    /// A write to a register.
    pub(crate) fn write_register(&self, offset: usize, value: u32) {
        match offset {
            register::COMMAND => {
                let mut registers = self.registers();
                let step = registers.port.begin(value);
                self.advance(&mut registers, step);
            }
            register::COMMAND_DATA => {
                let mut registers = self.registers();
                let step = registers.port.word(value);
                self.advance(&mut registers, step);
            }
            register::INTERRUPT_STATUS => self.interrupt.acknowledge(value),
            register::INTERRUPT_MASK => self.interrupt.set_mask(value),
            register::KICK_OTHER | register::KICK_READ_WRITE => self.kicked(),
            _ => {}
        }
    }

    /// A kick that no ioeventfd took.
    fn kicked(&self) {
        #[cfg(feature = "fuzzing")]
        if self.is_threadless {
            return self.take_here();
        }
        // Only a counter that is about to overflow says no, and then the thread is
        // going to wake up anyway.
        let _ = self.kick.write(1);
    }

    fn advance(&self, registers: &mut Registers, step: Step) {
        let result = match step {
            Step::Needs(words) => {
                registers.status = words;
                return;
            }
            Step::Ready(command) => self.carry_out(&registers.port, command),
            Step::Unknown(command) => Err((command, Refused::Unknown)),
            Step::Surplus => Err((Command(0), Refused::Surplus)),
        };
        registers.status = result.unwrap_or_else(|(Command(number), why)| {
            self.record.counters.refused.inc();
            self.record.warn(&format!("command {number}: {why}"));
            FAILED
        });
    }

    fn carry_out(&self, port: &CommandPort, command: Command) -> Result<u32, (Command, Refused)> {
        self.record.counters.commands.inc();
        if fault::of(&self.record.faults, About::Command(command)).is_some() {
            return Err((command, Refused::Told));
        }
        self.try_carry_out(port, command)
            .map_err(|why| (command, why))
    }

    fn try_carry_out(&self, port: &CommandPort, command: Command) -> Result<u32, Refused> {
        // What is ready has a descriptor.
        let unknown = || Refused::Unknown;
        match command {
            Command::ADAPTER_RESET => self.reset_adapter(),
            Command::SETUP_RINGS => self.set_up(&port.descriptor().ok_or_else(unknown)?),
            Command::RESET_BUS => self.reset_bus(),
            Command::RESET_DEVICE => self.reset_device(&port.descriptor().ok_or_else(unknown)?),
            Command::ABORT_COMMAND => self.abort(&port.descriptor().ok_or_else(unknown)?),
            Command::CONFIG => self.tell_config(&port.descriptor().ok_or_else(unknown)?),
            Command::SETUP_MESSAGE_RING => {
                self.set_up_messages(&port.descriptor().ok_or_else(unknown)?)
            }
            Command::SETUP_REQUEST_THRESHOLD => {
                self.set_threshold(&port.descriptor().ok_or_else(unknown)?)
            }
            Command::GET_MAX_TARGETS => Ok(self.config.targets.into()),
            _ => Err(Refused::Unknown),
        }
    }

    /// All commands end, and there are no rings any more.
    fn reset_adapter(&self) -> Result<u32, Refused> {
        self.record.counters.resets.inc();
        // What the guest has put into the ring it waits for, whether it was taken or not.
        self.catch_up(None);
        self.stop();
        self.interrupt.forget();
        Ok(DONE)
    }

    fn set_up(&self, setup: &SetupRings) -> Result<u32, Refused> {
        self.stop();
        let rings = Rings::new(&self.memory, setup)?;
        // An old kick would only wake the thread for nothing.
        self.kick.read().ok();
        let (kick, interrupt) = (self.kick.clone(), self.interrupt.clone());
        let port = Port::new(rings, kick, interrupt, self.record.clone());
        if let Some(FaultKind::Sizes {
            requests,
            completions,
            ..
        }) = fault::of(&self.record.faults, About::Rings)
        {
            port.rings.pretend(offset::REQUEST_LOG2, requests);
            port.rings.pretend(offset::COMPLETION_LOG2, completions);
        }
        self.start(port)?;
        Ok(DONE)
    }

    fn set_up_messages(&self, setup: &SetupMessageRing) -> Result<u32, Refused> {
        let port = self.port().ok_or(Refused::NoRings)?;
        port.set_messages(Ring::of_messages(&self.memory, setup)?);
        if let Some(FaultKind::Sizes { messages, .. }) =
            fault::of(&self.record.faults, About::Rings)
        {
            port.rings.pretend(offset::MESSAGE_LOG2, messages);
        }
        port.flush_messages();
        Ok(DONE)
    }

    fn set_threshold(&self, setup: &SetupRequestThreshold) -> Result<u32, Refused> {
        let port = self.port().ok_or(Refused::NoRings)?;
        let is_on = setup.enable.get() != 0;
        port.set_threshold(u32::from(is_on));
        Ok(if is_on { ON } else { DONE })
    }

    fn reset_bus(&self) -> Result<u32, Refused> {
        self.record.counters.resets.inc();
        self.catch_up(None).ok_or(Refused::NoRings)?;
        self.target.reset();
        Ok(DONE)
    }

    fn reset_device(&self, reset: &ResetDevice) -> Result<u32, Refused> {
        self.record.counters.resets.inc();
        let missing = Refused::NoTarget(reset.target.get());
        let Ok(target) = u8::try_from(reset.target.get()) else {
            return Err(missing);
        };
        let lun = Lun::decode(reset.lun).ok_or(Refused::NoUnit(reset.lun))?;
        self.catch_up(None).ok_or(Refused::NoRings)?;
        match (self.target).task_management(TaskFunction::LunReset { target, lun }) {
            TaskOutcome::NoTarget => Err(missing),
            TaskOutcome::IncorrectLun => Err(Refused::NoUnit(reset.lun)),
            _ => Ok(DONE),
        }
    }

    /// Ends a command. That it was not there is no failure: it may have been completed. Nor
    /// is that it goes on: its completion comes once, as ever, and a driver that misses it
    /// resets something, which does wait.
    fn abort(&self, abort: &AbortCommand) -> Result<u32, Refused> {
        self.record.counters.aborts.inc();
        let missing = Refused::NoTarget(abort.target.get());
        let Ok(target) = u8::try_from(abort.target.get()) else {
            return Err(missing);
        };
        let until = Instant::now().checked_add(ABORT_TIME);
        self.catch_up(until).ok_or(Refused::NoRings)?;
        let end = |at: &UnitAddress| self.target.abort(*at, abort.context.get(), until);
        // The guest does not say of which unit it is. There is one, or a few.
        let units = self.target.addresses();
        let are_over = units.iter().filter(|at| at.target == target).map(end);
        // Each of them, even if one is not over.
        if are_over.filter(|is_over| !is_over).count() > 0 {
            self.record.counters.late.inc();
        }
        Ok(DONE)
    }

    fn tell_config(&self, config: &Config) -> Result<u32, Refused> {
        let (page, address) = (config.page.get(), config.address.get());
        if page != Config::CONTROLLER_PAGE || address != Config::CONTROLLER_ADDRESS {
            return Err(Refused::NoPage { page, address });
        }
        let texts = ControllerTexts {
            manufacturer: "Hospes",
            serial_number: &self.config.name,
            hardware_version: "1",
            firmware_version: env!("CARGO_PKG_VERSION"),
        };
        let targets = match fault::of(&self.record.faults, About::Config) {
            Some(FaultKind::Targets { value }) => value,
            _ => self.config.targets.into(),
        };
        let page = ControllerPage::new(targets, 0, &texts);
        let buffer = Segment {
            address: GuestAddress(config.destination.get()),
            len: size_of::<ControllerPage>() as u32,
        };
        SgList::new(&self.memory, [buffer])?.write_at(0, page.as_bytes());
        Ok(DONE)
    }

    /// The registers as after power on.
    pub(crate) fn clear_registers(&self) {
        let mut registers = self.registers();
        self.stop();
        self.record.forget_messages();
        *registers = Registers::default();
        self.interrupt.reset();
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        (self.registers.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}
