// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is on the PCI bus, by name, and how it comes and goes.
//!
//! A device goes in one of two ways. In order: the guest is asked, its driver
//! lets go, and the guest ejects the device, which calls [`Devices::eject`] on
//! a vCPU's thread. By surprise: it is taken away at once, and the guest is
//! told after. The list is locked for as long as it takes to look at it or to
//! change it, never while a device works, so that a vCPU waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counted;
use hospes_pci::device::PciDevice;
use hospes_pci::root::{RootBus, Slot};
use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::acpi::slots::{Eject, Slots};
use crate::refusal::Refusal;
use crate::storage::Controller;

/// Whether a device is going to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Presence {
    /// It is.
    Present,
    /// The guest was asked to let go of it.
    Removing,
}

/// How a device goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// When the guest lets go of it.
    Orderly,
    /// Now.
    Surprise,
}

/// A device as users see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its name.
    pub id: String,
    /// What it is.
    pub kind: &'static str,
    /// Where it is, as bus:device.function.
    pub address: String,
    /// Whether it is going to stay.
    pub state: Presence,
    /// Logical units, for a controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
}

#[derive(Clone)]
struct Entry {
    id: String,
    slot: Slot,
    presence: Presence,
    /// None for what every machine has.
    controller: Option<Arc<Controller>>,
}

impl Entry {
    fn describe(&self) -> Description {
        let controller = self.controller.as_deref();
        Description {
            id: self.id.clone(),
            kind: controller.map_or("pvpanic", Controller::kind),
            address: self.slot.to_string(),
            state: self.presence,
            units: controller.map(Controller::len),
        }
    }
}

/// All devices of a machine.
pub struct Devices {
    root: Arc<RootBus>,
    /// None if the guest does not look for changes.
    slots: Option<Arc<Slots>>,
    entries: Mutex<Vec<Entry>>,
}

impl Devices {
    /// None yet, on the bus `root`.
    pub fn new(root: Arc<RootBus>, slots: Option<Arc<Slots>>) -> Arc<Self> {
        let devices = Arc::new(Self {
            root,
            slots,
            entries: Mutex::default(),
        });
        if let Some(slots) = &devices.slots {
            let ejector: Arc<dyn Eject> = devices.clone();
            slots.connect(Arc::downgrade(&ejector));
        }
        devices
    }

    /// Adds a device that every machine has, before the guest runs.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the bus has no place for it.
    pub fn add(&self, id: &str, device: Arc<dyn PciDevice>) -> Result<(), Refusal> {
        self.insert(id, device, None)
    }

    /// Adds a controller before the guest runs.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if the bus has no place for it.
    pub fn add_controller(&self, controller: &Arc<Controller>) -> Result<(), Refusal> {
        let device = controller.device();
        self.insert(controller.id(), device, Some(controller.clone()))
    }

    fn insert(
        &self,
        id: &str,
        device: Arc<dyn PciDevice>,
        controller: Option<Arc<Controller>>,
    ) -> Result<(), Refusal> {
        let slot = self
            .root
            .add(device)
            .map_err(|error| Refusal::invalid(format!("{id}: {error}")))?;
        self.lock().push(Entry {
            id: id.to_owned(),
            slot,
            presence: Presence::Present,
            controller,
        });
        Ok(())
    }

    /// Plugs a controller in while the guest runs.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if its name or all slots are taken, or the guest does not
    /// look for changes.
    pub fn plug(&self, controller: &Arc<Controller>) -> Result<Description, Refusal> {
        let slots = self.slots()?;
        let mut entries = self.lock();
        let id = controller.id();
        if entries.iter().any(|entry| entry.id == id) {
            return Err(taken(id));
        }
        let slot = self
            .root
            .plug(controller.device())
            .map_err(|error| Refusal::conflict(format!("{id}: {error}")))?;
        let entry = Entry {
            id: id.to_owned(),
            slot,
            presence: Presence::Present,
            controller: Some(controller.clone()),
        };
        let description = entry.describe();
        entries.push(entry);
        drop(entries);
        slots.inserted(slot.device);
        Ok(description)
    }

