// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A virtio SCSI host (VIRTIO 1.3, section 5.6) in front of a SCSI target.
//!
//! The parts are [`ScsiConfig`] and the configuration space, the request queues
//! (`request`, `service`), the control queue (`control`) and the event queue (`event`).
//! What can be made to go wrong is in `fault` and `inject`.
//!
//! Each request queue has a thread and a queue of the target to itself, and
//! shares no lock with the others on the way of a command. Control and event
//! queue have one thread together, so that a task management function, which
//! waits for the commands it ends, never holds up a request. Completions come
//! on whatever thread the target ends a command on.

mod config;
mod control;
mod event;
mod fault;
#[cfg(feature = "fuzzing")]
mod here;
mod inject;
mod request;
mod service;

pub use config::{ConfigError, ScsiConfig, MAX_REQUEST_QUEUES};

use std::io;
use std::slice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counted;
use hospes_device::worker::{OnKick, Worker};
use hospes_scsi::{Queue, Target, UnitAddress};
use protocol::virtio_scsi::{
    Event, Lun, CONTROL_QUEUE, DEVICE_ID, EVENT_QUEUE, FIRST_REQUEST_QUEUE, F_CHANGE, F_HOTPLUG,
    F_T10_PI,
};
use serde_json::{json, Value};

use crate::device::{ActivateError, Activation, VirtioDevice};
use crate::fault::OfRequests as _;
use crate::notify::DeviceState;
use crate::queue::VirtQueue;
use config::ConfigSpace;
use control::{Control, ControlCounters};
use event::Events;
use fault::Faulty;
use service::RequestService;

/// PCI class code of a SCSI controller.
const PCI_CLASS: [u8; 3] = [1, 0, 0];

/// The additional sense code and qualifier for a changed capacity.
const CAPACITY_CHANGED: (u8, u8) = (0x2a, 0x09);

/// A SCSI host with its target.
pub struct ScsiHost {
    config: ScsiConfig,
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
    /// Whether the host is to do nothing for the time being.
    paused: AtomicBool,
}

/// What the host's threads work with.
struct Shared {
    space: ConfigSpace,
    target: Arc<Target>,
    /// The target's queue for each request queue.
    lanes: Vec<Queue>,
    control: ControlCounters,
    events: Events,
    faulty: Arc<Faulty>,
}

/// The threads of a host that a driver runs.
struct Running {
    requests: Vec<Worker>,
    control: Worker,
    queues: Vec<Arc<VirtQueue>>,
    state: Arc<DeviceState>,
}

impl ScsiHost {
    /// A host in front of `target`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first setting that cannot be.
    pub fn new(config: &ScsiConfig, target: Arc<Target>) -> Result<Arc<Self>, ConfigError> {
        config.check()?;
        let queues = usize::from(FIRST_REQUEST_QUEUE.saturating_add(config.request_queues));
        let entries = queues.saturating_mul(config.queue_size.into());
        let faulty = Arc::new(Faulty::new(entries));
        let shared = Shared {
            space: ConfigSpace::new(config),
            lanes: (0..config.request_queues).map(|_| target.queue()).collect(),
            target,
            control: ControlCounters::default(),
            events: Events::new(faulty.clone()),
            faulty,
        };
        Ok(Arc::new(Self {
            config: config.clone(),
            shared: Arc::new(shared),
            running: Mutex::new(None),
            paused: AtomicBool::new(false),
        }))
    }

    /// Takes nothing more from the queues and waits until nothing of the host
    /// touches guest memory any more. Commands that wait for the latency of
    /// their unit stay where they are, and kicks are not forgotten.
    ///
    /// Not to be called from a completion. A reset works as ever.
    pub fn pause(&self) {
        let running = self.running();
        self.paused.store(true, Ordering::SeqCst);
        if let Some(running) = running.as_ref() {
            running.pause();
        }
        self.shared.faulty.late.set_paused(true);
        self.shared.target.pause();
    }

    /// Goes on after a [`pause`](Self::pause).
    pub fn resume(&self) {
        let running = self.running();
        self.paused.store(false, Ordering::SeqCst);
        self.shared.faulty.late.set_paused(false);
        self.shared.target.resume();
        if let Some(running) = running.as_ref() {
            running.resume();
        }
    }

    /// How many requests the driver waits for.
    pub fn in_flight(&self) -> usize {
        let count = |running: &Running| running.queues.iter().map(|queue| queue.in_flight()).sum();
        self.running().as_ref().map_or(0, count)
    }

    /// Tells the driver about a unit that was added to the target.
    pub fn unit_added(&self, address: UnitAddress) {
        self.send(F_HOTPLUG, address, Event::rescan);
    }

    /// Tells the driver about a unit that was removed from the target.
    pub fn unit_removed(&self, address: UnitAddress) {
        self.send(F_HOTPLUG, address, Event::removed);
    }

    /// Tells the driver that a unit has another size now.
    pub fn capacity_changed(&self, address: UnitAddress) {
        let (asc, ascq) = CAPACITY_CHANGED;
        self.send(F_CHANGE, address, |lun| Event::changed(lun, asc, ascq));
    }

    fn send(&self, feature: u32, address: UnitAddress, event: impl FnOnce(Lun) -> Event) {
        // A target has no unit whose number the field cannot express.
        if let Some(lun) = Lun::new(address.target, address.lun) {
            self.shared.events.send(feature, event(lun));
        }
    }

