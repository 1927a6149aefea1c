// SPDX-License-Identifier: GPL-2.0

//! The configuration space of a virtio device.

use super::Device;
use crate::bindings;
use core::mem::size_of;
use kernel::{
    device::Bound,
    prelude::*, //
};
use zerocopy::little_endian::{
    U16,
    U32, //
};
use zerocopy::{
    FromBytes,
    IntoBytes, //
};

type Get = unsafe extern "C" fn(
    *mut bindings::virtio_device,
    kernel::ffi::c_uint,
    *mut kernel::ffi::c_void,
    kernel::ffi::c_uint,
);

mod private {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for zerocopy::little_endian::U16 {}
    impl Sealed for zerocopy::little_endian::U32 {}
}

/// A type that a field of a configuration space may have.
///
/// These are the sizes that a transport can access at once; it is asked for no other.
pub trait ConfigField: FromBytes + IntoBytes + private::Sealed {}

impl ConfigField for u8 {}
impl ConfigField for U16 {}
impl ConfigField for U32 {}

/// Access to the configuration space of a device.
///
/// # Invariants
///
/// The transport of `dev` has the operation `get`.
pub struct Config<'a> {
    dev: &'a Device<Bound>,
    get: Get,
}

impl<'a> Config<'a> {
    /// How often [`Config::snapshot`] begins again before it gives up.
    const TRIES: usize = 100;

    pub(super) fn new(dev: &'a Device<Bound>) -> Result<Self> {
        // SAFETY: A valid device has valid operations of its transport.
        let get = unsafe { (*(*dev.as_raw()).config).get }.ok_or(EINVAL)?;
        // INVARIANT: Just found to be there.
        Ok(Self { dev, get })
    }

    /// Reads the field at `offset`. Sleeps.
    #[inline(never)]
    pub fn read<F: ConfigField>(&self, offset: usize) -> F {
        let mut value = F::new_zeroed();
        // SAFETY: `get` belongs to the device by the type invariant, and it writes as many bytes
        // as it is told, which are the size of `value`; any bytes are valid for an `F`.
        unsafe {
            (self.get)(
                self.dev.as_raw(),
                offset as kernel::ffi::c_uint,
                (&raw mut value).cast(),
                size_of::<F>() as kernel::ffi::c_uint,
            )
        };
        value
    }

    /// Writes the field at `offset`. Sleeps.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` if the transport gives read access only.
    #[inline(never)]
    pub fn write<F: ConfigField>(&self, offset: usize, value: F) -> Result {
        // SAFETY: A valid device has valid operations of its transport.
        let set = unsafe { (*(*self.dev.as_raw()).config).set }.ok_or(EOPNOTSUPP)?;
        // SAFETY: `set` belongs to the device, and reads as many bytes as it is told, which are
        // the size of `value`.
        unsafe {
            set(
                self.dev.as_raw(),
                offset as kernel::ffi::c_uint,
                (&raw const value).cast(),
                size_of::<F>() as kernel::ffi::c_uint,
            )
        };
        Ok(())
    }

    /// Reads several fields by `read` so that all are of one state of the device. Sleeps.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the device does not stop changing them.
    pub fn snapshot<T>(&self, read: impl Fn(&Self) -> T) -> Result<T> {
        for _ in 0..Self::TRIES {
            let before = self.generation();
            let value = read(self);
            if self.generation() == before {
                return Ok(value);
            }
        }
        Err(EAGAIN)
    }

    /// The number of the state; always the same for a transport that has none.
    fn generation(&self) -> u32 {
        // SAFETY: A valid device has valid operations of its transport.
        let generation = unsafe { (*(*self.dev.as_raw()).config).generation };
        match generation {
            // SAFETY: The operation belongs to the device.
            Some(generation) => unsafe { generation(self.dev.as_raw()) },
            None => 0,
        }
    }
}
