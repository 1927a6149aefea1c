// SPDX-License-Identifier: GPL-2.0

//! The adapter: its state, its interrupt, how it is started and stopped.

use crate::{
    command,
    flight::Flight,
    message::{
        Hearing,
        Messages, //
    },
    registers::{
        Kicks,
        Registers, //
    },
    rings::Rings, //
};
use guest::{
    lock::IrqLock,
    new_irq_lock,
    ratelimit::RateLimit,
    scsi::{
        HostByte,
        Status, //
    }, //
};
use kernel::{
    device,
    irq::{
        self,
        IrqReturn, //
    },
    new_work,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
    workqueue::{
        impl_has_work,
        Work, //
    }, //
};
use protocol::pvscsi::RingError;

/// What was decided when the device was set up.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) revision: u8,
    pub(crate) ring_pages: u32,
    /// 0 if there is no message ring.
    pub(crate) message_pages: u32,
    pub(crate) commands_per_device: u32,
    pub(crate) targets: u32,
    /// Whether the device may say when it wants to be kicked.
    pub(crate) threshold: bool,
}

/// What the adapter is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It carries out commands.
    Running,
    /// It does not, for it was not started yet, or was wrong; a reset of the host starts it.
    Stopped,
    /// It does not: the machine sleeps, or the driver leaves.
    Away,
}

/// What is under the lock.
pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) rings: Rings,
    pub(crate) flight: Flight,
    /// Whether the device says when it wants to be kicked for reads and writes.
    pub(crate) threshold: bool,
    /// Kicks that wait for the last command of a batch.
    pub(crate) kicks: Kicks,
    pub(crate) hearing: Hearing,
}

/// An adapter as its driver has it.
#[pin_data]
pub(crate) struct Adapter {
    dev: ARef<device::Device>,
    pub(crate) settings: Settings,
    pub(crate) registers: Registers,
    #[pin]
    pub(crate) state: IrqLock<State>,
    pub(crate) messages: Messages,
    #[pin]
    pub(crate) message_work: Work<Adapter>,
    #[pin]
    complaints: RateLimit,
}

impl_has_work! {
    impl HasWork<Self> for Adapter { self.message_work }
}

impl Adapter {
    /// An adapter that is not started.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &device::Device<device::Bound>,
        settings: Settings,
        registers: Registers,
        rings: Rings,
    ) -> Result<Arc<Self>> {
        let state = State {
            phase: Phase::Stopped,
            flight: Flight::new(dev, rings.depth())?,
            rings,
            threshold: false,
            kicks: Kicks::default(),
            hearing: Hearing::default(),
        };
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                settings,
                registers,
                state <- new_irq_lock!(state, "vmw_pvscsi::Adapter::state"),
                messages: Messages::new(),
                message_work <- new_work!("vmw_pvscsi::Adapter::message_work"),
                complaints <- RateLimit::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// Starts the adapter, or starts it again: tells the device where the rings are, which are empty.
    ///
    /// # Errors
    ///
    /// `EIO` if what the device says of the rings makes no sense.
    pub(crate) fn start(&self) -> Result {
        self.state.with(|state| self.start_locked(state))
    }

    fn start_locked(&self, state: &mut State) -> Result {
        state.phase = Phase::Stopped;
        state.hearing.start_again(&state.rings);
        state.rings.clear();
        let (rings, messages) = state.rings.setup();
        self.registers.send(&rings);
        if let Some(messages) = messages {
            self.registers.send(&messages);
        }
        match state.rings.begin() {
            Ok(None) => (),
            Ok(Some(error)) => self.complain_of_ring("message ring not usable", error),
            Err(error) => {
                self.complain_of_ring("rings not usable", error);
                self.registers.reset_adapter();
                return Err(EIO);
            }
        }
        state.threshold = self.settings.threshold && self.registers.enable_threshold();
        state.kicks = Kicks::default();
        state.phase = Phase::Running;
        self.registers.unmask(state.rings.has_message_ring());
        Ok(())
    }

    /// Stops the adapter: the device leaves memory alone, and what it had is completed. What it had
    /// not completed itself is told to be lost in a reset.
    pub(crate) fn stop(&self, phase: Phase) {
        self.state.with(|state| self.stop_locked(state, phase));
    }

    fn stop_locked(&self, state: &mut State, phase: Phase) {
        let was_running = state.phase == Phase::Running;
        state.phase = phase;
        if !was_running {
            return;
        }
        self.registers.mask();
        self.flush();
        self.registers.reset_adapter();
        // After the reset, since the device leaves what it has completed before as it is.
        if let Err(error) = self.take_completions(state) {
            self.complain_of_ring("completions not usable", error);
        }
        while let Some(command) = state.flight.land_any() {
            command.unmap().complete(HostByte::RESET, Status::GOOD);
        }
    }

    /// Stops the adapter and starts it again, unless it is away.
    ///
    /// # Errors
    ///
    /// `ENODEV` if it is away, `EIO` if it does not start.
    pub(crate) fn restart(&self) -> Result {
        self.state.with(|state| {
            if state.phase == Phase::Away {
                return Err(ENODEV);
            }
            self.stop_locked(state, Phase::Stopped);
            self.start_locked(state)
        })
    }

    /// Has the device take all requests, whatever it thinks of kicks.
    pub(crate) fn flush(&self) {
        self.registers.kick(Kicks {
            other: true,
            ..Kicks::default()
        });
    }

    /// Completes what the device has completed. If what it says makes no sense, it is stopped.
    pub(crate) fn drain(&self, state: &mut State) {
        if state.phase != Phase::Running {
            return;
        }
        if let Err(error) = self.take_completions(state) {
            self.complain_of_ring("broken completion ring, adapter stopped", error);
            self.stop_locked(state, Phase::Stopped);
        }
    }

    fn take_completions(&self, state: &mut State) -> Result<(), RingError> {
        let mut left = state.rings.completions();
        while let Some(completion) = state.rings.next_completion()? {
            // More than fit can only come from a device that completes what it has not got.
            left = left
                .checked_sub(1)
                .ok_or(RingError::Index(state.rings.completions()))?;
            command::finish(self, &mut state.flight, completion);
        }
        Ok(())
    }

    /// Says what is wrong with a ring, with the value.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain_of_ring(&self, what: &str, error: RingError) {
        let (RingError::Size(value) | RingError::Index(value)) = error;
        self.complain(what, value.into());
    }

    /// Says what is wrong with the device, but not too often: it may be wrong all the time.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain(&self, what: &str, value: u64) {
        if self.complaints.allows() {
            dev_err!(self.dev, "{}: {:#x}\n", what, value);
        }
    }

    /// The device, for messages.
    pub(crate) fn dev(&self) -> &device::Device {
        &self.dev
    }
}

/// What handles the interrupt.
pub(crate) struct Handler {
    pub(crate) adapter: Arc<Adapter>,
    /// Whether other devices may use the same line, and the device tells whether it has.
    pub(crate) shared: bool,
}

impl irq::Handler for Handler {
    fn handle(&self) -> IrqReturn {
        let adapter = &self.adapter;
        if self.shared && !adapter.registers.acknowledge() {
            return IrqReturn::None;
        }
        adapter.state.with(|state| {
            adapter.drain(state);
            adapter.as_arc_borrow().act_later(state);
        });
        IrqReturn::Handled
    }
}
