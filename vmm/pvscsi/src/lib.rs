// SPDX-License-Identifier: GPL-2.0 OR MIT

//! VMware's paravirtual SCSI adapter in front of a SCSI target.
//!
//! | module | what |
//! |---|---|
//! | `function` | how the PCI core sees it: identity, BAR, doorbells |
//! | `registers` | the registers, and commands to the adapter |
//! | `rings` | rings in guest memory, and the page of their state |
//! | `port` | the device's end of the rings: completions, and what is owed |
//! | `service` | the thread that takes requests |
//! | `request` | a command on its way to the target and back |
//! | `messages` | targets that come and go |
//! | `interrupt`, `msi` | reasons, the mask, and how the guest hears of them |
//! | [`fault`] | what the adapter can be told to do wrong |
//!
//! What is not obvious:
//!
//! - **Threads.** While there are rings, a thread takes requests from them, kicked by
//!   an eventfd. Commands to the adapter are carried out by the vCPU that writes the
//!   last word of them: when that write is over, so is what was asked for. An abort or
//!   a reset waits until the thread has taken all requests that are there, and until
//!   the target has ended what it concerns. An abort waits for a second at most: drivers
//!   wait for the completion themselves. A reset waits as long as it takes, as after it
//!   drivers use the commands' memory for something else. The lock that is held meanwhile
//!   is that of the command registers, which neither the thread nor a completion takes.
//! - **Exactly once.** Each request is completed once, through aborts and resets as well.
//!   Only rings that a guest has broken get nothing more.
//! - **Interrupts.** MSI-X, MSI, or a line that functions share.
//! - **One unit a target**: guests look for no other.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may fail")
)]

pub mod fault;
mod function;
mod interrupt;
mod messages;
mod msi;
mod port;
mod registers;
mod request;
mod rings;
mod service;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;
use hospes_device::worker::Worker;
use hospes_scsi::{AioMode, Queue, Target, UnitAddress};
use protocol::pvscsi::message::{DEVICE_ADDED, DEVICE_REMOVED};
use protocol::pvscsi::{MessageDescriptor, Place, MAX_TARGETS};
use thiserror::Error;
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use interrupt::Interrupt;
use port::{Port, Record};
use registers::Registers;
use service::Intake;

/// Targets of an adapter, unless something else is said.
pub const DEFAULT_TARGETS: u16 = 64;

/// What a user chooses about an adapter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// How many targets guests look for, 1 to 256.
    pub targets: u16,
    /// How I/O is done.
    pub aio: AioMode,
}

/// Why there can be no adapter.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The number is none of targets.
    #[error("{0} targets: give 1 to {MAX_TARGETS}")]
    Targets(u16),
    /// The host does not give what it needs.
    #[error(transparent)]
    Host(#[from] io::Error),
}

/// An adapter.
pub struct Pvscsi {
    config: Config,
    memory: GuestMemory,
    target: Arc<Target>,
    lane: Arc<Queue>,
    kick: Arc<EventFd>,
    interrupt: Arc<Interrupt>,
    record: Arc<Record>,
    /// Held while a command is carried out.
    registers: Mutex<Registers>,
    /// Held for short, and while the adapter is being paused.
    state: Mutex<State>,
    /// Requests are taken where the guest kicks, by no thread.
    #[cfg(feature = "fuzzing")]
    is_threadless: bool,
}

#[derive(Default)]
struct State {
    running: Option<Running>,
    is_paused: bool,
}

/// What there is while there are rings.
struct Running {
    worker: Taker,
    port: Arc<Port>,
}

/// Who takes requests.
enum Taker {
    Thread(Worker),
    #[cfg(feature = "fuzzing")]
    Caller(Arc<Mutex<Intake<Queue>>>),
}

impl Pvscsi {
    /// An adapter in front of `target`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the setting that cannot be, or what the host does not give.
    pub fn new(
        config: &Config,
        target: Arc<Target>,
        memory: &GuestMemory,
        vectors: &dyn MsiAllocator,
    ) -> Result<Arc<Self>, ConfigError> {
        Ok(Arc::new(Self::build(config, target, memory, vectors)?))
    }

    /// The same without a thread, for fuzzing: requests are taken as the guest kicks.
    ///
    /// # Errors
    ///
    /// Those of [`new`](Self::new).
    #[cfg(feature = "fuzzing")]
    pub fn threadless(
        config: &Config,
        target: Arc<Target>,
        memory: &GuestMemory,
        vectors: &dyn MsiAllocator,
    ) -> Result<Arc<Self>, ConfigError> {
        let mut adapter = Self::build(config, target, memory, vectors)?;
        adapter.is_threadless = true;
        Ok(Arc::new(adapter))
    }

