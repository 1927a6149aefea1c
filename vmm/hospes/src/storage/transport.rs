// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a guest reaches a controller.

use std::sync::Arc;

use hospes_device::counters::Counted;
use hospes_pvscsi::Pvscsi;
use hospes_scsi::{Target, UnitAddress};
use hospes_virtio::scsi::{ScsiConfig, ScsiHost};
use hospes_virtio::transport::VirtioPci;
use hospes_vmbus::storvsp::{self, Storvsp};
use serde_json::Value;

use crate::config::{self, ScsiKind, VmbusKind};
use crate::refusal::Refusal;
use crate::storage::fault::Faulty;
use crate::storage::Parts;

/// Bytes of a sector.
const SECTOR: u32 = 512;

/// The guest's way to a target.
pub enum Transport {
    /// virtio-scsi on PCI.
    Virtio {
        /// The SCSI host.
        host: Arc<ScsiHost>,
        /// What is put on the PCI bus.
        device: Arc<VirtioPci>,
    },
    /// Hyper-V's controller, which is put on VMBus.
    Vmbus(Arc<Storvsp>),
    /// VMware's controller, on PCI.
    Pvscsi(Arc<Pvscsi>),
}

impl Transport {
    /// A way to `target`.
    ///
    /// # Errors
    ///
    /// A [`Refusal`] naming the key, or what the host does not give.
    pub fn new(
        scsi: &config::Scsi,
        parts: &Parts<'_>,
        target: &Arc<Target>,
    ) -> Result<Self, Refusal> {
        let invalid = |text: String| Refusal::invalid(format!("scsi {}: {text}", scsi.id));
        match scsi.kind {
            ScsiKind::Virtio => {
                let host = ScsiHost::new(&virtio_settings(scsi, parts.cpus), target.clone())
                    .map_err(|error| invalid(error.to_string()))?;
                let device = VirtioPci::new(host.clone(), parts.memory, parts.vectors)
                    .map_err(|error| Refusal::failed(format!("scsi {}: {error}", scsi.id)))?;
                Ok(Self::Virtio { host, device })
            }
            ScsiKind::Vmbus => {
                let settings = vmbus_settings(scsi, parts.cpus);
                let device = Storvsp::new(&settings, target.clone()).map_err(invalid)?;
                Ok(Self::Vmbus(device))
            }
            ScsiKind::Pvscsi => {
                let settings = pvscsi_settings(scsi);
                let device = Pvscsi::new(&settings, target.clone(), parts.memory, parts.vectors)
                    .map_err(|error| invalid(error.to_string()))?;
                Ok(Self::Pvscsi(device))
            }
        }
    }

    pub(super) fn unit_added(&self, at: UnitAddress) {
        match self {
            Self::Virtio { host, .. } => host.unit_added(at),
            Self::Vmbus(device) => device.unit_added(at),
            Self::Pvscsi(device) => device.unit_added(at),
        }
    }

    pub(super) fn unit_removed(&self, at: UnitAddress) {
        match self {
            Self::Virtio { host, .. } => host.unit_removed(at),
            Self::Vmbus(device) => device.unit_removed(at),
            Self::Pvscsi(device) => device.unit_removed(at),
        }
    }

    pub(super) fn capacity_changed(&self, at: UnitAddress) {
        match self {
            Self::Virtio { host, .. } => host.capacity_changed(at),
            Self::Vmbus(device) => device.capacity_changed(at),
            // There is no message for that. The unit says it by a unit attention.
            Self::Pvscsi(_) => {}
        }
    }

    pub(super) fn pause(&self) {
        match self {
            Self::Virtio { host, .. } => host.pause(),
            Self::Vmbus(device) => device.pause(),
            Self::Pvscsi(device) => device.pause(),
        }
    }

    pub(super) fn resume(&self) {
        match self {
            Self::Virtio { host, .. } => host.resume(),
            Self::Vmbus(device) => device.resume(),
            Self::Pvscsi(device) => device.resume(),
        }
    }

    /// What can be told to do something wrong.
    pub(super) fn faulty(&self) -> &dyn Faulty {
        match self {
            Self::Virtio { host, .. } => &**host,
            Self::Vmbus(device) => &**device,
            Self::Pvscsi(device) => &**device,
        }
    }

    /// The counters of what is not on the PCI bus.
    pub fn counters(&self) -> Option<Value> {
        match self {
            Self::Virtio { .. } | Self::Pvscsi(_) => None,
            Self::Vmbus(device) => Some(device.counters()),
        }
    }
}

fn pvscsi_settings(scsi: &config::Scsi) -> hospes_pvscsi::Config {
    hospes_pvscsi::Config {
        name: scsi.id.clone(),
        targets: scsi.targets(),
        aio: scsi.aio,
    }
}

fn vmbus_settings(scsi: &config::Scsi, cpus: u8) -> storvsp::Config {
    let sectors = |sectors: u32| sectors.saturating_mul(SECTOR);
    let channels = match scsi.vmbus() {
        Some(VmbusKind::Ide) => 1,
        _ => scsi.channels.unwrap_or(u16::from(cpus)),
    };
    storvsp::Config {
        name: scsi.id.clone(),
        kind: scsi.vmbus_device(),
        channels,
        max_transfer: scsi.max_sectors.map_or(storvsp::DEFAULT_TRANSFER, sectors),
        aio: scsi.aio,
    }
}

/// The device's settings, with its own defaults where nothing was said.
fn virtio_settings(scsi: &config::Scsi, cpus: u8) -> ScsiConfig {
    let default = ScsiConfig::default();
    ScsiConfig {
        name: scsi.id.clone(),
        request_queues: scsi.queues.unwrap_or(u16::from(cpus)),
        queue_size: scsi.queue_size.unwrap_or(default.queue_size),
        seg_max: scsi.seg_max,
        max_sectors: scsi.max_sectors.unwrap_or(default.max_sectors),
        cmd_per_lun: scsi.cmd_per_lun.unwrap_or(default.cmd_per_lun),
        max_target: scsi.max_target.unwrap_or(default.max_target),
        protection: scsi.protection,
        aio: scsi.aio,
    }
}
