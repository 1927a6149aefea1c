// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A machine without a guest, for tests and fuzzing.

use std::sync::mpsc::{channel, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use hospes_device::counters::Counted;
use hospes_pci::pin::Lines;
use hospes_pci::root::RootBus;
use hospes_pci::stand_in::{NoInterrupts, Spaces};
use protocol::vmballoon::Capabilities;

use crate::acpi::slots::Slots;
use crate::control::http::{self, Parsed};
use crate::control::routes;
use crate::devices::Devices;
use crate::handle::{Handle, State, Vcpus};
use crate::layout;
use crate::outcome::{Outcome, Stopper};
use crate::platform::power::testing::power;
use crate::vmware::balloon::{Offer, Port};

/// The size of its memory.
const MEMORY: u64 = 16 << 20;

/// vCPUs that do at once what they are told.
struct Puppets(Mutex<State>);

impl Vcpus for Puppets {
    fn pause(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Paused;
        self.state()
    }

    fn resume(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = State::Running;
    }

    fn state(&self) -> State {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The machine.
pub struct Model {
    /// What the control socket has of it.
    pub handle: Handle,
    /// Its hot-plug slots.
    pub slots: Arc<Slots>,
    /// How it is told to end.
    pub outcomes: Receiver<Outcome>,
}

impl Model {
    /// A machine without devices but for a balloon.
    ///
    /// # Panics
    ///
    /// If the host has no memory or file descriptors left.
    #[expect(clippy::expect_used, reason = "there is no going on without it")]
    pub fn new() -> Self {
        let (sender, outcomes) = channel();
        let memory = crate::memory::create(MEMORY).expect("memory");
        let windows = layout::windows(MEMORY);
        let spaces = Arc::new(Spaces::default());
        let root = RootBus::new(spaces, windows, Lines::nowhere()).expect("a root bus");
        let (power, _) = power();
        let slots = Arc::new(Slots::new(power.clone()));
        let devices = Devices::new(root, Some(slots.clone()), None);
        let counters: Arc<dyn Counted + Send + Sync> = devices.clone();
        let offer = Offer::Capabilities(Capabilities::ALL);
        let balloon = Port::new(&memory, offer, None);
        let handle = Handle {
            devices,
            power,
            vcpus: Arc::new(Puppets(Mutex::new(State::Running))),
            counters,
            stopper: Stopper::new(sender),
            balloon: Some(Arc::new(balloon)),
            memory,
            vectors: Box::new(NoInterrupts),
            cpus: 1,
            memory_size: MEMORY,
            devices_paused: false.into(),
        };
        Self {
            handle,
            slots,
            outcomes,
        }
    }

    /// Does what the socket does with the bytes of a connection; returns the
    /// number of answers.
    pub fn feed(&self, mut bytes: &[u8]) -> usize {
        let mut answers = 0_usize;
        while !bytes.is_empty() {
            let (answer, len) = match http::parse(bytes) {
                Parsed::Incomplete => break,
                Parsed::Bad(answer) => (answer, bytes.len()),
                Parsed::Request(request, len) => (routes::answer(&self.handle, &request), len),
            };
            answer.encode(false);
            answers = answers.saturating_add(1);
            bytes = bytes.get(len..).unwrap_or_default();
        }
        answers
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}