    fn build(
        config: &Config,
        target: Arc<Target>,
        memory: &GuestMemory,
        vectors: &dyn MsiAllocator,
    ) -> Result<Self, ConfigError> {
        if !(1..=MAX_TARGETS).contains(&u32::from(config.targets)) {
            return Err(ConfigError::Targets(config.targets));
        }
        Ok(Self {
            config: config.clone(),
            memory: memory.clone(),
            lane: Arc::new(target.queue()),
            target,
            kick: Arc::new(EventFd::new(EFD_NONBLOCK)?),
            interrupt: Interrupt::new(vectors)?,
            record: Arc::new(Record {
                name: config.name.clone(),
                ..Record::default()
            }),
            registers: Mutex::default(),
            state: Mutex::default(),
            #[cfg(feature = "fuzzing")]
            is_threadless: false,
        })
    }

    /// Tells the guest about a unit that was added to the target.
    pub fn unit_added(&self, at: UnitAddress) {
        self.tell(DEVICE_ADDED, at);
    }

    /// Tells the guest about a unit that was removed from the target.
    pub fn unit_removed(&self, at: UnitAddress) {
        self.tell(DEVICE_REMOVED, at);
    }

    fn tell(&self, kind: u32, at: UnitAddress) {
        let Ok(lun) = u8::try_from(at.lun) else {
            return;
        };
        let target = at.target;
        let message = MessageDescriptor::new(kind, Place { target, lun });
        self.record.keep_message(message);
        if let Some(port) = self.port() {
            port.flush_messages();
        }
    }

    /// Takes nothing more from the rings and waits until nothing of the adapter
    /// touches guest memory any more. Commands that wait for the latency of their
    /// unit stay where they are, and neither kicks are forgotten nor what the guest is
    /// to be told.
    pub fn pause(&self) {
        let mut state = self.state();
        state.is_paused = true;
        if let Some(running) = &state.running {
            running.pause();
        }
        self.target.pause();
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        let mut state = self.state();
        state.is_paused = false;
        self.target.resume();
        if let Some(running) = &state.running {
            running.port.set_paused(false);
            running.port.flush_messages();
            running.worker.resume();
        }
    }

    /// The end of the rings, while there are some.
    fn port(&self) -> Option<Arc<Port>> {
        let state = self.state();
        state.running.as_ref().map(|running| running.port.clone())
    }

    /// Has a thread serve the rings of `port`.
    fn start(&self, port: Arc<Port>) -> io::Result<()> {
        let running = Running {
            worker: self.spawn(&port)?,
            port,
        };
        let mut state = self.state();
        if state.is_paused {
            running.pause();
        }
        state.running = Some(running);
        Ok(())
    }

    fn spawn(&self, port: &Arc<Port>) -> io::Result<Taker> {
        #[cfg(feature = "fuzzing")]
        if self.is_threadless {
            let intake = Intake::new(port.clone(), self.target.queue());
            return Ok(Taker::Caller(Arc::new(Mutex::new(intake))));
        }
        let (lane, mode) = (self.lane.clone(), self.config.aio);
        let of_service = port.clone();
        let name = format!("{}-rings", self.config.name);
        let worker = Worker::spawn(name, vec![port.clone()], move || {
            let mut driver = lane.driver(mode)?;
            let completed = of_service.clone();
            driver.before_wait(move || completed.announce_before_wait());
            Ok(Intake::new(of_service, driver))
        })?;
        Ok(Taker::Thread(worker))
    }

    /// Waits until all requests that are there were taken, or will not be; no longer than
    /// `until`, if that is given. `None` if there are no rings.
    fn catch_up(&self, until: Option<Instant>) -> Option<()> {
        #[cfg(feature = "fuzzing")]
        if self.is_threadless {
            self.take_here();
            return Some(());
        }
        self.port()?.catch_up(until);
        Some(())
    }

    /// Takes requests on this thread.
    #[cfg(feature = "fuzzing")]
    fn take_here(&self) {
        let taker = self.state().running.as_ref().map(|running| {
            let Taker::Caller(intake) = &running.worker else {
                return None;
            };
            Some(intake.clone())
        });
        if let Some(intake) = taker.flatten() {
            let mut intake = intake.lock().unwrap_or_else(PoisonError::into_inner);
            intake.drain();
        }
    }

    /// Takes nothing more, has the target end what it works on, and waits until all of
    /// it was completed. There are no rings any more after this.
    fn stop(&self) {
        let running = self.state().running.take();
        let Some(Running { worker, port }) = running else {
            return;
        };
        port.close();
        drop(worker);
        self.target.reset();
        port.lose();
        port.wait_idle();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    fn pause(&self) {
        self.port.set_paused(true);
        self.worker.pause();
    }
}

impl Taker {
    fn pause(&self) {
        match self {
            Self::Thread(worker) => {
                worker.pause();
                worker.wait_paused();
            }
            #[cfg(feature = "fuzzing")]
            Self::Caller(_) => {}
        }
    }

    fn resume(&self) {
        match self {
            Self::Thread(worker) => worker.resume(),
            #[cfg(feature = "fuzzing")]
            Self::Caller(_) => {}
        }
    }
}

impl Drop for Pvscsi {
    fn drop(&mut self) {
        self.stop();
    }
}
