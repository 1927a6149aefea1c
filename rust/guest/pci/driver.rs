// SPDX-License-Identifier: GPL-2.0

//! A driver of PCI functions, and its registration.

use super::as_raw;
use crate::bindings;
use core::mem::offset_of;
use kernel::{
    device::{
        Core,
        CoreInternal, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    driver,
    error::{
        from_result,
        to_result, //
    },
    pci::{
        Device,
        IdTable, //
    },
    prelude::*,
    types::{
        ForeignOwnable,
        Opaque, //
    },
    ThisModule, //
};

/// A driver of PCI functions that are masters of the bus.
///
/// # Examples
///
/// ```ignore
/// kernel::pci_device_table!(IDS, @none, [DeviceId::from_id(Vendor::VMWARE, 0x07c0)]);
///
/// impl pci::Driver for Pvscsi {
///     type Data = Self;
///     const ID_TABLE: IdTable<()> = &IDS;
///
///     fn probe(dev: &Device<Core<'_>>) -> Result<Pin<KBox<Self>>> {
///         let registers = Bar::<0x8000>::first(dev, c"pvscsi")?;
///         // …
///     }
///     // …
/// }
/// ```
pub trait Driver: 'static {
    /// What the driver has of a device. Dropping it is unbinding.
    type Data: Send;

    /// The devices that the driver is for.
    const ID_TABLE: IdTable<()>;

    /// A device has been found. It is enabled, is a master of the bus, and reaches as much memory
    /// as the machine lets it.
    fn probe(dev: &Device<Core<'_>>) -> Result<Pin<KBox<Self::Data>>>;

    /// The machine ends, or starts another kernel: the device must leave memory alone.
    fn shutdown(data: Pin<&Self::Data>);

    /// The machine is suspended, or an image of it is made: the device must leave memory alone
    /// until it is resumed. What uses the device was suspended before.
    fn suspend(data: Pin<&Self::Data>);

    /// The machine wakes up, or goes on: the device is as new, but for its configuration space.
    ///
    /// # Errors
    ///
    /// Whatever keeps the device from working; only the kernel's log is told.
    fn resume(data: Pin<&Self::Data>) -> Result;
}

/// Makes a bus driver of a [`Driver`].
pub struct Adapter<T: Driver>(T);

// SAFETY:
// - `pci_driver` is a C type.
// - No private data is stored by the means of `driver::Registration`: the adapter keeps it itself
//   and has cleared the pointer before the registration looks at it.
// - The offset is that of the embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::pci_driver;
    type DriverData<'bound> = ();
    const DEVICE_DRIVER_OFFSET: usize = offset_of!(bindings::pci_driver, driver);
}

// SAFETY: A driver that was registered can be unregistered.
unsafe impl<T: Driver> driver::RegistrationOps for Adapter<T> {
    unsafe fn register(
        reg: &Opaque<Self::DriverType>,
        name: &'static CStr,
        module: &'static ThisModule,
    ) -> Result {
        let drv = reg.get();
        // SAFETY: `drv` is valid, zeroed, and nobody else's before it is registered.
        unsafe {
            (*drv).name = name.as_char_ptr();
            (*drv).id_table = T::ID_TABLE.as_ptr();
            (*drv).probe = Some(Self::probe_callback);
            (*drv).remove = Some(Self::remove_callback);
            (*drv).shutdown = Some(Self::shutdown_callback);
            (*drv).driver.pm = Self::POWER;
        }
        // SAFETY: `drv` is a complete driver, pinned until it is unregistered.
        to_result(unsafe {
            bindings::__pci_register_driver(drv, module.as_ptr(), name.as_char_ptr())
        })
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: It was registered, by the safety requirement.
        unsafe { bindings::pci_unregister_driver(reg.get()) }
    }
}