    /// Takes a controller away, or begins to.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such controller, or it cannot go alone.
    pub fn remove(&self, id: &str, removal: Removal) -> Result<Description, Refusal> {
        let slots = self.slots()?;
        let (description, device) = {
            let mut entries = self.lock();
            let entry = find(&mut entries, id)?;
            if entry.controller.is_none() {
                return Err(Refusal::conflict(format!(
                    "{id} is part of every machine; only controllers can be removed"
                )));
            }
            if self.root.functions_of(entry.slot) > 1 {
                return Err(Refusal::conflict(format!(
                    "{id} at {} shares its slot with other functions; only a device that has a \
                     slot to itself can be removed",
                    entry.slot
                )));
            }
            entry.presence = Presence::Removing;
            (entry.describe(), entry.slot.device)
        };
        match removal {
            Removal::Orderly => slots.request_eject(device),
            Removal::Surprise => {
                self.take_out(device);
                slots.vanished();
            }
        }
        Ok(description)
    }

    /// Takes whatever is in a slot off the bus, and forgets it.
    fn take_out(&self, device: u8) {
        let removed: Vec<_> = {
            let mut entries = self.lock();
            let (removed, rest) = std::mem::take(&mut *entries)
                .into_iter()
                .partition(|entry| entry.slot.device == device);
            *entries = rest;
            removed
        };
        for entry in removed {
            self.root.unplug(entry.slot);
        }
    }

    /// The controller called `id`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is none.
    pub fn controller(&self, id: &str) -> Result<Arc<Controller>, Refusal> {
        let mut entries = self.lock();
        let entry = find(&mut entries, id)?;
        entry
            .controller
            .clone()
            .ok_or_else(|| Refusal::conflict(format!("{id} is no controller")))
    }

    /// All controllers.
    pub fn controllers(&self) -> Vec<Arc<Controller>> {
        let entries = self.lock();
        let controllers = entries.iter().filter_map(|entry| entry.controller.clone());
        controllers.collect()
    }

    /// Whether there is a device called `id`.
    pub fn contains(&self, id: &str) -> bool {
        self.lock().iter().any(|entry| entry.id == id)
    }

    /// The device called `id`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is none.
    pub fn describe(&self, id: &str) -> Result<Description, Refusal> {
        Ok(find(&mut self.lock(), id)?.describe())
    }

    /// All devices, in the order in which they came.
    pub fn list(&self) -> Vec<Description> {
        self.lock().iter().map(Entry::describe).collect()
    }

    /// Stops every device; nothing comes from them any more.
    pub fn reset(&self) {
        self.root.reset();
    }

    fn slots(&self) -> Result<&Slots, Refusal> {
        self.slots.as_deref().ok_or_else(|| {
            Refusal::conflict("the machine has no hot-plug slots; start it with --control")
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The refusal of a name that is in use.
pub fn taken(id: &str) -> Refusal {
    Refusal::conflict(format!("id={id} is taken; give another one"))
}

fn find<'a>(entries: &'a mut [Entry], id: &str) -> Result<&'a mut Entry, Refusal> {
    let names: Vec<_> = entries.iter().map(|entry| entry.id.clone()).collect();
    entries
        .iter_mut()
        .find(|entry| entry.id == id)
        .ok_or_else(|| {
            Refusal::unknown(format!(
                "there is no device {id}; there are {}",
                names.join(", ")
            ))
        })
}

impl Eject for Devices {
    fn eject(&self, device: u8) {
        self.take_out(device);
    }
}

impl Counted for Devices {
    fn counters(&self) -> Value {
        let entries = self.lock().clone();
        let pci: Map<_, _> = entries
            .into_iter()
            .map(|entry| {
                let function = self.root.function(entry.slot);
                let counters = function.map(|function| function.counters());
                let value = json!({
                    "address": entry.slot.to_string(),
                    "counters": counters.unwrap_or_default(),
                });
                (entry.id, value)
            })
            .collect();
        Value::Object(pci)
    }
}
