// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a machine is made of, as options and as JSON.
//!
//! There is one shape: [`Machine`]. A configuration file is its JSON; options
//! are put into the same JSON ([`options`]) before it is read. [`keys`] has the
//! list of keys behind `--help` and behind every error about a key.

pub mod keys;
pub mod options;
pub mod value;

use std::collections::BTreeSet;
use std::path::PathBuf;

use hospes_device::thread::Mode;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::cpu::CpuModel;

pub use value::Bytes;

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
    /// SCSI controllers.
    #[serde(default)]
    pub scsi: Vec<Scsi>,
    /// Disks.
    #[serde(default)]
    pub disk: Vec<Disk>,
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

/// What kind of SCSI controller.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScsiKind {
    /// virtio-scsi on PCI.
    Virtio,
}

/// A SCSI controller.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Scsi {
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: ScsiKind,
    /// The name by which disks refer to it.
    pub id: String,
    /// Request queues; `None` is one for each vCPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<u16>,
    /// Entries of each queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_size: Option<u16>,
    /// Most segments of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seg_max: Option<u32>,
    /// Most sectors of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_sectors: Option<u32>,
    /// Commands that a LUN takes at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd_per_lun: Option<u32>,
    /// Highest target number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_target: Option<u16>,
}

/// A disk, or `count` of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The raw image; `%d` is replaced by a number from 0 if there is a count.
    pub path: PathBuf,
    /// Id of its controller.
    pub on: String,
    /// Target number.
    #[serde(default)]
    pub target: u8,
    /// Logical unit number; `None` is the next free one of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// Writes are refused.
    #[serde(default)]
    pub readonly: bool,
    /// Serial number, `%d` as in the path.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
    /// Time that every command takes at least.
    #[serde(default)]
    pub latency_ms: u64,
    /// Bytes of a logical block.
    #[serde(default = "default_block_size")]
    pub block_size: u32,
    /// Unmapped blocks are given back to the host.
    #[serde(default = "default_thin")]
    pub thin: bool,
    /// How many such disks, on consecutive free units.
    #[serde(default = "default_count")]
    pub count: u16,
}

fn default_cpus() -> u8 {
    1
}

fn default_memory() -> Bytes {
    Bytes(512 << 20)
}

fn default_block_size() -> u32 {
    512
}

fn default_thin() -> bool {
    true
}

fn default_count() -> u16 {
    1
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
        self.check_ids()
    }

    fn check_ids(&self) -> Result<(), ConfigError> {
        let mut ids = BTreeSet::new();
        for scsi in &self.scsi {
            if !ids.insert(scsi.id.as_str()) {
                let text = format!("scsi: id={} is used twice; ids must differ", scsi.id);
                return Err(ConfigError(text));
            }
        }
        for disk in &self.disk {
            disk.check(&ids)?;
            let mut on = self.scsi.iter().filter(|scsi| scsi.id == disk.on);
            if let Some(highest) = on.find_map(|scsi| scsi.max_target) {
                disk.check_target(highest)?;
            }
        }
        Ok(())
    }
}

impl Disk {
    fn check(&self, ids: &BTreeSet<&str>) -> Result<(), ConfigError> {
        let path = self.path.display();
        let fail = |text: String| Err(ConfigError(format!("disk {path}: {text}")));
        if !ids.contains(self.on.as_str()) {
            return fail(format!("on={}: add --scsi virtio,id={}", self.on, self.on));
        }
        if !matches!(self.block_size, 512 | 4096) {
            return fail(format!("block_size={}: give 512 or 4096", self.block_size));
        }
        let numbered = self.path.to_string_lossy().contains("%d");
        if self.count == 0 || (self.count > 1 && !numbered && !self.readonly) {
            return fail(format!(
                "count={}: give at least 1, and a path with %d if it is more",
                self.count
            ));
        }
        // Units with the same serial number are the same unit to a guest.
        if self.count > 1 && !self.serial.is_empty() && !self.serial.contains("%d") {
            return fail(format!(
                "serial={}: give one with %d, for {} disks, or none",
                self.serial, self.count
            ));
        }
        Ok(())
    }

    fn check_target(&self, highest: u16) -> Result<(), ConfigError> {
        if u16::from(self.target) <= highest {
            return Ok(());
        }
        Err(ConfigError(format!(
            "disk {}: target={}: guests look no further than max_target={highest} of {}; \
             give a smaller target, or a larger max_target",
            self.path.display(),
            self.target,
            self.on
        )))
    }

    /// The path of number `index` of this entry's disks.
    pub fn path_of(&self, index: u16) -> PathBuf {
        if self.count == 1 {
            return self.path.clone();
        }
        PathBuf::from(
            self.path
                .to_string_lossy()
                .replace("%d", &index.to_string()),
        )
    }

    /// The serial number of number `index` of this entry's disks.
    pub fn serial_of(&self, index: u16) -> String {
        if self.count == 1 {
            return self.serial.clone();
        }
        let shares_file = !self.path.to_string_lossy().contains("%d");
        if self.serial.is_empty() && shares_file {
            // What the disk itself would choose is the same for all of them.
            return format!("{}-{index}", hospes_scsi::serial_of_path(&self.path));
        }
        self.serial.replace("%d", &index.to_string())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
