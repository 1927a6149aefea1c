// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What can be done to a machine while it runs.
//!
//! A [`Handle`] is independent of KVM and of who asks: the control socket has
//! one, and tests have one without a guest.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;

use hospes_device::counters::Counted;
use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;
use hospes_scsi::UnitAddress;
use hospes_vmbus::VmBus;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::balloon::{self, BalloonDevice, Status};
use crate::config;
use crate::devices::{self, Description, Devices, Removal};
use crate::hyperv;
use crate::outcome::{Outcome, Stopper};
use crate::platform::power::Power;
use crate::refusal::Refusal;
use crate::storage::fault::Faulty;
use crate::storage::unit::Entry;
use crate::storage::{self, Controller, Parts};

/// Whether the guest runs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It does.
    Running,
    /// It is being paused: a vCPU is busy in a device.
    Pausing,
    /// It stands still, and so do its devices.
    Paused,
}

/// Who holds vCPUs.
pub trait Vcpus: Send + Sync {
    /// Stops them; may return before all have stopped, but soon.
    fn pause(&self) -> State;
    /// Lets them go on.
    fn resume(&self);
    /// How they are.
    fn state(&self) -> State;
}

/// A running machine.
pub struct Handle {
    /// What is on its bus.
    pub devices: Arc<Devices>,
    /// Its power button.
    pub power: Arc<Power>,
    /// Its vCPUs.
    pub vcpus: Arc<dyn Vcpus>,
    /// All of its counters.
    pub counters: Arc<dyn Counted + Send + Sync>,
    /// Who ends it.
    pub stopper: Stopper,
    /// Its balloon, if it has one.
    pub balloon: Option<Arc<dyn BalloonDevice>>,
    /// Its memory, for new devices.
    pub memory: GuestMemory,
    /// Its interrupts, for new devices.
    pub vectors: Box<dyn MsiAllocator>,
    /// How many vCPUs it has.
    pub cpus: u8,
    /// How much memory it has, in bytes.
    pub memory_size: u64,
    /// Whether its devices stand still; false at first.
    pub devices_paused: AtomicBool,
}

impl Handle {
    /// Whether the guest runs.
    pub fn state(&self) -> State {
        match self.vcpus.state() {
            State::Paused if !self.devices_paused.load(Ordering::Acquire) => State::Pausing,
            state => state,
        }
    }

    /// Has the guest stand still, then its devices. Doing it twice is no error.
    pub fn pause(&self) -> State {
        if self.vcpus.pause() == State::Paused {
            self.devices.pause();
            self.devices_paused.store(true, Ordering::Release);
        }
        self.state()
    }

    /// Has both go on. Doing it twice is no error.
    pub fn resume(&self) -> State {
        self.devices.resume();
        self.devices_paused.store(false, Ordering::Release);
        self.vcpus.resume();
        self.state()
    }

    /// Presses the power button. What follows is the guest's business.
    pub fn press_power_button(&self) {
        self.power.press_button();
    }

    /// Ends the machine as if the guest had reset it.
    pub fn reset(&self) {
        self.stopper.stop(Outcome::Reset);
    }

    /// Ends the machine as SIGTERM does.
    pub fn quit(&self) {
        self.stopper.stop(Outcome::Interrupted);
    }

    /// All counters.
    pub fn counters(&self) -> Value {
        self.counters.counters()
    }

    /// Plugs in a controller with nothing on it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key.
    pub fn add_controller(&self, scsi: &config::Scsi) -> Result<Description, Refusal> {
        // Building one is not for free; the name is looked at again at the end.
        if self.devices.contains(&scsi.id) {
            return Err(devices::taken(&scsi.id));
        }
        let parts = Parts {
            memory: &self.memory,
            vectors: &*self.vectors,
            cpus: self.cpus,
        };
        let controller = Arc::new(Controller::new(scsi, &parts)?);
        self.devices.plug(&controller)
    }

    /// Takes a controller away, or asks the guest to let go of it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such controller, or it cannot go alone.
    pub fn remove_device(&self, id: &str, removal: Removal) -> Result<Description, Refusal> {
        self.devices.remove(id, removal)
    }

