// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The common configuration structure (VIRTIO 1.3, section 4.1.4.3): status,
//! features, and where the queues are.
//!
//! This is a state machine of plain values. What has to happen to queues and
//! device as a consequence of a write comes out as an [`Action`].

use std::mem::{offset_of, size_of};
use std::sync::Arc;

use hospes_device::limit::{warn_limited, RateLimit};
use virtio_bindings::virtio_config::{
    VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_FAILED,
    VIRTIO_CONFIG_S_FEATURES_OK,
};
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{Immutable, IntoBytes};

use super::{features, QueueSetup};
use crate::notify::{DeviceState, DRIVER_OK, NO_VECTOR};

const FEATURES_OK: u8 = VIRTIO_CONFIG_S_FEATURES_OK as u8;

/// The status bits that a driver sets. NEEDS_RESET is the device's.
const DRIVER_BITS: u8 = (VIRTIO_CONFIG_S_ACKNOWLEDGE
    | VIRTIO_CONFIG_S_DRIVER
    | VIRTIO_CONFIG_S_FEATURES_OK
    | VIRTIO_CONFIG_S_FAILED) as u8
    | DRIVER_OK;

/// The structure as the guest sees it.
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct CommonConfig {
    device_feature_select: U32,
    device_feature: U32,
    driver_feature_select: U32,
    driver_feature: U32,
    config_msix_vector: U16,
    num_queues: U16,
    device_status: u8,
    config_generation: u8,
    queue_select: U16,
    queue_size: U16,
    queue_msix_vector: U16,
    queue_enable: U16,
    queue_notify_off: U16,
    queue_desc: U64,
    queue_driver: U64,
    queue_device: U64,
}

/// Length of the structure. The fields after it in the specification belong to
/// features that are not offered.
pub(super) const COMMON_LEN: usize = size_of::<CommonConfig>();

const _: () = assert!(COMMON_LEN == 56);

/// What a write makes necessary.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Nothing.
    None,
    /// The driver wants everything back to the beginning.
    Reset,
    /// The driver is ready: start the device.
    Start,
    /// A queue's interrupts go elsewhere from now on.
    MoveVector {
        /// The queue.
        queue: u16,
        /// Its new vector.
        vector: u16,
    },
}

/// The registers of one queue.
#[derive(Clone, Debug)]
pub(super) struct QueueRegisters {
    max_size: u16,
    size: u16,
    descriptors: u64,
    available: u64,
    used: u64,
    /// Interrupt vector.
    pub(super) vector: u16,
    /// Whether the driver enabled the queue.
    pub(super) enabled: bool,
}

impl QueueRegisters {
    fn new(max_size: u16) -> Self {
        Self {
            max_size,
            size: max_size,
            descriptors: 0,
            available: 0,
            used: 0,
            vector: NO_VECTOR,
            enabled: false,
        }
    }

    /// Where the queue's ring is.
    pub(super) fn setup(&self, event_idx: bool) -> QueueSetup {
        QueueSetup {
            size: self.size,
            descriptors: self.descriptors,
            available: self.available,
            used: self.used,
            event_idx,
        }
    }
}

/// The registers.
pub(super) struct Common {
    offered: u64,
    vectors: u16,
    state: Arc<DeviceState>,
    device_feature_select: u32,
    driver_feature_select: u32,
    driver_features: u64,
    queue_select: u16,
    queues: Vec<QueueRegisters>,
    warnings: RateLimit,
}

impl Common {
    pub(super) fn new(
        offered: u64,
        queue_sizes: Vec<u16>,
        vectors: u16,
        state: Arc<DeviceState>,
    ) -> Self {
        Self {
            offered,
            vectors,
            state,
            device_feature_select: 0,
            driver_feature_select: 0,
            driver_features: 0,
            queue_select: 0,
            queues: queue_sizes.into_iter().map(QueueRegisters::new).collect(),
            warnings: RateLimit::default(),
        }
    }

