// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI controllers and the disks on them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use hospes_device::interrupt::MsiAllocator;
use hospes_device::memory::GuestMemory;
use hospes_pci::device::PciDevice;
use hospes_scsi::{BlockSize, Disk, DiskConfig, Target, UnitAddress};
use hospes_virtio::scsi::{ScsiConfig, ScsiHost};
use hospes_virtio::transport::VirtioPci;

use crate::config::{self, ConfigError, Machine};

/// Highest logical unit number that a target can have.
const MAX_LUN: u16 = 0x3fff;

/// A controller with its disks.
pub struct Controller {
    /// The name from the configuration.
    pub id: String,
    /// What is put on the PCI bus.
    pub device: Arc<dyn PciDevice>,
}

/// Opens all disks and builds all controllers, in the order of the
/// configuration.
///
/// # Errors
///
/// [`ConfigError`] naming the key, or the file that cannot be used.
pub fn build(
    machine: &Machine,
    memory: &GuestMemory,
    vectors: &dyn MsiAllocator,
) -> Result<Vec<Controller>, ConfigError> {
    let controller = |scsi: &config::Scsi| {
        let target = Target::new();
        add_disks(
            &target,
            machine.disk.iter().filter(|disk| disk.on == scsi.id),
        )?;
        let fail = |text: String| ConfigError(format!("scsi {}: {text}", scsi.id));
        let host = ScsiHost::new(&settings(scsi, machine.cpus), target)
            .map_err(|error| fail(error.to_string()))?;
        let device =
            VirtioPci::new(host, memory, vectors).map_err(|error| fail(error.to_string()))?;
        Ok(Controller {
            id: scsi.id.clone(),
            device,
        })
    };
    machine.scsi.iter().map(controller).collect()
}

/// The device's settings, with its own defaults where nothing was said.
fn settings(scsi: &config::Scsi, cpus: u8) -> ScsiConfig {
    let default = ScsiConfig::default();
    let queue_size = scsi.queue_size.unwrap_or(default.queue_size);
    ScsiConfig {
        name: scsi.id.clone(),
        request_queues: scsi.queues.unwrap_or(u16::from(cpus)),
        queue_size,
        seg_max: scsi.seg_max,
        max_sectors: scsi.max_sectors.unwrap_or(default.max_sectors),
        cmd_per_lun: scsi.cmd_per_lun.unwrap_or(default.cmd_per_lun),
        max_target: scsi.max_target.unwrap_or(default.max_target),
    }
}

fn add_disks<'a>(
    target: &Target,
    disks: impl Iterator<Item = &'a config::Disk> + Clone,
) -> Result<(), ConfigError> {
    let mut units = Units::default();
    // Disks with a number keep it, whatever comes before them.
    for disk in disks.clone() {
        units.reserve(disk)?;
    }
    for disk in disks {
        for index in 0..disk.count {
            let path = disk.path_of(index);
            let fail = |text: String| ConfigError(format!("disk {}: {text}", path.display()));
            let unit = units.unit(disk, index).map_err(fail)?;
            let opened = Disk::open(&disk_settings(disk, index)?)
                .map_err(|error| fail(error.to_string()))?;
            target
                .add(unit, Box::new(opened))
                .map_err(|error| fail(error.to_string()))?;
        }
    }
    Ok(())
}

fn disk_settings(disk: &config::Disk, index: u16) -> Result<DiskConfig, ConfigError> {
    let block_size = match disk.block_size {
        512 => BlockSize::B512,
        4096 => BlockSize::B4096,
        other => return Err(ConfigError(format!("block_size={other}: give 512 or 4096"))),
    };
    let mut settings = DiskConfig::new(disk.path_of(index));
    settings.read_only = disk.readonly;
    settings.block_size = block_size;
    settings.serial = disk.serial_of(index);
    settings.latency = Duration::from_millis(disk.latency_ms);
    settings.thin = disk.thin;
    Ok(settings)
}

/// The unit numbers of one controller.
#[derive(Default)]
struct Units {
    taken: BTreeSet<UnitAddress>,
    /// Where the search for a free number goes on, by target.
    next: BTreeMap<u8, u16>,
}

impl Units {
    /// Takes the numbers of an entry that has some.
    fn reserve(&mut self, disk: &config::Disk) -> Result<(), ConfigError> {
        let Some(first) = disk.lun else {
            return Ok(());
        };
        for lun in (first..=MAX_LUN).take(usize::from(disk.count)) {
            if !self.taken.insert(UnitAddress {
                target: disk.target,
                lun,
            }) {
                let path = disk.path.display();
                return Err(ConfigError(format!(
                    "disk {path}: target={},lun={lun} is taken on {}; give another lun or none",
                    disk.target, disk.on
                )));
            }
        }
        Ok(())
    }

    /// The address of number `index` of an entry's disks.
    fn unit(&mut self, disk: &config::Disk, index: u16) -> Result<UnitAddress, String> {
        let target = disk.target;
        let full = || format!("target={target}: no unit number up to {MAX_LUN} is left");
        let lun = match disk.lun {
            Some(first) => first.checked_add(index).ok_or_else(full)?,
            None => self.next_free(target).ok_or_else(full)?,
        };
        if lun > MAX_LUN {
            return Err(format!("lun={lun}: give 0 to {MAX_LUN}"));
        }
        Ok(UnitAddress { target, lun })
    }

    fn next_free(&mut self, target: u8) -> Option<u16> {
        let first = self.next.get(&target).copied().unwrap_or(0);
        let free = |lun: &u16| !self.taken.contains(&UnitAddress { target, lun: *lun });
        let lun = (first..=MAX_LUN).find(free)?;
        self.taken.insert(UnitAddress { target, lun });
        self.next.insert(target, lun.saturating_add(1));
        Some(lun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(lun: Option<u16>, count: u16) -> config::Disk {
        let value = serde_json::json!({"path": "p%d", "on": "s0", "lun": lun, "count": count});
        serde_json::from_value(value).unwrap()
    }

    fn luns(disks: &[config::Disk]) -> Result<Vec<u16>, String> {
        let mut units = Units::default();
        for disk in disks {
            units.reserve(disk).map_err(|error| error.0)?;
        }
        let mut luns = Vec::new();
        for disk in disks {
            for index in 0..disk.count {
                luns.push(units.unit(disk, index)?.lun);
            }
        }
        Ok(luns)
    }

    #[test]
    fn free_numbers_go_around_given_ones() {
        assert_eq!(
            luns(&[disk(None, 3), disk(Some(1), 2)]).unwrap(),
            [0, 3, 4, 1, 2]
        );
        assert_eq!(
            luns(&[disk(None, 1024)]).unwrap(),
            (0..1024).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_number_is_given_once() {
        assert!(luns(&[disk(Some(3), 1), disk(Some(2), 2)])
            .unwrap_err()
            .contains("lun=3"));
        assert!(luns(&[disk(Some(MAX_LUN), 2)])
            .unwrap_err()
            .contains("16384"));
        assert!(luns(&[disk(Some(u16::MAX), 1)])
            .unwrap_err()
            .contains("65535"));
    }
}
