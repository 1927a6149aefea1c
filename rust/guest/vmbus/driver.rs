// SPDX-License-Identifier: GPL-2.0

//! A driver for VMBus devices, and its registration.

use super::{
    device::DRIVER_OFFSET,
    Channels,
    Device,
    Handler,
    IdTable, //
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

/// A driver for VMBus devices.
///
/// # Examples
///
/// ```ignore
/// use guest::vmbus;
/// use protocol::vmbus::class;
///
/// guest::vmbus_device_table!(IDS, [vmbus::DeviceId::new(class::HEARTBEAT)]);
///
/// impl vmbus::Driver for Heartbeat {
///     type Data = Arc<Beats>;
///     type Handler = Beats;
///     const ID_TABLE: vmbus::IdTable = &IDS;
///
///     fn probe(
///         dev: &vmbus::Device<Core<'_>>,
///         channels: &Arc<vmbus::Channels<Beats>>,
///     ) -> Result<Pin<KBox<Self::Data>>> {
///         channels.open(beats.clone(), vmbus::Plan { ring_size: 12288, .. }, 0)?;
///         // …
///     }
/// }
/// ```
pub trait Driver: 'static {
    /// What the driver has of a device. Dropping it is unbinding.
    type Data: Send;

    /// What takes the packets.
    type Handler: Handler;

    /// The devices that the driver is for.
    const ID_TABLE: IdTable;

    /// Whether devices may be probed at the same time, and others meanwhile.
    const PROBE_ASYNC: bool = false;

    /// A device has been found.
    ///
    /// The channels are closed after the data was dropped, or when this fails. A host can take the
    /// device away meanwhile: [`Channels::is_rescinded`] says so, and removal waits for the probe.
    fn probe(
        dev: &Device<Core<'_>>,
        channels: &Arc<Channels<Self::Handler>>,
    ) -> Result<Pin<KBox<Self::Data>>>;

    /// The machine is switched off.
    fn shutdown(_data: Pin<&Self::Data>) {}

    /// The machine is about to hibernate: its channels are closed after this.
    ///
    /// # Errors
    ///
    /// The machine does not hibernate then.
    fn suspend(_data: Pin<&Self::Data>) -> Result {
        Ok(())
    }

    /// The machine wakes up again, and the first channel is open as at first.
    ///
    /// # Errors
    ///
    /// The channels are closed for good then.
    fn resume(_data: Pin<&Self::Data>) -> Result {
        Ok(())
    }
}

/// Makes a bus driver of a [`Driver`].
pub struct Adapter<T: Driver>(T);

/// What the adapter has of a device.
///
/// Order of drop: first the data, which may still use the channels.
struct Binding<T: Driver> {
    data: Pin<KBox<T::Data>>,
    channels: Arc<Channels<T::Handler>>,
}

// SAFETY:
// - `hv_driver` is a C type.
// - No private data is stored by the means of `driver::Registration`: the adapter keeps it itself
//   and has cleared the pointer before the registration looks at it.
// - `DRIVER_OFFSET` is the offset of the embedded `struct device_driver`.
unsafe impl<T: Driver> driver::DriverLayout for Adapter<T> {
    type DriverType = bindings::hv_driver;
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
        let name = name.as_char_ptr();
        // SAFETY: `drv` is valid, zeroed, and nobody else's before it is registered.
        unsafe {
            (*drv).name = name;
            (*drv).id_table = T::ID_TABLE.as_ptr();
            (*drv).probe = Some(Self::probe_callback);
            (*drv).remove = Some(Self::remove_callback);
            (*drv).shutdown = Some(Self::shutdown_callback);
            (*drv).suspend = Some(Self::suspend_callback);
            (*drv).resume = Some(Self::resume_callback);
            if T::PROBE_ASYNC {
                (*drv).driver.probe_type = bindings::probe_type_PROBE_PREFER_ASYNCHRONOUS;
            }
        }
        // SAFETY: `drv` is a complete driver, pinned until it is unregistered.
        to_result(unsafe { bindings::__vmbus_driver_register(drv, module.as_ptr(), name) })
    }

    unsafe fn unregister(reg: &Opaque<Self::DriverType>) {
        // SAFETY: It was registered, by the safety requirement.
        unsafe { bindings::vmbus_driver_unregister(reg.get()) }
    }
}