    /// Back to the values after power-on.
    pub(super) fn reset(&mut self) {
        self.device_feature_select = 0;
        self.driver_feature_select = 0;
        self.driver_features = 0;
        self.queue_select = 0;
        for queue in &mut self.queues {
            *queue = QueueRegisters::new(queue.max_size);
        }
    }

    /// The features that the driver accepted.
    pub(super) fn driver_features(&self) -> u64 {
        self.driver_features
    }

    /// The queues' registers.
    pub(super) fn queues(&self) -> &[QueueRegisters] {
        &self.queues
    }

    /// Copies what is at `offset` to `data`; nothing beyond the end.
    pub(super) fn read(&self, offset: u64, data: &mut [u8]) {
        let image = self.image();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (to, from) in data.iter_mut().zip(image.as_bytes().iter().skip(start)) {
            *to = *from;
        }
    }

    fn image(&self) -> CommonConfig {
        let queue = self.queues.get(usize::from(self.queue_select));
        let field = |value: fn(&QueueRegisters) -> u64| queue.map_or(0, value);
        let short = |value: fn(&QueueRegisters) -> u16| U16::new(queue.map_or(0, value));
        CommonConfig {
            device_feature_select: U32::new(self.device_feature_select),
            device_feature: half(self.offered, self.device_feature_select),
            driver_feature_select: U32::new(self.driver_feature_select),
            driver_feature: half(self.driver_features, self.driver_feature_select),
            config_msix_vector: U16::new(self.state.config_vector()),
            num_queues: U16::new(u16::try_from(self.queues.len()).unwrap_or(u16::MAX)),
            device_status: self.state.status(),
            config_generation: self.state.generation(),
            queue_select: U16::new(self.queue_select),
            queue_size: short(|queue| queue.size),
            queue_msix_vector: U16::new(queue.map_or(NO_VECTOR, |queue| queue.vector)),
            queue_enable: short(|queue| queue.enabled.into()),
            queue_notify_off: U16::new(queue.map_or(0, |_| self.queue_select)),
            queue_desc: U64::new(field(|queue| queue.descriptors)),
            queue_driver: U64::new(field(|queue| queue.available)),
            queue_device: U64::new(field(|queue| queue.used)),
        }
    }

