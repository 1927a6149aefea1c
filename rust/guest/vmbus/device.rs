// SPDX-License-Identifier: GPL-2.0

//! A device on the VMBus, and how drivers name the devices that they drive.

use crate::bindings;
use core::{
    marker::PhantomData,
    mem::offset_of, //
};
use kernel::{
    device,
    device_id::RawDeviceId,
    types::Opaque, //
};
use protocol::vmbus::Guid;

/// A VMBus device.
///
/// # Invariants
///
/// An instance is a valid `struct hv_device` that the C side has created.
#[repr(transparent)]
pub struct Device<Ctx: device::DeviceContext = device::Normal>(
    Opaque<bindings::hv_device>,
    PhantomData<Ctx>,
);

impl<Ctx: device::DeviceContext> Device<Ctx> {
    pub(super) fn as_raw(&self) -> *mut bindings::hv_device {
        self.0.get()
    }

    /// What kind of device it is.
    pub fn class(&self) -> Guid {
        // SAFETY: `self` is a valid device by the type invariant; its ids do not change.
        Guid(unsafe { (*self.as_raw()).dev_type.b })
    }

    /// Which one of its kind.
    pub fn instance(&self) -> Guid {
        // SAFETY: As in `class`.
        Guid(unsafe { (*self.as_raw()).dev_instance.b })
    }
}

impl Device<device::Bound> {
    /// Has data that is copied on its way to the host keep its place in the page: `mask` is of
    /// the bits of an address that stay as they are.
    pub fn set_dma_min_align_mask(&self, mask: u32) {
        // SAFETY: `self` is a valid device by the type invariant, which the bus has given its
        // parameters for DMA.
        unsafe { bindings::dma_set_min_align_mask(&raw mut (*self.as_raw()).device, mask) };
    }
}

// SAFETY: `Device` is a transparent wrapper of a type that does not depend on its generic argument.
kernel::impl_device_context_deref!(unsafe { Device });

impl<Ctx: device::DeviceContext> AsRef<device::Device<Ctx>> for Device<Ctx> {
    fn as_ref(&self) -> &device::Device<Ctx> {
        // SAFETY: By the type invariant `self` is a valid `struct hv_device`.
        let dev = unsafe { &raw mut (*self.as_raw()).device };
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

/// Which devices a driver is for: all of a class.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct DeviceId(bindings::hv_vmbus_device_id);

impl DeviceId {
    /// All devices of this class, for which see [`protocol::vmbus::class`].
    pub const fn new(class: Guid) -> Self {
        Self(bindings::hv_vmbus_device_id {
            guid: bindings::guid_t { b: class.0 },
            driver_data: 0,
        })
    }

    #[doc(hidden)]
    pub const fn len(ids: &[Self]) -> usize {
        ids.len()
    }
}

// SAFETY: A transparent wrapper of the raw type, without further invariants.
unsafe impl RawDeviceId for DeviceId {
    type RawType = bindings::hv_vmbus_device_id;
}

/// The devices that a driver is for, as [`vmbus_device_table!`](crate::vmbus_device_table) makes it.
pub type IdTable = &'static dyn kernel::device_id::IdTable<DeviceId, ()>;

/// Makes an [`IdTable`], and the module alias by which user space finds the module.
#[macro_export]
macro_rules! vmbus_device_table {
    ($name:ident, $ids:tt) => {
        ::kernel::module_device_table!("vmbus", $crate::vmbus::DeviceId, $name, @none, $ids);
    };
}

/// Offset of the embedded `struct device_driver`.
pub(super) const DRIVER_OFFSET: usize = offset_of!(bindings::hv_driver, driver);
