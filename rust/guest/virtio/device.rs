// SPDX-License-Identifier: GPL-2.0

//! A device on the virtio bus, and how drivers name the devices that they drive.

use super::Config;
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::offset_of, //
};
use kernel::{
    device,
    device_id::RawDeviceId,
    prelude::*,
    types::Opaque, //
};

/// A virtio device.
///
/// # Invariants
///
/// An instance is a valid `struct virtio_device` that the C side has created.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::virtio_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    pub(super) fn as_raw(&self) -> *mut bindings::virtio_device {
        self.0.get()
    }

    /// Whether driver and device have agreed on the feature with number `bit`.
    ///
    /// The driver must have it in its [`FEATURES`](super::Driver::FEATURES).
    pub fn has_feature(&self, bit: u32) -> bool {
        // SAFETY: `self` is a valid device by the type invariant.
        unsafe { bindings::virtio_has_feature(self.as_raw(), bit) }
    }
}

impl Device<device::Bound> {
    /// The configuration space.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the transport gives no access to it.
    pub fn config(&self) -> Result<Config<'_>> {
        Config::new(self)
    }

    /// Tells the device that the driver is ready to drive it.
    ///
    /// Requests may be queued and notified from here on. Only once, and only during probe or
    /// [`restore`](super::Driver::restore); the bus does it afterwards for a driver that does not.
    pub fn ready(&self) {
        // SAFETY: `self` is a valid device by the type invariant, and bound, so its transport's
        // operations are there.
        unsafe { bindings::virtio_device_ready(self.as_raw()) };
    }
}

// SAFETY: `Device` is a transparent wrapper of a type that does not depend on its generic argument.
kernel::impl_device_context_deref!(unsafe { Device });

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant `self` is a valid `struct virtio_device`.
        let dev = unsafe { &raw mut (*self.as_raw()).dev };
        // SAFETY: `dev` is a valid `struct device`, and lives as long as the one it is part of.
        unsafe { device::Device::from_raw(dev) }
    }
}

// SAFETY: A device may be released from any thread.
unsafe impl Send for Device {}

// SAFETY: All methods may be called from any thread.
unsafe impl Sync for Device {}

// SAFETY: The same as the above; `Bound` has no size and no meaning for threads.
unsafe impl Sync for Device<device::Bound> {}

/// Which devices a driver is for: a device id, and any vendor.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DeviceId(bindings::virtio_device_id);

impl DeviceId {
    /// All devices of the type `device`, for which see the table in VIRTIO 1.3, section 5.
    pub const fn new(device: u32) -> Self {
        Self(bindings::virtio_device_id {
            device,
            vendor: bindings::VIRTIO_DEV_ANY_ID,
        })
    }

    #[doc(hidden)]
    pub const fn len(ids: &[Self]) -> usize {
        ids.len()
    }
}

// SAFETY: A transparent wrapper of the raw type, without further invariants.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::virtio_device_id;
}

/// The devices that a driver is for, as [`virtio_device_table!`](crate::virtio_device_table) makes it.
pub type IdTable = &'static dyn kernel::device_id::IdTable<DeviceId, ()>;

/// Makes an [`IdTable`], and the module alias by which user space finds the module.
#[macro_export]
macro_rules! virtio_device_table {
    ($name:ident, $ids:tt) => {
        ::kernel::module_device_table!("virtio", $crate::virtio::DeviceId, $name, @none, $ids);
    };
}

/// Offset of the embedded `struct device_driver`.
pub(super) const DRIVER_OFFSET: usize = offset_of!(bindings::virtio_driver, driver);
