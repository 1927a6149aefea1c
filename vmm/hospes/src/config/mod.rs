// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a machine is made of, as options and as JSON.
//!
//! There is one shape: [`Machine`]. A configuration file is its JSON; options
//! are put into the same JSON ([`options`]) before it is read. [`keys`] has the
//! list of keys behind `--help` and behind every error about a key.

mod balloon;
pub mod keys;
pub mod options;
mod storage;
pub mod value;
mod vmbus;

use std::collections::BTreeSet;
use std::path::PathBuf;

use hospes_device::thread::Mode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cpu::CpuModel;
use crate::vmware::vmci;

pub use balloon::{Balloon, BalloonKind, Offered};
pub use storage::{Cdrom, Disk, Fault, Passthrough, Scsi, ScsiKind};
pub use value::{Bytes, VmbusVersion};
pub use vmbus::{VmbusKind, WorldWideName};

/// Most vCPUs of a machine.
pub const MAX_CPUS: u8 = 64;

/// Least memory that boots anything.
const MIN_MEMORY: u64 = 16 << 20;
/// Most memory: what any processor with 64-bit mode can address leaves room
/// for the PCI window.
const MAX_MEMORY: u64 = 512 << 30;

/// A wrong option or configuration; the text names the key and the remedy.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

/// A whole machine.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    /// The kernel: an ELF file with a PVH entry, or a bzImage.
    pub kernel: PathBuf,
    /// Initial ramdisk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initrd: Option<PathBuf>,
    /// Kernel command line.
    #[serde(default)]
    pub cmdline: String,
    /// Number of vCPUs.
    #[serde(default = "default_cpus")]
    pub cpus: u8,
    /// The hypervisor that the guest sees.
    #[serde(default)]
    pub personality: Personality,
    /// The newest version of VMBus that the guest can have.
    #[serde(default)]
    pub vmbus_max_version: VmbusVersion,
    /// The processor that the guest sees.
    #[serde(default)]
    pub cpu_model: CpuModel,
    /// What a system call outside its thread's filter does.
    #[serde(default)]
    pub seccomp: Mode,
    /// RAM in bytes.
    #[serde(default = "default_memory")]
    pub memory: Bytes,
    /// Where the serial line goes.
    #[serde(default)]
    pub serial: Serial,
    /// Seconds after which the machine is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<u64>,
    /// Where counters go at the end; `-` is standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<PathBuf>,
    /// Where the control socket is; without, there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// Memory that the guest gives back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub balloon: Option<Balloon>,
    /// SCSI controllers.
    #[serde(default)]
    pub scsi: Vec<Scsi>,
    /// Disks.
    #[serde(default)]
    pub disk: Vec<Disk>,
    /// CD-ROM drives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cdrom: Vec<Cdrom>,
    /// SCSI devices of the host.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passthrough: Vec<Passthrough>,
    /// Faults that controllers have from the start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fault: Vec<Fault>,
}

/// A hypervisor.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Personality {
    /// KVM itself, with its clock.
    #[default]
    Kvm,
    /// Hyper-V.
    Hyperv,
    /// VMware's.
    Vmware,
}

/// The control socket.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// Its path, which must be free or have an abandoned socket.
    pub path: PathBuf,
}

/// The serial line.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// Output goes to standard output.
    #[serde(default)]
    pub stdout: bool,
    /// Input comes from standard input.
    #[serde(default)]
    pub stdin: bool,
    /// Output goes to this file, which is overwritten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
}

fn default_cpus() -> u8 {
    1
}

fn default_memory() -> Bytes {
    Bytes(512 << 20)
}

impl Default for Serial {
    fn default() -> Self {
        Self {
            stdout: true,
            stdin: false,
            file: None,
        }
    }
}