impl<T: Driver> Adapter<T> {
    /// Each way to sleep is the same to a device that has no state but in memory.
    const POWER: &'static bindings::dev_pm_ops = &bindings::dev_pm_ops {
        suspend: Some(Self::suspend_callback),
        resume: Some(Self::resume_callback),
        freeze: Some(Self::suspend_callback),
        thaw: Some(Self::resume_callback),
        poweroff: Some(Self::suspend_callback),
        restore: Some(Self::resume_callback),
        ..pin_init::zeroed()
    };

    extern "C" fn probe_callback(
        pdev: *mut bindings::pci_dev,
        _id: *const bindings::pci_device_id,
    ) -> c_int {
        // SAFETY: The bus calls with a valid device, which it keeps bound during the call.
        let dev = unsafe { &*pdev.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            // SAFETY: The bus calls with a valid device.
            to_result(unsafe { bindings::pci_enable_device(pdev) })?;
            Self::bind(dev)
                // SAFETY: It was just enabled.
                .inspect_err(|_| unsafe { bindings::pci_disable_device(pdev) })?;
            Ok(0)
        })
    }

    fn bind(dev: &Device<CoreInternal<'_>>) -> Result {
        let dev: &Device<Core<'_>> = dev;
        // SAFETY: The driver has not got the device yet, so nobody does DMA for it.
        unsafe {
            dev.dma_set_mask_and_coherent(DmaMask::new::<64>())
                .or_else(|_| dev.dma_set_mask_and_coherent(DmaMask::new::<32>()))?;
        }
        dev.set_master();
        let data = T::probe(dev)?.into_foreign();
        // SAFETY: The device is valid; its driver data is ours while it is bound.
        unsafe { bindings::dev_set_drvdata(&raw mut (*as_raw(dev)).dev, data.cast()) };
        Ok(())
    }

    extern "C" fn remove_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: The driver data of a bound device is what `bind` has put there.
        let data = unsafe {
            let dev = &raw mut (*pdev).dev;
            let data = bindings::dev_get_drvdata(dev);
            bindings::dev_set_drvdata(dev, core::ptr::null_mut());
            <Pin<KBox<T::Data>>>::from_foreign(data.cast())
        };
        drop(data);
        // SAFETY: Enabled when it was bound.
        unsafe { bindings::pci_disable_device(pdev) };
    }

    /// What the driver has of a device, if it is bound.
    ///
    /// # Safety
    ///
    /// `dev` must be a valid device of this driver, and not be unbound during `'a`.
    unsafe fn data<'a>(dev: *mut bindings::device) -> Option<Pin<&'a T::Data>> {
        // SAFETY: The driver data of a bound device is what `bind` has put there, pinned.
        unsafe {
            let data = bindings::dev_get_drvdata(dev).cast::<T::Data>();
            data.as_ref().map(|data| Pin::new_unchecked(data))
        }
    }

    extern "C" fn shutdown_callback(pdev: *mut bindings::pci_dev) {
        // SAFETY: The bus calls with a valid device, and keeps it from being unbound.
        if let Some(data) = unsafe { Self::data(&raw mut (*pdev).dev) } {
            T::shutdown(data);
        }
    }

    extern "C" fn suspend_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: The PM core calls with a valid device, and keeps it from being unbound.
        if let Some(data) = unsafe { Self::data(dev) } {
            T::suspend(data);
        }
        0
    }

    extern "C" fn resume_callback(dev: *mut bindings::device) -> c_int {
        // SAFETY: As in `suspend_callback`.
        from_result(|| match unsafe { Self::data(dev) } {
            Some(data) => T::resume(data).map(|()| 0),
            None => Ok(0),
        })
    }
}

/// Declares a module that is one PCI driver.
///
/// # Examples
///
/// ```ignore
/// guest::module_pci_driver! {
///     type: Pvscsi,
///     name: "pvscsi",
///     authors: ["Author name"],
///     description: "Description",
///     license: "GPL",
/// }
/// ```
#[macro_export]
macro_rules! module_pci_driver {
    ($($f:tt)*) => {
        ::kernel::module_driver!(<T>, $crate::pci::Adapter<T>, { $($f)* });
    };
}
