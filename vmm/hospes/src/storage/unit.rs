// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is behind one unit number: how it is opened, and what users see of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hospes_scsi::{
    BlockSize, CdRom, CdRomConfig, DeviceServer, Disk, DiskConfig, Drive, Passthrough,
    PassthroughConfig, ProtectionType, UnitAddress,
};
use serde_json::{json, Map, Value};

use crate::config::{self, ConfigError};
use crate::storage::units::Place;

/// An entry of the configuration that becomes one unit or several.
#[derive(Clone, Debug)]
pub enum Entry {
    /// Disks.
    Disk(Arc<config::Disk>),
    /// A CD-ROM drive.
    Cdrom(config::Cdrom),
    /// A device of the host.
    Passthrough(Arc<config::Passthrough>),
}

impl Entry {
    /// Where its units are to be.
    pub fn place(&self) -> Place {
        let (target, lun, count) = match self {
            Self::Disk(disk) => (disk.target, disk.lun, disk.count),
            Self::Cdrom(cdrom) => (cdrom.target, cdrom.lun, 1),
            Self::Passthrough(device) => (device.target, device.lun, 1),
        };
        Place { target, lun, count }
    }

    /// Id of its controller.
    pub fn on(&self) -> &str {
        match self {
            Self::Disk(disk) => &disk.on,
            Self::Cdrom(cdrom) => &cdrom.on,
            Self::Passthrough(device) => &device.on,
        }
    }

    /// Checks it for the controller that it is going to be on.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] naming the key.
    pub fn check(&self, scsi: &config::Scsi) -> Result<(), ConfigError> {
        match self {
            Self::Disk(disk) => disk.check(scsi),
            Self::Cdrom(cdrom) => cdrom.check(scsi),
            Self::Passthrough(device) => device.check(scsi),
        }
    }

    /// What error messages call number `index` of its units.
    pub fn name(&self, index: u16) -> String {
        match self {
            Self::Disk(disk) => format!("disk {}", disk.path_of(index).display()),
            Self::Cdrom(cdrom) => match cdrom.medium() {
                Some(path) => format!("cdrom {}", path.display()),
                None => "cdrom".to_owned(),
            },
            Self::Passthrough(device) => format!("passthrough {}", device.path.display()),
        }
    }

    /// Opens number `index` of its units.
    ///
    /// # Errors
    ///
    /// A text that says why it cannot be opened.
    pub fn open(&self, index: u16, at: UnitAddress) -> Result<Opened, String> {
        match self {
            Self::Disk(disk) => {
                let server = Disk::open(&disk_settings(disk, index)?).map_err(full_text)?;
                let disk = disk.clone();
                Ok(Opened::new(server, Unit::Disk { disk, index }))
            }
            Self::Cdrom(cdrom) => {
                let server = CdRom::open(&drive_settings(cdrom, at)).map_err(full_text)?;
                let drive = server.drive();
                Ok(Opened::new(server, Unit::Cdrom(drive)))
            }
            Self::Passthrough(device) => {
                let mut settings = PassthroughConfig::new(&device.path);
                settings.timeout = Duration::from_secs(u64::from(device.timeout_s));
                let server = Passthrough::open(&settings).map_err(full_text)?;
                Ok(Opened::new(server, Unit::Passthrough(device.clone())))
            }
        }
    }
}

/// An error with what it comes from, unless it says that itself.
fn full_text(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text
}

fn disk_settings(disk: &config::Disk, index: u16) -> Result<DiskConfig, String> {
    let mut settings = DiskConfig::new(disk.path_of(index));
    settings.block_size = match disk.block_size {
        512 => BlockSize::B512,
        4096 => BlockSize::B4096,
        other => return Err(format!("block_size={other}: give 512 or 4096")),
    };
    settings.protection = match disk.protection {
        None => ProtectionType::None,
        Some(1) => ProtectionType::Type1,
        Some(3) => ProtectionType::Type3,
        Some(other) => return Err(format!("protection={other}: give 1 or 3")),
    };
    settings.protection_path = disk.pi_of(index);
    settings.read_only = disk.readonly;
    settings.serial = disk.serial_of(index);
    settings.latency = Duration::from_millis(disk.latency_ms);
    settings.thin = disk.thin;
    Ok(settings)
}

fn drive_settings(cdrom: &config::Cdrom, at: UnitAddress) -> CdRomConfig {
    let serial = match cdrom.serial.as_str() {
        // Drives that a guest shall tell apart need different ones.
        "" => format!("{}-{}-{}", cdrom.on, at.target, at.lun),
        serial => serial.to_owned(),
    };
    CdRomConfig {
        path: cdrom.medium().map(Path::to_owned),
        serial,
    }
}

/// A unit that was opened.
pub struct Opened {
    /// What the target gets.
    pub server: Box<dyn DeviceServer>,
    /// What the controller keeps.
    pub unit: Unit,
}

impl Opened {
    fn new(server: impl DeviceServer + 'static, unit: Unit) -> Self {
        let server = Box::new(server);
        Self { server, unit }
    }
}

/// What a controller knows of a unit.
#[derive(Clone)]
pub enum Unit {
    /// Number `index` of some disks.
    Disk {
        /// Their entry.
        disk: Arc<config::Disk>,
        /// Which of them.
        index: u16,
    },
    /// A CD-ROM drive.
    Cdrom(Arc<Drive>),
    /// A device of the host.
    Passthrough(Arc<config::Passthrough>),
}

impl Unit {
    /// The file of a disk.
    pub fn disk_path(&self) -> Option<PathBuf> {
        match self {
            Self::Disk { disk, index } => Some(disk.path_of(*index)),
            _ => None,
        }
    }

    /// As JSON, for a user.
    pub fn describe(&self, at: UnitAddress) -> Value {
        let (kind, more) = match self {
            Self::Disk { disk, index } => ("disk", describe_disk(disk, *index)),
            Self::Cdrom(drive) => {
                let status = serde_json::to_value(drive.status()).unwrap_or_default();
                ("cdrom", json!({ "drive": status }))
            }
            Self::Passthrough(device) => ("passthrough", json!({ "path": device.path })),
        };
        let mut map = Map::new();
        map.insert("unit".to_owned(), name(at).into());
        map.insert("kind".to_owned(), kind.into());
        if let Value::Object(more) = more {
            map.extend(more);
        }
        Value::Object(map)
    }
}

fn describe_disk(disk: &config::Disk, index: u16) -> Value {
    json!({
        "path": disk.path_of(index),
        "readonly": disk.readonly,
        "block_size": disk.block_size,
        "serial": disk.serial_of(index),
    })
}

/// How a unit is called: target, colon, logical unit number.
pub fn name(at: UnitAddress) -> String {
    format!("{}:{}", at.target, at.lun)
}

/// The unit that is called `text`.
pub fn parse_name(text: &str) -> Option<UnitAddress> {
    let (target, lun) = text.split_once(':')?;
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(target) || !digits(lun) {
        return None;
    }
    let (target, lun) = (target.parse().ok()?, lun.parse().ok()?);
    Some(UnitAddress { target, lun })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn names_are_read_back(target: u8, lun: u16) {
            let at = UnitAddress { target, lun };
            prop_assert_eq!(parse_name(&name(at)), Some(at));
        }

        #[test]
        fn other_names_are_none(text in "[0-9:+ -]{0,8}") {
            if let Some(at) = parse_name(&text) {
                prop_assert_eq!(text.matches(':').count(), 1);
                prop_assert!(parse_name(&name(at)) == Some(at));
            }
        }
    }
}
