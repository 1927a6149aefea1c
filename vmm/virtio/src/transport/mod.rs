// SPDX-License-Identifier: GPL-2.0 OR MIT

//! virtio over PCI, as of virtio 1.x, without the legacy interface.
//!
//! The parts are [`layout`](self::layout) (what is where in the BARs, and the
//! capabilities that say so), [`common`](self::common) (the registers by which
//! a driver negotiates and sets up queues), [`window`](self::window) (access to
//! the BARs through configuration space) and [`VirtioPci`], which joins a
//! [`VirtioDevice`] with the PCI core.
//!
//! Interrupts are MSI-X only: the function has no interrupt pin. Notifications
//! are one address for each queue, which the machine turns into an ioeventfd.
//! Device status, configuration interrupt and queues are shared with worker
//! threads through atomics; the registers are behind one lock that no worker
//! ever takes, so that a reset can hold it while workers are stopped.

mod common;
mod layout;
mod pci;
mod window;

use std::fmt::Display;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::interrupt::MsiAllocator;
use hospes_device::limit::{warn_limited, RateLimit};
use hospes_device::memory::GuestMemory;
use hospes_pci::msix::{Msix, MAX_VECTORS};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};

use crate::counters::QueueCounters;
use crate::device::{Activation, VirtioDevice};
use crate::notify::DeviceState;
use crate::queue::{QueueParts, QueueSetup, RingFault, VirtQueue};
use common::{Action, Common, QueueRegisters};
use layout::{Layout, Region, MAX_QUEUES};
use window::Window;

/// Feature bits that this transport and its rings add to the device's.
mod features {
    use virtio_bindings::virtio_config::VIRTIO_F_VERSION_1;
    use virtio_bindings::virtio_ring::{VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC};

    /// Conforms to virtio 1.x; a driver must accept it.
    pub(super) const VERSION_1: u64 = 1 << VIRTIO_F_VERSION_1;
    /// Notifications in both directions say from which index on they are wanted.
    pub(super) const EVENT_IDX: u64 = 1 << VIRTIO_RING_F_EVENT_IDX;
    /// Descriptors may be in tables of their own.
    pub(super) const INDIRECT_DESC: u64 = 1 << VIRTIO_RING_F_INDIRECT_DESC;

    /// All that the transport offers.
    pub(super) const OFFERED: u64 = VERSION_1 | EVENT_IDX | INDIRECT_DESC;
}

/// A virtio device as a PCI function.
pub struct VirtioPci {
    device: Arc<dyn VirtioDevice>,
    memory: GuestMemory,
    layout: Layout,
    msix: Arc<Msix>,
    state: Arc<DeviceState>,
    queues: Vec<Endpoint>,
    registers: Mutex<Registers>,
    window: Mutex<Window>,
    warnings: RateLimit,
}

/// What stays of a queue when the driver resets the device.
struct Endpoint {
    kick: Arc<EventFd>,
    counters: Arc<QueueCounters>,
    warnings: Arc<RateLimit>,
}

/// The driver's side of the function, and the queues it has set up.
struct Registers {
    common: Common,
    running: Vec<Option<Arc<VirtQueue>>>,
}