    /// Adds the units of an entry.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key or the file.
    pub fn add_units(&self, entry: Entry) -> Result<Vec<UnitAddress>, Refusal> {
        let controller = self.devices.controller(entry.on())?;
        controller.add(&[entry])
    }

    /// Takes a unit away.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if it does not exist.
    pub fn remove_unit(&self, id: &str, at: UnitAddress) -> Result<(), Refusal> {
        self.devices.controller(id)?.remove(at)
    }

    /// Sets a disk's size, or looks at it again; says whether it changed.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such disk, or its file does not take it.
    pub fn resize(&self, id: &str, at: UnitAddress, size: Option<u64>) -> Result<bool, Refusal> {
        self.devices.controller(id)?.resize(at, size)
    }

    /// Changes the disc of a drive, or ejects it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such drive, or the guest holds its disc.
    pub fn set_medium(
        &self,
        id: &str,
        at: UnitAddress,
        path: Option<&Path>,
        force: bool,
    ) -> Result<(), Refusal> {
        let controller = self.devices.controller(id)?;
        match path {
            Some(path) => controller.change_medium(at, path, force),
            None => controller.eject_medium(at, force),
        }
    }

    /// The units of a controller.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such controller.
    pub fn units(&self, id: &str) -> Result<Vec<Value>, Refusal> {
        Ok(self.devices.controller(id)?.describe_units())
    }

    /// How the balloon is.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is none.
    pub fn balloon(&self) -> Result<Status, Refusal> {
        Ok(self.balloon_device()?.status())
    }

    /// Sets what the guest is to give back, in bytes.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no balloon, or not as much memory.
    pub fn set_balloon_target(&self, bytes: u64) -> Result<Status, Refusal> {
        let balloon = self.balloon_device()?;
        balloon.set_target(bytes).map_err(Refusal::invalid)?;
        Ok(balloon.status())
    }

    fn balloon_device(&self) -> Result<&dyn BalloonDevice, Refusal> {
        self.balloon.as_deref().ok_or_else(|| {
            Refusal::conflict("the machine has no balloon; start it with --balloon vmware")
        })
    }

    /// What `id` names, if that is no controller: the balloon, or VMBus.
    fn faulty(&self, id: &str) -> Option<Part<'_>> {
        let balloon = self.balloon.as_deref().filter(|_| id == balloon::ID);
        let bus = || self.devices.bus().ok().filter(|_| id == hyperv::BUS);
        balloon.map(Part::Balloon).or_else(|| bus().map(Part::Bus))
    }

    /// Has a controller do something wrong, or the balloon, or VMBus; the result names
    /// the fault.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key.
    pub fn inject(&self, id: &str, fault: Map<String, Value>) -> Result<u64, Refusal> {
        match self.faulty(id) {
            Some(Part::Balloon(balloon)) => balloon.inject(fault).map_err(Refusal::invalid),
            Some(Part::Bus(bus)) => Faulty::inject(bus, fault).map_err(Refusal::invalid),
            None => self.devices.controller(id)?.inject(fault),
        }
    }

    /// What it does wrong.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is nothing of that name.
    pub fn faults(&self, id: &str) -> Result<Vec<Value>, Refusal> {
        match self.faulty(id) {
            Some(Part::Balloon(balloon)) => Ok(balloon.faults()),
            Some(Part::Bus(bus)) => Ok(Faulty::faults(bus)),
            None => Ok(self.devices.controller(id)?.faults()),
        }
    }

    /// Has it do one thing right again, or everything.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is nothing of that name, or no such fault.
    pub fn clear_faults(&self, id: &str, fault: Option<u64>) -> Result<(), Refusal> {
        match self.faulty(id) {
            Some(Part::Balloon(balloon)) => storage::fault::clear(balloon, fault),
            Some(Part::Bus(bus)) => storage::fault::clear(bus, fault),
            None => self.devices.controller(id)?.clear_faults(fault),
        }
    }
}

/// What can be told to do something wrong and is no controller.
enum Part<'a> {
    Balloon(&'a dyn BalloonDevice),
    Bus(&'a VmBus),
}