impl<T: Driver> Adapter<T> {
    extern "C" fn probe_callback(
        hv: *mut bindings::hv_device,
        _id: *const bindings::hv_vmbus_device_id,
    ) -> c_int {
        // SAFETY: The bus calls with a valid device, which it keeps bound during the call.
        let dev = unsafe { &*hv.cast::<Device<CoreInternal<'_>>>() };
        from_result(|| {
            let channels = Channels::new(dev)?;
            match Self::bind(dev, &channels) {
                Ok(()) => Ok(0),
                Err(error) => {
                    // SAFETY: The bus unbinds a device whose probe has failed.
                    unsafe { channels.teardown() };
                    Err(error)
                }
            }
        })
    }

    fn bind(dev: &Device<CoreInternal<'_>>, channels: &Arc<Channels<T::Handler>>) -> Result {
        let slot = KBox::<Binding<T>>::new_uninit(GFP_KERNEL)?;
        let data = T::probe(dev, channels)?;
        let channels = channels.clone();
        let binding = KBox::into_raw(slot.write(Binding { data, channels }));
        // SAFETY: The device is valid; its driver data is ours while it is bound.
        unsafe { bindings::dev_set_drvdata(&raw mut (*dev.as_raw()).device, binding.cast()) };
        Ok(())
    }

    extern "C" fn remove_callback(hv: *mut bindings::hv_device) {
        // SAFETY: The bus calls with a valid device.
        let dev = unsafe { &raw mut (*hv).device };
        // SAFETY: The driver data of a bound device is what `bind` has put there.
        let binding = unsafe {
            let ptr = bindings::dev_get_drvdata(dev);
            bindings::dev_set_drvdata(dev, core::ptr::null_mut());
            KBox::from_raw(ptr.cast::<Binding<T>>())
        };
        let Binding { data, channels } = KBox::into_inner(binding);
        drop(data);
        // SAFETY: The bus unbinds the device now.
        unsafe { channels.teardown() };
    }

    /// What `bind` has made for a device.
    ///
    /// # Safety
    ///
    /// `hv` must be valid, and bound to this driver for `'a`, and not be unbound meanwhile.
    unsafe fn binding<'a>(hv: *mut bindings::hv_device) -> &'a Binding<T> {
        // SAFETY: The driver data of a bound device is what `bind` has put there, for as long as
        // it is bound.
        unsafe { &*bindings::dev_get_drvdata(&raw mut (*hv).device).cast::<Binding<T>>() }
    }

    extern "C" fn shutdown_callback(hv: *mut bindings::hv_device) {
        // SAFETY: The bus calls with a valid device that is bound, under the device's lock.
        T::shutdown(unsafe { Self::binding(hv) }.data.as_ref());
    }

    extern "C" fn suspend_callback(hv: *mut bindings::hv_device) -> c_int {
        // SAFETY: The bus calls with a valid device that is bound, and stays so.
        let binding = unsafe { Self::binding(hv) };
        from_result(|| {
            T::suspend(binding.data.as_ref())?;
            binding.channels.suspend();
            Ok(0)
        })
    }

    extern "C" fn resume_callback(hv: *mut bindings::hv_device) -> c_int {
        // SAFETY: As in `suspend_callback`.
        let binding = unsafe { Self::binding(hv) };
        from_result(|| {
            binding
                .channels
                .resume()
                .and_then(|()| T::resume(binding.data.as_ref()))
                .inspect_err(|_| binding.channels.stop())?;
            Ok(0)
        })
    }
}

/// Declares a module that is one VMBus driver.
///
/// # Examples
///
/// ```ignore
/// guest::module_vmbus_driver! {
///     type: Heartbeat,
///     name: "heartbeat",
///     authors: ["Author name"],
///     description: "Description",
///     license: "GPL",
/// }
/// ```
#[macro_export]
macro_rules! module_vmbus_driver {
    ($($f:tt)*) => {
        ::kernel::module_driver!(<T>, $crate::vmbus::Adapter<T>, { $($f)* });
    };
}
