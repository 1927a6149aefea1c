// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The seam between a virtio transport and a virtio device.

use std::io;
use std::sync::Arc;

use hospes_device::counters::Counted;
use thiserror::Error;

use crate::notify::DeviceState;
use crate::queue::VirtQueue;

/// A virtio device behind some transport.
///
/// The transport owns the registers, negotiates features and sets up rings; the
/// device says what it offers and gets running queues. `&self` everywhere:
/// several vCPUs call at once. The transport calls `activate` and `reset` one
/// at a time, and `activate` at most once between two resets.
pub trait VirtioDevice: Counted + Send + Sync {
    /// The virtio device type, 8 for a SCSI host.
    fn device_type(&self) -> u16;
    /// PCI class code: base class, sub-class, programming interface.
    fn pci_class(&self) -> [u8; 3];
    /// Device-specific feature bits. Those of the ring and of the transport are
    /// the transport's to add.
    fn features(&self) -> u64;
    /// The largest size of each queue, a power of two; as many as there are queues.
    fn queue_sizes(&self) -> Vec<u16>;
    /// A read of the configuration space. What is not there reads as zero.
    fn config_read(&self, offset: u64, data: &mut [u8]);
    /// A write to the configuration space. What cannot be written stays.
    fn config_write(&self, offset: u64, data: &[u8]);
    /// Starts the device: the driver has set DRIVER_OK.
    ///
    /// # Errors
    ///
    /// [`ActivateError`] if it cannot run; the transport then asks for a reset.
    fn activate(&self, activation: Activation) -> Result<(), ActivateError>;
    /// Stops the device, if it runs, and forgets all that the driver told it.
    /// After return, none of the queues it was given is used any more: no
    /// access to guest memory, no interrupt.
    fn reset(&self);
}

/// What a device is given when its driver starts it.
pub struct Activation {
    /// The features agreed upon.
    pub features: u64,
    /// Each queue, or `None` where the driver left it disabled.
    pub queues: Vec<Option<Arc<VirtQueue>>>,
    /// The function's status and configuration interrupt.
    pub state: Arc<DeviceState>,
}

/// Why a device cannot start.
#[derive(Debug, Error)]
pub enum ActivateError {
    /// A thread could not be started.
    #[error("cannot start a queue's thread: {0}")]
    Thread(#[from] io::Error),
}
