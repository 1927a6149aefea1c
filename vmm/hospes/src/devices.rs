// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is on the PCI bus and on VMBus, by name, and how it comes and goes.
//!
//! A device goes in one of two ways. In order: the guest is asked, its driver
//! lets go, and the guest ejects the device, which calls [`Devices::eject`] on
//! a vCPU's thread, or releases its channels. By surprise: it is taken away at once, and the guest is
//! told after. The list is locked for as long as it takes to look at it or to
//! change it, never while a device works, so that a vCPU waits for nobody.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::counters::Counted;
use hospes_pci::device::PciDevice;
use hospes_pci::root::{RootBus, Slot};
use hospes_vmbus::device::Device;
use hospes_vmbus::storvsp::Storvsp;
use hospes_vmbus::VmBus;
use serde::Serialize;
use serde_json::{json, Map, Value};

use crate::acpi::slots::{Eject, Slots};
use crate::hyperv::platform::Platform;
use crate::refusal::Refusal;
use crate::storage::transport::Transport;
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
    /// Where it is, as bus:device.function, or its instance on VMBus.
    pub address: String,
    /// Whether it is going to stay.
    pub state: Presence,
    /// Logical units, for a controller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub units: Option<usize>,
}

/// Where a device is.
#[derive(Clone)]
enum Place {
    Pci(Slot),
    Vmbus(Arc<Storvsp>),
}

impl Place {
    /// The place as users see it.
    fn address(&self) -> String {
        match self {
            Self::Pci(slot) => slot.to_string(),
            Self::Vmbus(device) => device.identity().instance.to_string(),
        }
    }
}

#[derive(Clone)]
struct Entry {
    id: String,
    place: Place,
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
            address: self.place.address(),
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
    /// None if the guest is none of Hyper-V.
    hyperv: Option<Arc<Platform>>,
    entries: Mutex<Vec<Entry>>,
}

