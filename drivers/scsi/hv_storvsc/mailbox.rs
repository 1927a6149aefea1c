// SPDX-License-Identifier: GPL-2.0

//! Packets that somebody waits for the answer to.

use crate::hba::Hba;
use guest::completion::Completion;
use kernel::{
    new_spinlock_irq,
    prelude::*,
    sync::SpinLockIrq,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::storvsp::Packet;
use zerocopy::IntoBytes;

/// How long the host may take.
const TIMEOUT_S: u32 = 180;
/// How often it is tried to send a packet, ten milliseconds apart.
const ATTEMPTS: u32 = 500;

/// Where an answer is waited for. One packet at a time.
#[pin_data]
pub(crate) struct Mailbox {
    id: u64,
    #[pin]
    state: SpinLockIrq<State>,
    #[pin]
    arrived: Completion,
}

enum State {
    Empty,
    Awaited,
    Arrived(Packet),
}

impl Mailbox {
    /// A mailbox for answers with this id.
    pub(crate) fn new(id: u64) -> impl PinInit<Self> {
        pin_init!(Self {
            id,
            state <- new_spinlock_irq!(State::Empty, "hv_storvsc::Mailbox::state"),
            arrived <- Completion::new(),
        })
    }

    /// Takes an answer, if there is any due. In any context.
    pub(crate) fn deliver(&self, packet: Packet) {
        let mut state = self.state.lock();
        if matches!(*state, State::Awaited) {
            *state = State::Arrived(packet);
            self.arrived.complete_all();
        }
    }

    /// Sends a packet and waits for the answer. Sleeps.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT`, `ENODEV` if the device is taken away or its host has broken a ring, or what the
    /// bus says.
    pub(crate) fn ask(&self, hba: &Hba, packet: &Packet) -> Result<Packet> {
        self.arrived.reset();
        *self.state.lock() = State::Awaited;
        let result = self.send(hba, packet).and_then(|()| self.wait(hba));
        match (
            result,
            core::mem::replace(&mut *self.state.lock(), State::Empty),
        ) {
            (_, State::Arrived(answer)) => Ok(answer),
            (Err(error), _) => Err(error),
            (Ok(()), _) => Err(EIO),
        }
    }

    /// Sends a packet, for which a ring full of commands has no room at first.
    fn send(&self, hba: &Hba, packet: &Packet) -> Result {
        for _ in 0..ATTEMPTS {
            match hba.channels.send_own(self.id, packet.as_bytes()) {
                Err(EAGAIN) => fsleep(Delta::from_millis(10)),
                result => return result,
            }
        }
        Err(EAGAIN)
    }

    fn wait(&self, hba: &Hba) -> Result {
        for _ in 0..TIMEOUT_S {
            if self.arrived.wait_timeout(1000).is_ok() {
                return Ok(());
            }
            // Nothing comes any more.
            if hba.channels.is_rescinded() || hba.channels.is_broken() {
                return Err(ENODEV);
            }
        }
        Err(ETIMEDOUT)
    }
}
