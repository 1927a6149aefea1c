// SPDX-License-Identifier: GPL-2.0

//! A driver for virtio devices, and its registration.

use super::{
    device::DRIVER_OFFSET,
    Device,
    Handler,
    IdTable,
    Queues, //
};
use crate::bindings;
use kernel::{
    device::{
        Core,
        CoreInternal, //
    },
    driver,
    error::{
        from_result,
        to_result, //
    },
    prelude::*,
    sync::Arc,
    types::Opaque,
    ThisModule, //
};

/// A driver for virtio devices.
///
/// # Examples
///
/// ```ignore
/// use guest::virtio;
///
/// guest::virtio_device_table!(IDS, [virtio::DeviceId::new(4)]);
///
/// impl virtio::Driver for Entropy {
///     type Data = Self;
///     type Handler = Source;
///     const ID_TABLE: virtio::IdTable = &IDS;
///     const FEATURES: &'static [u32] = &[];
///
///     fn probe(
///         dev: &virtio::Device<Core<'_>>,
///         queues: &Arc<virtio::Queues<Source>>,
///     ) -> Result<Pin<KBox<Self>>> {
///         let mut plan = virtio::Plan::new();
///         let input = plan.add(c_str!("input"), virtio::Callback::Interrupt)?;
///         queues.find(plan, 0)?;
///         // …
///     }
/// }
/// ```
pub trait Driver: 'static {
    /// What the driver has of a device. Dropping it is unbinding.
    type Data: Send;

    /// What handles the interrupts.
    type Handler: Handler;

    /// The devices that the driver is for.
    const ID_TABLE: IdTable;

    /// Numbers of the features that the driver can use.
    const FEATURES: &'static [u32];

    /// A device has been found.
    ///
    /// The queues that `queues` is made to find are deleted after the data was dropped, or when
    /// this fails.
    fn probe(
        dev: &Device<Core<'_>>,
        queues: &Arc<Queues<Self::Handler>>,
    ) -> Result<Pin<KBox<Self::Data>>>;

    /// The machine wakes up again: the device is as new, with features agreed on, and the queues
    /// are there again, empty. The driver tells the device again what it had told it, then that
    /// it is [ready](Device::ready), and then gives it requests. What the queues had when the
    /// machine was suspended was dropped.
    ///
    /// # Errors
    ///
    /// The device is stopped for good then.
    fn restore(_data: Pin<&Self::Data>, _dev: &Device<Core<'_>>) -> Result {
        Ok(())
    }
}

/// Makes a bus driver of a [`Driver`].
pub struct Adapter<T: Driver>(T);

/// What the adapter has of a device.
///
/// Order of drop: first the data, which may still use the device.
struct Binding<T: Driver> {
    data: Pin<KBox<T::Data>>,
    queues: Arc<Queues<T::Handler>>,
}