impl Machine {
    /// Checks what the types alone do not say.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        let fail = |text: String| Err(ConfigError(text));
        if !(1..=MAX_CPUS).contains(&self.cpus) {
            return fail(format!("cpus={}: give 1 to {MAX_CPUS}", self.cpus));
        }
        let memory = self.memory.0;
        if !(MIN_MEMORY..=MAX_MEMORY).contains(&memory) || memory & 0xfff != 0 {
            return fail(format!(
                "memory={memory}: give 16M to 512G, in multiples of 4K"
            ));
        }
        if self.time_limit == Some(0) {
            return fail("time_limit=0: give at least 1 second, or leave it out".to_owned());
        }
        if let Some(balloon) = &self.balloon {
            balloon.check(self.personality, self.memory)?;
        }
        self.check_ids()
    }

    fn check_ids(&self) -> Result<(), ConfigError> {
        let mut ids = BTreeSet::new();
        if self.balloon.is_some() {
            ids.extend([crate::balloon::ID, vmci::ID]);
        }
        if self.personality == Personality::Hyperv {
            ids.insert(crate::hyperv::BUS);
        }
        for scsi in &self.scsi {
            scsi.check()?;
            if scsi.kind == ScsiKind::Vmbus && self.personality != Personality::Hyperv {
                let text = format!(
                    "scsi: {}: there is no VMBus; add --personality hyperv",
                    scsi.id
                );
                return Err(ConfigError(text));
            }
            if !ids.insert(scsi.id.as_str()) {
                let text = format!("scsi: id={} is used twice; ids must differ", scsi.id);
                return Err(ConfigError(text));
            }
        }
        let on = |what: &str, on: &str| self.scsi(what, on);
        for disk in &self.disk {
            let what = format!("disk {}", disk.path.display());
            disk.check(on(&what, &disk.on)?)?;
        }
        for cdrom in &self.cdrom {
            cdrom.check(on("cdrom", &cdrom.on)?)?;
        }
        for device in &self.passthrough {
            let what = format!("passthrough {}", device.path.display());
            device.check(on(&what, &device.on)?)?;
        }
        for scsi in self.scsi.iter().filter(|scsi| scsi.is_ide()) {
            self.check_ide(scsi)?;
        }
        for fault in &self.fault {
            self.check_fault(fault)?;
        }
        Ok(())
    }

    fn check_fault(&self, fault: &Fault) -> Result<(), ConfigError> {
        let fail = |text| ConfigError(format!("fault: on={}: {text}", fault.on));
        match fault.on.as_str() {
            crate::balloon::ID if self.balloon.is_some() => {
                crate::vmware::balloon::check(&fault.fault).map_err(fail)
            }
            crate::hyperv::BUS if self.personality == Personality::Hyperv => {
                crate::storage::fault::check_bus(&fault.fault).map_err(fail)
            }
            id => self.scsi("fault", id)?.check_fault(&fault.fault),
        }
    }

    /// Guests do without an IDE controller that has nothing, and look for one unit only.
    fn check_ide(&self, scsi: &Scsi) -> Result<(), ConfigError> {
        let disks = self.disk.iter().filter(|disk| disk.on == scsi.id);
        let disks = disks.map(|disk| usize::from(disk.count)).sum::<usize>();
        let cdroms = self.cdrom.iter().filter(|cdrom| cdrom.on == scsi.id);
        let devices = self
            .passthrough
            .iter()
            .filter(|device| device.on == scsi.id);
        let units = disks
            .saturating_add(cdroms.count())
            .saturating_add(devices.count());
        if units == 1 {
            return Ok(());
        }
        Err(ConfigError(format!(
            "scsi: {}: {units} units: give an IDE controller exactly one, and others a \
             controller of their own",
            scsi.id
        )))
    }

    /// The controller that `what` is on.
    fn scsi(&self, what: &str, id: &str) -> Result<&Scsi, ConfigError> {
        let found = self.scsi.iter().find(|scsi| scsi.id == id);
        found.ok_or_else(|| ConfigError(format!("{what}: on={id}: add --scsi virtio,id={id}")))
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
