// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A bus without a thread: for fuzzing, where one for each of many thousand runs a
//! second would be too much.

use std::io;
use std::sync::Arc;

use hospes_device::memory::GuestMemory;
use protocol::hyperv::hypercall::Status;
use protocol::vmbus::Guid;

use super::{post, Bus, Request, Settings};
use crate::device::{Device, Signals};
use crate::synic::Synic;

/// The bus, on the caller's thread.
pub struct BusHere(Bus);

impl BusHere {
    /// A bus with no device on it.
    ///
    /// # Errors
    ///
    /// If there is no eventfd for it.
    pub fn new(
        memory: GuestMemory,
        synic: Arc<Synic>,
        signals: Arc<dyn Signals>,
    ) -> io::Result<Self> {
        Bus::new(Settings::default(), memory, synic, signals).map(Self)
    }

    /// As [`VmBus::post`](super::VmBus::post).
    pub fn post(&self, input: &[u8]) -> Status {
        post(&self.0.inbox, input)
    }

    /// As [`VmBus::offer`](super::VmBus::offer).
    pub fn offer(&self, device: Arc<dyn Device>) {
        self.0.inbox.push(Request::Offer(device));
    }

    /// As [`VmBus::rescind`](super::VmBus::rescind).
    pub fn rescind(&self, instance: Guid) {
        self.0
            .inbox
            .push(Request::Rescind(instance, Box::new(|| {})));
    }

    /// Does what there is to do.
    pub fn serve(&mut self) {
        self.0.turn();
    }

    /// As [`VmBus::reset`](super::VmBus::reset).
    pub fn reset(&mut self) {
        self.0.connection.reset();
    }
}
