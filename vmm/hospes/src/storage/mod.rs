// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI controllers and what is on them.
//!
//! [`unit`] opens disks, drives and devices, [`units`] gives them numbers,
//! [`transport`] is how a guest reaches them, [`fault`] what they do wrong on purpose, and a [`Controller`] has them come and go, before and while the guest runs. Who
//! changes a controller while the guest runs is one thread, that of the control
//! socket.

pub mod fault;
pub mod transport;
pub mod unit;
pub mod units;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;
use hospes_scsi::{Drive, DriveError, Target, UnitAddress};
use serde_json::{Map, Value};

use crate::config::{self, ConfigError, VmbusKind};
use crate::refusal::Refusal;
use transport::Transport;
use unit::{Entry, Unit};
use units::Units;

/// A controller with its units.
pub struct Controller {
    config: config::Scsi,
    transport: Transport,
    target: Arc<Target>,
    units: Mutex<BTreeMap<UnitAddress, Unit>>,
}

/// What controllers are built from.
pub struct Parts<'a> {
    /// The guest's memory.
    pub memory: &'a GuestMemory,
    /// Where interrupts come from.
    pub vectors: &'a dyn MsiAllocator,
    /// vCPUs, each of which gets a queue.
    pub cpus: u8,
}

/// Builds all controllers with their units, in the order of the configuration.
///
/// # Errors
///
/// [`ConfigError`] naming the key, or the file that cannot be used.
pub fn build(
    machine: &config::Machine,
    memory: &GuestMemory,
    vectors: &dyn MsiAllocator,
) -> Result<Vec<Arc<Controller>>, ConfigError> {
    let parts = Parts {
        memory,
        vectors,
        cpus: machine.cpus,
    };
    let entries = entries(machine);
    let controller = |scsi: &config::Scsi| {
        let controller = Controller::new(scsi, &parts)?;
        let entries = entries.iter().filter(|entry| entry.on() == scsi.id);
        controller.add(&entries.cloned().collect::<Vec<_>>())?;
        for fault in machine.fault.iter().filter(|fault| fault.on == scsi.id) {
            controller.inject(fault.fault.clone())?;
        }
        Ok(Arc::new(controller))
    };
    machine
        .scsi
        .iter()
        .map(|scsi| controller(scsi).map_err(|refusal: Refusal| ConfigError(refusal.text)))
        .collect()
}

/// Everything that becomes units.
fn entries(machine: &config::Machine) -> Vec<Entry> {
    let disks = machine.disk.iter().cloned().map(Arc::new).map(Entry::Disk);
    let cdroms = machine.cdrom.iter().cloned().map(Entry::Cdrom);
    let devices = machine.passthrough.iter().cloned().map(Arc::new);
    disks
        .chain(cdroms)
        .chain(devices.map(Entry::Passthrough))
        .collect()
}

impl Controller {
    /// A controller with nothing on it.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key, or what the host does not give.
    pub fn new(scsi: &config::Scsi, parts: &Parts<'_>) -> Result<Self, Refusal> {
        scsi.check()?;
        let target = Target::new();
        Ok(Self {
            config: scsi.clone(),
            transport: Transport::new(scsi, parts, &target)?,
            target,
            units: Mutex::default(),
        })
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.config.id
    }