// SAFETY:
// - `virtio_driver` is a C type.
// - No private data is stored by the means of `driver::Registration`: the adapter keeps it itself
//   and has cleared the pointer before the registration looks at it.
// - `DRIVER_OFFSET` is the offset of the embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::virtio_driver;
    type DriverData<'bound> = ();
    const DEVICE_DRIVER_OFFSET: usize = DRIVER_OFFSET;
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
            (*drv).driver.name = name.as_char_ptr();
            (*drv).id_table = T::ID_TABLE.as_ptr();
            (*drv).feature_table = T::FEATURES.as_ptr();
            (*drv).feature_table_size = T::FEATURES.len() as u32;
            (*drv).probe = Some(Self::probe_callback);
            (*drv).remove = Some(Self::remove_callback);
            (*drv).config_changed = Some(Self::config_changed_callback);
            (*drv).freeze = Some(Self::freeze_callback);
            (*drv).restore = Some(Self::restore_callback);
        }
        // SAFETY: `drv` is a complete driver, pinned until it is unregistered.
        to_result(unsafe { bindings::__register_virtio_driver(drv, module.as_ptr()) })
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: It was registered, by the safety requirement.
        unsafe { bindings::unregister_virtio_driver(reg.get()) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The bus calls with a valid device, which it keeps bound during the call.
        let dev = unsafe { &*vdev.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            let queues = Queues::new(dev)?;
            match Self::bind(dev, &queues) {
                Ok(()) => Ok(0),
                Err(error) => {
                    // SAFETY: The bus unbinds a device whose probe has failed.
                    unsafe { queues.teardown() };
                    Err(error)
                }
            }
        })
    }

    fn bind(dev: &Device<CoreInternal<'_>>, queues: &Arc<Queues<T::Handler>>) -> Result {
        let slot = KBox::<Binding<T>>::new_uninit(GFP_KERNEL)?;
        let data = T::probe(dev, queues)?;
        let queues = queues.clone();
        let binding = KBox::into_raw(slot.write(Binding { data, queues }));
        // SAFETY: The device is valid; its driver data is ours while it is bound.
        unsafe { bindings::dev_set_drvdata(&raw mut (*dev.as_raw()).dev, binding.cast()) };
        Ok(())
    }

    extern "C" fn remove_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The bus calls with a valid device.
        let dev = unsafe { &raw mut (*vdev).dev };
        // SAFETY: The driver data of a bound device is what `bind` has put there.
        let binding = unsafe {
            let ptr = bindings::dev_get_drvdata(dev);
            bindings::dev_set_drvdata(dev, core::ptr::null_mut());
            KBox::from_raw(ptr.cast::<Binding<T>>())
        };
        let Binding { data, queues } = KBox::into_inner(binding);
        drop(data);
        // SAFETY: The bus unbinds the device now.
        unsafe { queues.teardown() };
    }

    /// What `bind` has made for a device.
    ///
    /// # Safety
    ///
    /// `vdev` must be valid, and bound to this driver for `'a`, and not be unbound meanwhile.
    unsafe fn binding<'a>(vdev: *mut bindings::virtio_device) -> &'a Binding<T> {
        // SAFETY: The driver data of a bound device is what `bind` has put there, for as long as
        // it is bound.
        unsafe { &*bindings::dev_get_drvdata(&raw mut (*vdev).dev).cast::<Binding<T>>() }
    }

    /// Interrupt: something in the configuration space is different, or in the status, and there a
    /// device says that it does not work any more.
    extern "C" fn config_changed_callback(vdev: *mut bindings::virtio_device) {
        // SAFETY: The bus calls with a valid device, whose transport's operations are valid.
        let status = unsafe {
            (*(*vdev).config)
                .get_status
                .map(|get_status| get_status(vdev))
        };
        let needs_reset = bindings::VIRTIO_CONFIG_S_NEEDS_RESET as u8;
        if status.is_some_and(|status| status & needs_reset != 0) {
            // SAFETY: The bus calls while the device is bound, and after its probe.
            unsafe { Self::binding(vdev) }.queues.as_arc_borrow().fail();
        }
    }

    /// Suspends the device, or has it keep still while an image of the memory is made.
    ///
    /// What uses the device was suspended before.
    extern "C" fn freeze_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The bus calls with a valid device that is bound.
        unsafe { Self::binding(vdev).queues.freeze() };
        0
    }

    extern "C" fn restore_callback(vdev: *mut bindings::virtio_device) -> c_int {
        // SAFETY: The bus calls with a valid device, which it keeps bound during the call.
        let dev = unsafe { &*vdev.cast::<Device<CoreInternal<'_>>>() };
        // SAFETY: As above.
        let binding = unsafe { Self::binding(vdev) };
        from_result(|| {
            binding
                .queues
                .restore()
                .and_then(|()| T::restore(binding.data.as_ref(), dev))
                .inspect_err(|_| binding.queues.stop())?;
            Ok(0)
        })
    }
}

/// Declares a module that is one virtio driver.
///
/// # Examples
///
/// ```ignore
/// guest::module_virtio_driver! {
///     type: Entropy,
///     name: "entropy",
///     authors: ["Author name"],
///     description: "Description",
///     license: "GPL",
/// }
/// ```
#[macro_export]
macro_rules! module_virtio_driver {
    ($($f:tt)*) => {
        ::kernel::module_driver!(<T>, $crate::virtio::Adapter<T>, { $($f)* });
    };
}
