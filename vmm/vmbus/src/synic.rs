// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The synthetic interrupt controllers of the guest's processors, as far as VMBus
//! uses them: one source, with its message slot and its event flags.
//!
//! KVM has the registers. It tells us where the pages are whenever a guest moves
//! them or switches the controller on, and raises the source's interrupt for us by an
//! eventfd.
//!
//! An interrupt that is raised while its source is masked is lost: KVM says neither
//! that nor when the guest clears the mask. What waits in the pages then is told again
//! when a register changes of which KVM does tell, and a message whenever it is tried
//! again without that anything has happened. A flag is not: a guest that masks
//! the source of channels that it has open, and nothing else, has to look at the
//! flags itself when it clears the mask. Linux sets the source up first and switches
//! the controller on last.

use std::sync::{Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counter;
use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use protocol::hyperv::event::Flags;
use protocol::hyperv::message::Message;
use protocol::hyperv::msr::{PageRegister, ENABLE};
use protocol::hyperv::slot::{Posted, Slot};
use protocol::hyperv::VMBUS_SINT;
use serde::Serialize;
use vmm_sys_util::eventfd::EventFd;

use crate::memory::Pages;

/// What is counted of interrupts.
#[derive(Debug, Default, Serialize)]
pub struct SynicCounters {
    /// Event flags that were raised.
    pub flags: Counter,
    /// Flags that the guest had not yet looked at, and that took no interrupt.
    pub flags_pending: Counter,
    /// Messages delivered.
    pub messages: Counter,
    /// Times that a message found its slot occupied.
    pub messages_waiting: Counter,
    /// Times that the guest said that a slot is free again.
    pub ends_of_message: Counter,
    /// Flags and messages for a processor without pages for them.
    pub lost: Counter,
}

/// One processor.
struct Processor {
    pages: Mutex<SynicPages>,
    /// Raises the interrupt of the source.
    line: EventFd,
}

#[derive(Default)]
struct SynicPages {
    events: Option<Pages>,
    messages: Option<Pages>,
}

/// The SynICs of one machine.
pub struct Synic {
    memory: GuestMemory,
    processors: Vec<Processor>,
    /// Signalled when the guest has emptied a slot for which more waits.
    end_of_message: Option<EventFd>,
    counters: SynicCounters,
    warnings: RateLimit,
}

/// Why a message was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotPosted {
    /// The slot has another message; try again.
    Busy,
    /// The processor has no slots.
    NoSlot,
}

impl Synic {
    /// SynICs of a machine with `memory`, whose processors' interrupts are raised
    /// by `lines`.
    pub fn new(memory: GuestMemory, lines: Vec<EventFd>) -> Self {
        let processor = |line| Processor {
            pages: Mutex::default(),
            line,
        };
        Self {
            memory,
            processors: lines.into_iter().map(processor).collect(),
            end_of_message: None,
            counters: SynicCounters::default(),
            warnings: RateLimit::default(),
        }
    }

    /// The same, with an eventfd that is signalled when the guest has emptied a slot
    /// for which more waits.
    pub fn with_end_of_message(mut self, event: EventFd) -> Self {
        self.end_of_message = Some(event);
        self
    }

    /// That eventfd, if there is one.
    pub(crate) fn end_of_message(&self) -> Option<&EventFd> {
        self.end_of_message.as_ref()
    }

    /// Takes back that it was signalled.
    pub(crate) fn clear_end_of_message(&self) {
        let signalled = self.end_of_message.as_ref().map(EventFd::read);
        if matches!(signalled, Some(Ok(_))) {
            self.counters.ends_of_message.inc();
        }
    }

    /// What is counted.
    pub fn counters(&self) -> &SynicCounters {
        &self.counters
    }

    /// The guest wrote to the registers of a processor.
    pub fn changed(&self, vp: u32, control: u64, event_page: u64, message_page: u64) {
        let Some(processor) = self.processor(vp) else {
            return;
        };
        let page = |register| {
            let address = PageRegister(register)
                .page()
                .filter(|_| control & ENABLE != 0)?;
            Pages::new(&self.memory, [address])
                .inspect_err(|error| {
                    warn_limited!(self.warnings, vp, "a page of the SynIC: {error}");
                })
                .ok()
        };
        let mut pages = processor.lock();
        *pages = SynicPages {
            events: page(event_page),
            messages: page(message_page),
        };
        if pages.has_flags() || pages.has_message() {
            interrupt(&processor.line);
        }
    }

    /// Raises the interrupt of a processor again if a message waits in its slot.
    pub(crate) fn remind(&self, vp: u32) {
        if let Some(processor) = self.processor(vp) {
            if processor.lock().has_message() {
                interrupt(&processor.line);
            }
        }
    }

    /// Raises a flag of a processor, and the interrupt if that is needed.
    pub fn raise(&self, vp: u32, flag: u16) {
        let Some(processor) = self.processor(vp) else {
            return self.counters.lost.inc();
        };
        let pages = processor.lock();
        let Some(flags) = pages.flags() else {
            return self.counters.lost.inc();
        };
        if flags.raise(flag) {
            self.counters.flags.inc();
            interrupt(&processor.line);
        } else {
            self.counters.flags_pending.inc();
        }
    }

    /// Puts a message into the slot of a processor and raises the interrupt.
    ///
    /// To be called by one thread only.
    ///
    /// # Errors
    ///
    /// [`NotPosted`]. If the slot is busy the guest has been told that more waits.
    pub fn post(&self, vp: u32, message: &Message, is_last: bool) -> Result<(), NotPosted> {
        let lost = || {
            self.counters.lost.inc();
            NotPosted::NoSlot
        };
        let processor = self.processor(vp).ok_or_else(lost)?;
        let pages = processor.lock();
        match pages.slot().ok_or_else(lost)?.post(message, is_last) {
            Posted::Delivered => {
                self.counters.messages.inc();
                interrupt(&processor.line);
                Ok(())
            }
            Posted::Busy => {
                self.counters.messages_waiting.inc();
                Err(NotPosted::Busy)
            }
        }
    }

    /// Whether there is such a processor.
    pub fn has(&self, vp: u32) -> bool {
        self.processor(vp).is_some()
    }

    fn processor(&self, vp: u32) -> Option<&Processor> {
        self.processors.get(usize::try_from(vp).ok()?)
    }
}

impl SynicPages {
    fn flags(&self) -> Option<Flags<&Pages>> {
        Flags::new(self.events.as_ref()?, VMBUS_SINT)
    }

    fn slot(&self) -> Option<Slot<&Pages>> {
        Slot::new(self.messages.as_ref()?, VMBUS_SINT)
    }

    fn has_flags(&self) -> bool {
        self.flags().is_some_and(|flags| flags.is_any_set())
    }

    fn has_message(&self) -> bool {
        self.slot().is_some_and(|slot| slot.is_occupied())
    }
}

impl Processor {
    fn lock(&self) -> MutexGuard<'_, SynicPages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn interrupt(line: &EventFd) {
    // Only a counter that is about to overflow says no, and KVM takes it at once.
    let _ = line.write(1);
}