    /// Starts the threads for queues of `activation`.
    fn spawn(&self, activation: &Activation) -> io::Result<Running> {
        let queues: Vec<_> = activation.queues.iter().flatten().cloned().collect();
        let (control, requests): (Vec<_>, Vec<_>) = queues
            .iter()
            .cloned()
            .partition(|queue| queue.index() < FIRST_REQUEST_QUEUE);
        Ok(Running {
            requests: requests
                .iter()
                .map(|queue| self.spawn_request(queue.clone()))
                .collect::<io::Result<_>>()?,
            control: self.spawn_control(control, requests)?,
            queues,
            state: activation.state.clone(),
        })
    }

    fn spawn_request(&self, queue: Arc<VirtQueue>) -> io::Result<Worker> {
        let (shared, mode) = (self.shared.clone(), self.config.aio);
        let number = usize::from(queue.index().saturating_sub(FIRST_REQUEST_QUEUE));
        let name = format!("{}-q{number}", self.config.name);
        Worker::spawn(name, vec![queue.clone()], move || {
            let lane = shared.lanes.get(number).ok_or(io::ErrorKind::NotFound)?;
            let driver = lane.driver(mode)?;
            Ok(RequestService::new(shared, driver, queue))
        })
    }

    fn spawn_control(
        &self,
        queues: Vec<Arc<VirtQueue>>,
        requests: Vec<Arc<VirtQueue>>,
    ) -> io::Result<Worker> {
        let shared = self.shared.clone();
        let name = format!("{}-ctl", self.config.name);
        let serve = move |queue: &Arc<VirtQueue>| match queue.index() {
            CONTROL_QUEUE => {
                let control = Control {
                    requests: &requests,
                    target: &shared.target,
                    counters: &shared.control,
                    faulty: &shared.faulty,
                };
                queue.drain(|chain| control::serve(chain, &control));
            }
            EVENT_QUEUE => shared.events.buffers_posted(),
            _ => {}
        };
        Worker::spawn(name, queues, move || Ok(OnKick(serve)))
    }

    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running {
    /// The control queue comes first, since task management waits for the
    /// others.
    fn pause(&self) {
        let (control, requests): (Vec<_>, Vec<_>) =
            (self.queues.iter()).partition(|queue| queue.index() < FIRST_REQUEST_QUEUE);
        for (workers, queues) in [
            (slice::from_ref(&self.control), control),
            (&self.requests, requests),
        ] {
            for queue in queues {
                queue.set_paused(true);
            }
            workers.iter().for_each(Worker::pause);
            workers.iter().for_each(Worker::wait_paused);
        }
    }

    fn resume(&self) {
        for queue in &self.queues {
            queue.set_paused(false);
        }
        self.requests.iter().for_each(Worker::resume);
        self.control.resume();
    }
}

impl VirtioDevice for ScsiHost {
    fn device_type(&self) -> u16 {
        DEVICE_ID as u16
    }

    fn pci_class(&self) -> [u8; 3] {
        PCI_CLASS
    }

    fn features(&self) -> u64 {
        (1 << F_HOTPLUG) | (1 << F_CHANGE) | (u64::from(self.config.protection) << F_T10_PI)
    }

    fn queue_sizes(&self) -> Vec<u16> {
        let count = FIRST_REQUEST_QUEUE.saturating_add(self.config.request_queues);
        vec![self.config.queue_size; usize::from(count)]
    }

    fn config_read(&self, offset: u64, data: &mut [u8]) {
        let faults = self.shared.faulty.faults.of_config();
        self.shared.space.read(offset, data, &faults);
    }

    fn config_write(&self, offset: u64, data: &[u8]) {
        self.shared.space.write(offset, data);
    }

    fn activate(&self, activation: Activation) -> Result<(), ActivateError> {
        self.shared.space.start(activation.features);
        let running = self.spawn(&activation)?;
        let events = running
            .queues
            .iter()
            .find(|queue| queue.index() == EVENT_QUEUE);
        self.shared
            .events
            .start(events.cloned(), activation.features);
        let mut present = self.running();
        if self.paused.load(Ordering::SeqCst) {
            running.pause();
        }
        *present = Some(running);
        Ok(())
    }

    /// Takes nothing more from the queues, has the target end what it works on,
    /// and waits until all of it was answered. A control request that is being
    /// carried out ends with the commands that it waits for.
    fn reset(&self) {
        self.shared.events.stop();
        let Some(Running {
            requests,
            control,
            queues,
            ..
        }) = self.running().take()
        else {
            self.shared.space.reset();
            return;
        };
        for queue in &queues {
            queue.stop();
        }
        drop(requests);
        self.shared.target.reset();
        drop(control);
        self.shared.faulty.release();
        for queue in &queues {
            queue.wait_idle();
        }
        self.shared.space.reset();
    }
}

impl Drop for ScsiHost {
    fn drop(&mut self) {
        self.reset();
    }
}

impl Counted for ScsiHost {
    fn counters(&self) -> Value {
        json!({
            "control": self.shared.control,
            "events": self.shared.events.counters(),
            "faults": self.shared.faulty.faults.counters(),
            "units": self.shared.target.counters(),
        })
    }
}

#[cfg(test)]
mod tests;
