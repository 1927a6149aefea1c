// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Controllers and what is on them.

use std::path::{Path, PathBuf};

use hospes_pvscsi::DEFAULT_TARGETS;
use hospes_scsi::AioMode;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ConfigError, VmbusKind, WorldWideName};
use crate::storage;

/// Longest name of a controller.
const MAX_ID: usize = 32;

/// What kind of SCSI controller.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ScsiKind {
    /// virtio-scsi on PCI.
    Virtio,
    /// Hyper-V's controller on VMBus.
    Vmbus,
    /// VMware's controller on PCI.
    Pvscsi,
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
    /// Channels; `None` is one for each vCPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<u16>,
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
    /// Which of the kinds on VMBus; `None` is SCSI.
    #[serde(default, rename = "kind", skip_serializing_if = "Option::is_none")]
    pub vmbus_kind: Option<VmbusKind>,
    /// Name of the port of Fibre Channel; `None` is made of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwpn: Option<WorldWideName>,
    /// Name of its node; `None` is made of the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wwnn: Option<WorldWideName>,
    /// Which of an IDE controller's disks it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u8>,
    /// How I/O is done.
    #[serde(default)]
    pub aio: AioMode,
    /// Protection information is offered to the driver.
    #[serde(default)]
    pub protection: bool,
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
    /// Type of protection information, 1 or 3; `None` is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<u8>,
    /// Where protection information is kept; `None` is the path with `.pi`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pi: Option<PathBuf>,
    /// How many such disks, on consecutive free units.
    #[serde(default = "default_count")]
    pub count: u16,
}

/// A CD-ROM drive.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cdrom {
    /// The disc image; `None` is an empty drive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Id of its controller.
    pub on: String,
    /// Target number.
    #[serde(default)]
    pub target: u8,
    /// Logical unit number; `None` is the next free one of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// Serial number.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub serial: String,
}

/// A SCSI device of the host.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Passthrough {
    /// Its device node: `/dev/sgN`, or a block device.
    pub path: PathBuf,
    /// Id of its controller.
    pub on: String,
    /// Target number.
    #[serde(default)]
    pub target: u8,
    /// Logical unit number; `None` is the next free one of its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lun: Option<u16>,
    /// Seconds after which the host gives a command up.
    #[serde(default = "default_timeout")]
    pub timeout_s: u32,
}

/// A fault of a controller: its own keys beside those of the fault.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(try_from = "Map<String, Value>", into = "Map<String, Value>")]
pub struct Fault {
    /// Id of the controller.
    pub on: String,
    /// What is wrong with it, which depends on what it is.
    pub fault: Map<String, Value>,
}

impl TryFrom<Map<String, Value>> for Fault {
    type Error = String;

    fn try_from(mut map: Map<String, Value>) -> Result<Self, String> {
        let Some(Value::String(on)) = map.remove("on") else {
            return Err("missing field `on`".to_owned());
        };
        Ok(Self { on, fault: map })
    }
}