impl Devices {
    /// None yet, on the bus `root`.
    pub fn new(
        root: Arc<RootBus>,
        slots: Option<Arc<Slots>>,
        hyperv: Option<Arc<Platform>>,
    ) -> Arc<Self> {
        let devices = Arc::new(Self {
            root,
            slots,
            hyperv,
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
        match controller.transport() {
            Transport::Virtio { device, .. } => {
                self.insert(controller.id(), device.clone(), Some(controller.clone()))
            }
            Transport::Pvscsi(device) => {
                self.insert(controller.id(), device.clone(), Some(controller.clone()))
            }
            Transport::Vmbus(device) => {
                let bus = self.bus()?;
                self.lock().push(on_vmbus(controller, device));
                bus.offer(device.clone());
                Ok(())
            }
        }
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
            place: Place::Pci(slot),
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
        let mut entries = self.lock();
        let id = controller.id();
        if entries.iter().any(|entry| entry.id == id) {
            return Err(taken(id));
        }
        let device: Arc<dyn PciDevice> = match controller.transport() {
            Transport::Virtio { device, .. } => device.clone(),
            Transport::Pvscsi(device) => device.clone(),
            Transport::Vmbus(device) => {
                controller.check_changeable()?;
                let entry = on_vmbus(controller, device);
                let description = entry.describe();
                self.bus()?.offer(device.clone());
                entries.push(entry);
                return Ok(description);
            }
        };
        let slots = self.slots()?;
        let slot = self
            .root
            .plug(device)
            .map_err(|error| Refusal::conflict(format!("{id}: {error}")))?;
        let entry = Entry {
            id: id.to_owned(),
            place: Place::Pci(slot),
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
    pub fn remove(self: &Arc<Self>, id: &str, removal: Removal) -> Result<Description, Refusal> {
        let (description, place) = {
            let mut entries = self.lock();
            let entry = find(&mut entries, id)?;
            let Some(controller) = &entry.controller else {
                return Err(Refusal::conflict(format!(
                    "{id} is part of every machine; only controllers can be removed"
                )));
            };
            controller.check_changeable()?;
            if let Place::Pci(slot) = entry.place {
                self.check_removable(id, slot)?;
            }
            entry.presence = Presence::Removing;
            (entry.describe(), entry.place.clone())
        };
        match place {
            Place::Pci(slot) => self.remove_from_pci(slot.device, removal)?,
            Place::Vmbus(device) => self.remove_from_vmbus(id, &device, removal)?,
        }
        Ok(description)
    }

    /// Whether a device can leave its slot.
    fn check_removable(&self, id: &str, slot: Slot) -> Result<(), Refusal> {
        self.slots()?;
        if self.root.functions_of(slot) > 1 {
            return Err(Refusal::conflict(format!(
                "{id} at {slot} shares its slot with other functions; only a device that has a \
                 slot to itself can be removed"
            )));
        }
        Ok(())
    }

    fn remove_from_pci(&self, device: u8, removal: Removal) -> Result<(), Refusal> {
        let slots = self.slots()?;
        match removal {
            Removal::Orderly => slots.request_eject(device),
            Removal::Surprise => {
                self.take_out(device);
                slots.vanished();
            }
        }
        Ok(())
    }

    fn remove_from_vmbus(
        self: &Arc<Self>,
        id: &str,
        device: &Storvsp,
        removal: Removal,
    ) -> Result<(), Refusal> {
        let bus = self.bus()?;
        if removal == Removal::Surprise {
            // Commands end, but their answers still reach the guest, which would wait
            // for them without an end.
            self.controller(id)?.remove_all();
        }
        let (devices, id) = (Arc::downgrade(self), id.to_owned());
        bus.rescind(device.identity().instance, move || {
            if let Some(devices) = devices.upgrade() {
                devices.forget(&id);
            }
        });
        Ok(())
    }

    /// Forgets a device of VMBus that is gone.
    fn forget(&self, id: &str) {
        let removed: Vec<_> = {
            let mut entries = self.lock();
            let (removed, rest) =
                (std::mem::take(&mut *entries).into_iter()).partition(|entry| entry.id == id);
            *entries = rest;
            removed
        };
        // Not while the list is locked: what is dropped may wait for its threads.
        drop(removed);
    }

    /// VMBus itself.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is none.
    pub fn bus(&self) -> Result<&VmBus, Refusal> {
        let bus = self.hyperv.as_ref().and_then(|hyperv| hyperv.bus());
        bus.ok_or_else(|| {
            Refusal::conflict("the machine has no VMBus; start it with --personality hyperv")
        })
    }

    /// Takes whatever is in a slot off the bus, and forgets it.
    fn take_out(&self, device: u8) {
        let removed: Vec<_> = {
            let mut entries = self.lock();
            let (removed, rest) = std::mem::take(&mut *entries).into_iter().partition(
                |entry| matches!(entry.place, Place::Pci(slot) if slot.device == device),
            );
            *entries = rest;
            removed
        };
        for entry in removed {
            if let Place::Pci(slot) = entry.place {
                self.root.unplug(slot);
            }
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
        if let Ok(bus) = self.bus() {
            bus.reset();
        }
    }

    /// Lets no device touch guest memory any more.
    pub fn pause(&self) {
        if let Ok(bus) = self.bus() {
            bus.pause();
        }
        for controller in self.controllers() {
            controller.pause();
        }
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) {
        for controller in self.controllers() {
            controller.resume();
        }
        if let Ok(bus) = self.bus() {
            bus.resume();
        }
    }

    /// The counters of VMBus and what is on it, if there is one.
    pub fn vmbus_counters(&self) -> Option<Value> {
        let mut counters = self.bus().ok()?.counters();
        let entries = self.lock().clone();
        let devices: Map<_, _> = (entries.into_iter())
            .filter_map(|entry| {
                let counters = entry.controller.as_ref()?.transport().counters()?;
                Some((entry.id, counters))
            })
            .collect();
        let map = counters.as_object_mut()?;
        map.insert("devices".to_owned(), Value::Object(devices));
        Some(counters)
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

/// A controller on VMBus.
fn on_vmbus(controller: &Arc<Controller>, device: &Arc<Storvsp>) -> Entry {
    Entry {
        id: controller.id().to_owned(),
        place: Place::Vmbus(device.clone()),
        presence: Presence::Present,
        controller: Some(controller.clone()),
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
            .filter_map(|entry| {
                let Place::Pci(slot) = entry.place else {
                    return None;
                };
                let function = self.root.function(slot);
                let counters = function.map(|function| function.counters());
                let value = json!({
                    "address": slot.to_string(),
                    "counters": counters.unwrap_or_default(),
                });
                Some((entry.id, value))
            })
            .collect();
        Value::Object(pci)
    }
}