    /// What it is.
    pub fn kind(&self) -> &'static str {
        match self.transport {
            Transport::Virtio { .. } => "virtio-scsi",
            Transport::Vmbus(_) => match self.config.vmbus() {
                Some(VmbusKind::Fc) => "storvsp-fc",
                Some(VmbusKind::Ide) => "storvsp-ide",
                _ => "storvsp",
            },
            Transport::Pvscsi(_) => "pvscsi",
        }
    }

    /// What is put on a bus.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How many units it has.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its units, as JSON.
    pub fn describe_units(&self) -> Vec<Value> {
        let units = self.lock().clone();
        units.iter().map(|(at, unit)| unit.describe(*at)).collect()
    }

    /// Adds the units of `entries`: all of them, or none.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key or the file that cannot be used.
    pub fn add(&self, entries: &[Entry]) -> Result<Vec<UnitAddress>, Refusal> {
        let opened = self.open(entries)?;
        let mut added = Vec::new();
        for (at, name, opened) in opened {
            self.target
                .add(at, opened.server)
                .map_err(|error| Refusal::conflict(format!("{name}: {error}")))?;
            self.lock().insert(at, opened.unit);
            added.push(at);
        }
        for at in &added {
            self.transport.unit_added(*at);
        }
        Ok(added)
    }

    fn open(&self, entries: &[Entry]) -> Result<Vec<(UnitAddress, String, unit::Opened)>, Refusal> {
        let taken = self.lock().keys().copied().collect::<Vec<_>>();
        let mut units = if self.config.has_one_unit_a_target() {
            Units::one_a_target(taken)
        } else {
            Units::new(taken)
        };
        // Entries with a number keep it, whatever comes before them.
        for entry in entries {
            entry.check(&self.config)?;
            let taken = |text| Refusal::conflict(format!("{}: {text}", entry.name(0)));
            units.reserve(entry.place()).map_err(taken)?;
        }
        let mut opened = Vec::new();
        for entry in entries {
            for index in 0..entry.place().count {
                let name = entry.name(index);
                let fail = |text: String| Refusal::invalid(format!("{name}: {text}"));
                let at = units.unit(entry.place(), index).map_err(fail)?;
                self.check_number(at).map_err(fail)?;
                let unit = entry.open(index, at).map_err(fail)?;
                opened.push((at, name, unit));
            }
        }
        Ok(opened)
    }

    /// Whether guests look for a unit there.
    fn check_number(&self, at: UnitAddress) -> Result<(), String> {
        let (target, lun) = self.config.highest();
        let id = &self.config.id;
        if self.config.is_ide() && at.lun > lun {
            return Err(format!(
                "lun={}: {id} is IDE, which has unit 0 only",
                at.lun
            ));
        }
        if at.lun > lun {
            return Err(format!(
                "lun={}: guests look no further than {lun} on {id}; use another target",
                at.lun
            ));
        }
        if u16::from(at.target) > target {
            return Err(format!(
                "target={}: guests look no further than {target} on {id}; give it a larger \
                 max_target",
                at.target
            ));
        }
        Ok(())
    }

    /// Takes a unit away; returns when nothing uses it any more.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such unit, or it stays.
    pub fn remove(&self, at: UnitAddress) -> Result<(), Refusal> {
        self.unit(at)?;
        self.check_changeable()?;
        self.target.remove(at).map_err(Refusal::unknown)?;
        self.lock().remove(&at);
        self.transport.unit_removed(at);
        Ok(())
    }

    /// Whether it, and its units, may come and go while the guest runs.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] that says why not.
    pub fn check_changeable(&self) -> Result<(), Refusal> {
        if self.config.is_ide() {
            return Err(Refusal::conflict(format!(
                "{}: IDE does not change while the guest runs; use a controller of another kind",
                self.id()
            )));
        }
        Ok(())
    }

    /// Takes all units away without telling the guest.
    pub fn remove_all(&self) {
        for at in self.target.addresses() {
            // Somebody else may have taken it away.
            let _ = self.target.remove(at);
        }
        self.lock().clear();
    }

    /// Sets a disk's size, if one is given, and tells the guest what it is now.
    /// Says whether it changed.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such disk, or its file does not take it.
    pub fn resize(&self, at: UnitAddress, size: Option<u64>) -> Result<bool, Refusal> {
        let path = self.unit(at)?.disk_path().ok_or_else(|| {
            Refusal::conflict(format!(
                "{} is no disk; only disks have a size",
                unit::name(at)
            ))
        })?;
        if let Some(size) = size {
            set_size(&path, size)?;
        }
        let changed = self.target.refresh(at).map_err(Refusal::failed)?;
        if changed {
            self.transport.capacity_changed(at);
        }
        Ok(changed)
    }

    /// Puts another disc into a CD-ROM drive.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such drive or disc, or the guest holds the
    /// one that is in it and it is not to be taken by `force`.
    pub fn change_medium(&self, at: UnitAddress, path: &Path, force: bool) -> Result<(), Refusal> {
        self.drive(at)?
            .change_medium(path, force)
            .map_err(drive_refusal)
    }

    /// Takes the disc out of a CD-ROM drive.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such drive, or the guest holds the disc and
    /// it is not to be taken by `force`.
    pub fn eject_medium(&self, at: UnitAddress, force: bool) -> Result<(), Refusal> {
        self.drive(at)?.eject(force).map_err(drive_refusal)
    }

    fn drive(&self, at: UnitAddress) -> Result<Arc<Drive>, Refusal> {
        match self.unit(at)? {
            Unit::Cdrom(drive) => Ok(drive),
            _ => Err(Refusal::conflict(format!(
                "{} is no CD-ROM drive",
                unit::name(at)
            ))),
        }
    }

    /// Has the device do something wrong; the result names the fault.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key.
    pub fn inject(&self, fault: Map<String, Value>) -> Result<u64, Refusal> {
        (self.transport.faulty().inject(fault))
            .map_err(|error| Refusal::invalid(format!("fault: {error}")))
    }

    /// What it does wrong, as JSON.
    pub fn faults(&self) -> Vec<Value> {
        self.transport.faulty().faults()
    }

    /// Has it do one thing right again, or everything.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] if there is no such fault.
    pub fn clear_faults(&self, id: Option<u64>) -> Result<(), Refusal> {
        fault::clear(self.transport.faulty(), id)
    }

    /// Lets the device touch guest memory no more, until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.transport.pause();
    }

    /// Undoes [`pause`](Self::pause).
    pub fn resume(&self) {
        self.transport.resume();
    }

    fn unit(&self, at: UnitAddress) -> Result<Unit, Refusal> {
        self.lock().get(&at).cloned().ok_or_else(|| {
            Refusal::unknown(format!("{} has no unit {}", self.id(), unit::name(at)))
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<UnitAddress, Unit>> {
        self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn drive_refusal(error: DriveError) -> Refusal {
    match error {
        DriveError::Locked => Refusal::conflict(error),
        _ => Refusal::invalid(error),
    }
}

/// Makes a file shorter or longer. A block device has the size it has.
fn set_size(path: &Path, size: u64) -> Result<(), Refusal> {
    let set = || {
        let file = std::fs::OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.is_file() {
            return file.set_len(size);
        }
        Err(std::io::Error::other("it is no regular file"))
    };
    set().map_err(|error| {
        Refusal::conflict(format!(
            "{}: cannot have {size} bytes: {error}",
            path.display()
        ))
    })
}