impl From<Fault> for Map<String, Value> {
    fn from(fault: Fault) -> Self {
        let mut map = fault.fault;
        map.insert("on".to_owned(), fault.on.into());
        map
    }
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

fn default_timeout() -> u32 {
    60
}

impl Scsi {
    /// Checks what the type alone does not say.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self) -> Result<(), ConfigError> {
        // The id is a part of paths on the control socket.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if self.id.is_empty() || self.id.len() > MAX_ID || !self.id.bytes().all(plain) {
            return Err(ConfigError(format!(
                "scsi: id={}: give up to {MAX_ID} letters, digits, dots, dashes and underscores",
                self.id
            )));
        }
        let mut given = match self.kind {
            ScsiKind::Virtio => vec![("channels", self.channels.is_some())],
            ScsiKind::Vmbus => vec![
                ("queues", self.queues.is_some()),
                ("queue_size", self.queue_size.is_some()),
                ("seg_max", self.seg_max.is_some()),
                ("cmd_per_lun", self.cmd_per_lun.is_some()),
                ("max_target", self.max_target.is_some()),
                ("protection", self.protection),
            ],
            ScsiKind::Pvscsi => vec![
                ("queues", self.queues.is_some()),
                ("channels", self.channels.is_some()),
                ("queue_size", self.queue_size.is_some()),
                ("seg_max", self.seg_max.is_some()),
                ("max_sectors", self.max_sectors.is_some()),
                ("cmd_per_lun", self.cmd_per_lun.is_some()),
                ("protection", self.protection),
            ],
        };
        given.extend(self.keys_of_other_vmbus_kinds());
        match given.iter().find(|(_, is_given)| *is_given) {
            Some((key, _)) => Err(ConfigError(format!(
                "scsi: {}: a controller of this kind has no {key}; leave it out",
                self.id
            ))),
            None => self.check_vmbus(),
        }
    }

    /// Whether it can be told to do that wrong.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the controller and the key.
    pub fn check_fault(&self, fault: &Map<String, Value>) -> Result<(), ConfigError> {
        storage::fault::check(self.kind, fault)
            .map_err(|error| ConfigError(format!("fault: on={}: {error}", self.id)))
    }

    /// Highest target and unit number that guests look for.
    pub fn highest(&self) -> (u16, u16) {
        match self.kind {
            ScsiKind::Virtio => (self.max_target.unwrap_or(u8::MAX.into()), u16::MAX),
            ScsiKind::Vmbus => {
                let (targets, luns) = self.vmbus_device().room();
                (targets.saturating_sub(1), luns.saturating_sub(1))
            }
            ScsiKind::Pvscsi => (self.targets().saturating_sub(1), 0),
        }
    }

    /// How many targets guests look for, of a controller that tells them.
    pub fn targets(&self) -> u16 {
        let highest = self.max_target;
        highest.map_or(DEFAULT_TARGETS, |highest| highest.saturating_add(1))
    }

    /// Whether each unit has a target of its own.
    pub fn has_one_unit_a_target(&self) -> bool {
        self.kind == ScsiKind::Pvscsi
    }

    /// Whether guests look for a unit on `target`.
    fn check_target(&self, what: &str, target: u8) -> Result<(), ConfigError> {
        let (highest, _) = self.highest();
        if u16::from(target) <= highest {
            return Ok(());
        }
        if self.is_ide() {
            return Err(ConfigError(format!(
                "{what}: target={target}: an IDE controller has target 0 only; to be disk 1 for \
                 the guest, {} takes position=1",
                self.id
            )));
        }
        Err(ConfigError(format!(
            "{what}: target={target}: guests look no further than max_target={highest} of {}; \
             give a smaller target, or a larger max_target if it has one",
            self.id
        )))
    }
}

impl Disk {
    /// Checks what the type alone does not say, for a disk on `scsi`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self, scsi: &Scsi) -> Result<(), ConfigError> {
        let path = self.path.display();
        let fail = |text: String| Err(ConfigError(format!("disk {path}: {text}")));
        if !matches!(self.block_size, 512 | 4096) {
            return fail(format!("block_size={}: give 512 or 4096", self.block_size));
        }
        if let Some(other) = self.protection.filter(|kind| !matches!(kind, 1 | 3)) {
            return fail(format!("protection={other}: give 1 or 3, or leave it out"));
        }
        if self.pi.is_some() && self.protection.is_none() {
            return fail("pi is for disks with protection=1 or protection=3".to_owned());
        }
        self.check_count()?;
        scsi.check_target(&format!("disk {path}"), self.target)
    }

    fn check_count(&self) -> Result<(), ConfigError> {
        let path = self.path.display();
        let fail = |text: String| Err(ConfigError(format!("disk {path}: {text}")));
        let numbered = |path: &Path| path.to_string_lossy().contains("%d");
        if self.count == 0 || (self.count > 1 && !numbered(&self.path) && !self.readonly) {
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
        if let Some(pi) = self
            .pi
            .as_deref()
            .filter(|pi| self.count > 1 && !numbered(pi))
        {
            return fail(format!("pi={}: give a path with %d", pi.display()));
        }
        Ok(())
    }

    /// The path of number `index` of this entry's disks.
    pub fn path_of(&self, index: u16) -> PathBuf {
        self.numbered(&self.path, index)
    }

    /// Where the protection information of number `index` is, if that is said.
    pub fn pi_of(&self, index: u16) -> Option<PathBuf> {
        self.pi.as_deref().map(|path| self.numbered(path, index))
    }

    fn numbered(&self, path: &Path, index: u16) -> PathBuf {
        if self.count == 1 {
            return path.to_owned();
        }
        PathBuf::from(path.to_string_lossy().replace("%d", &index.to_string()))
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

impl Cdrom {
    /// Checks what the type alone does not say, for a drive on `scsi`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self, scsi: &Scsi) -> Result<(), ConfigError> {
        scsi.check_target("cdrom", self.target)
    }

    /// The image, if the drive is not to be empty.
    pub fn medium(&self) -> Option<&Path> {
        self.path
            .as_deref()
            .filter(|path| *path != Path::new("empty"))
    }
}

impl Passthrough {
    /// Checks what the type alone does not say, for a device on `scsi`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self, scsi: &Scsi) -> Result<(), ConfigError> {
        let what = format!("passthrough {}", self.path.display());
        if self.timeout_s == 0 {
            return Err(ConfigError(format!(
                "{what}: timeout_s=0: give at least 1 second"
            )));
        }
        scsi.check_target(&what, self.target)
    }
}