impl VirtioPci {
    /// `device` as a PCI function, with a vector for each queue and one for
    /// configuration changes.
    ///
    /// # Errors
    ///
    /// `InvalidInput` if the device has no queue or more than 1024; else
    /// whatever `allocator` or the host's file descriptors say.
    pub fn new(
        device: Arc<dyn VirtioDevice>,
        memory: &GuestMemory,
        allocator: &dyn MsiAllocator,
    ) -> io::Result<Arc<Self>> {
        let sizes = device.queue_sizes();
        let count = u16::try_from(sizes.len()).unwrap_or(u16::MAX);
        if !(1..=MAX_QUEUES).contains(&count) {
            let message = format!("{} virtqueues; there can be 1 to {MAX_QUEUES}", sizes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let vectors = count.saturating_add(1).min(MAX_VECTORS);
        let msix = Msix::new(vectors, allocator)?;
        let state = DeviceState::new(msix.clone());
        let offered = device.features() | features::OFFERED;
        let common = Common::new(offered, sizes, vectors, state.clone());
        Ok(Arc::new(Self {
            device,
            memory: memory.clone(),
            layout: Layout::new(count, vectors),
            msix,
            state,
            queues: (0..count)
                .map(|_| Endpoint::new())
                .collect::<io::Result<_>>()?,
            registers: Mutex::new(Registers {
                common,
                running: Vec::new(),
            }),
            window: Mutex::new(Window::default()),
            warnings: RateLimit::default(),
        }))
    }

    fn read(&self, offset: u64, data: &mut [u8]) {
        data.fill(0);
        match self.layout.region(offset) {
            Some((Region::Common, offset)) => self.registers().common.read(offset, data),
            Some((Region::Isr, 0)) => {
                if let Some(byte) = data.first_mut() {
                    *byte = self.state.take_isr();
                }
            }
            Some((Region::Device, offset)) => self.device.config_read(offset, data),
            Some((Region::Isr | Region::Notify, _)) | None => {}
        }
    }

    fn write(&self, offset: u64, data: &[u8]) {
        match self.layout.region(offset) {
            Some((Region::Common, offset)) => self.write_common(offset, data),
            Some((Region::Device, offset)) => self.device.config_write(offset, data),
            Some((Region::Notify, offset)) => self.notify(offset),
            Some((Region::Isr, _)) | None => {}
        }
    }

    fn write_common(&self, offset: u64, data: &[u8]) {
        let mut registers = self.registers();
        match registers.common.write(offset, data) {
            Action::None => {}
            Action::Reset => self.reset_locked(&mut registers),
            Action::Start => self.start(&mut registers),
            Action::MoveVector { queue, vector } => registers.move_vector(queue, vector),
        }
    }

    /// A notification that no ioeventfd took.
    fn notify(&self, offset: u64) {
        let queue = Layout::notified_queue(offset);
        if let Some(Err(error)) = self.queues.get(queue).map(|queue| queue.kick.write(1)) {
            // Only a counter that is about to overflow says no, and then the
            // queue's thread is going to wake up anyway.
            tracing::debug!(queue, %error, "kick not delivered");
        }
    }

    fn start(&self, registers: &mut Registers) {
        if self.try_start(registers).is_none() {
            self.state.needs_reset();
        }
    }

    /// Builds the queues and starts the device; says why if that fails.
    fn try_start(&self, registers: &mut Registers) -> Option<()> {
        let built = self.build_queues(&registers.common);
        let queues = built.inspect_err(|fault| self.warn(fault)).ok()?;
        registers.running = queues.clone();
        let features = registers.common.driver_features();
        let activation = Activation {
            features,
            queues,
            state: self.state.clone(),
        };
        self.device
            .activate(activation)
            .inspect_err(|error| self.warn(error))
            .ok()
    }

    fn warn(&self, why: &dyn Display) {
        warn_limited!(self.warnings, "virtio device does not start: {why}");
    }

    fn build_queues(&self, common: &Common) -> Result<Vec<Option<Arc<VirtQueue>>>, RingFault> {
        let event_idx = common.driver_features() & features::EVENT_IDX != 0;
        (0_u16..)
            .zip(common.queues().iter().zip(&self.queues))
            .map(|(index, (registers, endpoint))| {
                if !registers.enabled {
                    return Ok(None);
                }
                let setup = registers.setup(event_idx);
                VirtQueue::new(&setup, self.parts(index, registers, endpoint)).map(Some)
            })
            .collect()
    }

    fn parts(&self, index: u16, registers: &QueueRegisters, endpoint: &Endpoint) -> QueueParts {
        QueueParts {
            index,
            memory: self.memory.clone(),
            kick: endpoint.kick.clone(),
            vector: registers.vector,
            state: self.state.clone(),
            counters: endpoint.counters.clone(),
            warnings: endpoint.warnings.clone(),
        }
    }

    /// Stops the device, then forgets what the driver wrote. The order matters:
    /// the status reads as zero only once nothing is in flight any more.
    fn reset_locked(&self, registers: &mut Registers) {
        self.device.reset();
        for queue in registers.running.drain(..).flatten() {
            queue.stop();
            queue.wait_idle();
            queue.silence();
        }
        registers.common.reset();
        self.state.clear();
        for endpoint in &self.queues {
            // An old kick would only wake a thread for nothing.
            endpoint.kick.read().ok();
        }
    }

    fn registers(&self) -> MutexGuard<'_, Registers> {
        self.registers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    fn new() -> io::Result<Self> {
        let kick = Arc::new(EventFd::new(EFD_NONBLOCK)?);
        Ok(Self {
            kick,
            counters: Arc::default(),
            warnings: Arc::default(),
        })
    }
}

impl Registers {
    fn move_vector(&self, queue: u16, vector: u16) {
        if let Some(Some(queue)) = self.running.get(usize::from(queue)) {
            queue.set_vector(vector);
        }
    }
}

#[cfg(test)]
mod tests;