    /// Takes a write. It must be of exactly one field, or of one half of a
    /// 64-bit field; what is anything else is ignored.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Action {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        match *data {
            [value] if offset == offset_of!(CommonConfig, device_status) => {
                self.write_status(value)
            }
            [a, b] => self.write_u16(offset, u16::from_le_bytes([a, b])),
            [a, b, c, d] => {
                self.write_u32(offset, u32::from_le_bytes([a, b, c, d]));
                Action::None
            }
            [a, b, c, d, e, f, g, h] => {
                self.write_u32(offset, u32::from_le_bytes([a, b, c, d]));
                self.write_u32(offset.saturating_add(4), u32::from_le_bytes([e, f, g, h]));
                Action::None
            }
            _ => Action::None,
        }
    }

    fn write_status(&mut self, value: u8) -> Action {
        if value == 0 {
            return Action::Reset;
        }
        let before = self.state.status();
        let mut new = value & DRIVER_BITS & !before;
        if new & FEATURES_OK != 0 && !self.features_agreed() {
            new &= !FEATURES_OK;
        }
        if new & DRIVER_OK != 0 && (before | new) & FEATURES_OK == 0 {
            warn_limited!(
                self.warnings,
                status = value,
                "DRIVER_OK before FEATURES_OK"
            );
            new &= !DRIVER_OK;
        }
        self.state.add_status(new);
        if new & DRIVER_OK != 0 {
            Action::Start
        } else {
            Action::None
        }
    }

    fn features_agreed(&self) -> bool {
        let unknown = self.driver_features & !self.offered;
        let agreed = unknown == 0 && self.driver_features & features::VERSION_1 != 0;
        if !agreed {
            let features = self.driver_features;
            warn_limited!(
                self.warnings,
                "driver's features {features:#x} are not acceptable"
            );
        }
        agreed
    }

    fn write_u16(&mut self, offset: usize, value: u16) -> Action {
        match offset {
            _ if offset == offset_of!(CommonConfig, queue_select) => self.queue_select = value,
            _ if offset == offset_of!(CommonConfig, config_msix_vector) => {
                self.state.set_config_vector(self.usable_vector(value));
            }
            _ if offset == offset_of!(CommonConfig, queue_msix_vector) => {
                return self.write_vector(value);
            }
            _ if offset == offset_of!(CommonConfig, queue_size) => self.write_size(value),
            _ if offset == offset_of!(CommonConfig, queue_enable) => self.write_enable(value),
            _ => {}
        }
        Action::None
    }

    fn write_u32(&mut self, offset: usize, value: u32) {
        const DESC: usize = offset_of!(CommonConfig, queue_desc);
        const DRIVER: usize = offset_of!(CommonConfig, queue_driver);
        const DEVICE: usize = offset_of!(CommonConfig, queue_device);
        match offset {
            _ if offset == offset_of!(CommonConfig, device_feature_select) => {
                self.device_feature_select = value;
            }
            _ if offset == offset_of!(CommonConfig, driver_feature_select) => {
                self.driver_feature_select = value;
            }
            _ if offset == offset_of!(CommonConfig, driver_feature) => {
                self.write_driver_feature(value);
            }
            _ => {
                if let Some(queue) = self.open_queue() {
                    match offset & !4 {
                        DESC => set_half(&mut queue.descriptors, offset, value),
                        DRIVER => set_half(&mut queue.available, offset, value),
                        DEVICE => set_half(&mut queue.used, offset, value),
                        _ => {}
                    }
                }
            }
        }
    }

    fn write_driver_feature(&mut self, value: u32) {
        // What was agreed upon stays so until the next reset.
        if self.state.status() & FEATURES_OK != 0 {
            return;
        }
        let shift = match self.driver_feature_select {
            0 => 0,
            1 => 32,
            // No feature bits exist there; a driver can only write zero.
            _ => return,
        };
        let kept = self.driver_features & !(u64::from(u32::MAX) << shift);
        self.driver_features = kept | (u64::from(value) << shift);
    }

    fn write_vector(&mut self, value: u16) -> Action {
        let (vector, index) = (self.usable_vector(value), self.queue_select);
        match self.queues.get_mut(usize::from(index)) {
            Some(queue) => {
                queue.vector = vector;
                Action::MoveVector {
                    queue: index,
                    vector,
                }
            }
            None => Action::None,
        }
    }

    /// A vector that does not exist reads back as none, which tells the driver.
    fn usable_vector(&self, vector: u16) -> u16 {
        if vector < self.vectors {
            vector
        } else {
            NO_VECTOR
        }
    }

    fn write_size(&mut self, value: u16) {
        let Some(queue) = self.open_queue() else {
            return;
        };
        if value.is_power_of_two() && value <= queue.max_size {
            queue.size = value;
        } else {
            warn_limited!(
                self.warnings,
                queue = self.queue_select,
                value,
                "bad queue size"
            );
        }
    }

    fn write_enable(&mut self, value: u16) {
        if let (1, Some(queue)) = (value, self.open_queue()) {
            queue.enabled = true;
        }
    }

    /// The selected queue, as long as the driver may configure it: it is not
    /// enabled yet, and the device does not run.
    fn open_queue(&mut self) -> Option<&mut QueueRegisters> {
        if self.state.status() & DRIVER_OK != 0 {
            return None;
        }
        self.queues
            .get_mut(usize::from(self.queue_select))
            .filter(|queue| !queue.enabled)
    }
}

/// The 32 bits of `value` that a feature select register chooses.
fn half(value: u64, select: u32) -> U32 {
    U32::new(match select {
        0 => value as u32,
        1 => (value >> 32) as u32,
        _ => 0,
    })
}

/// Sets the half of a 64-bit field that is at `offset`; fields are aligned.
fn set_half(field: &mut u64, offset: usize, value: u32) {
    let shift = if offset & 4 == 0 { 0 } else { 32 };
    *field = (*field & !(u64::from(u32::MAX) << shift)) | (u64::from(value) << shift);
}
