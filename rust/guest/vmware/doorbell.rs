// SPDX-License-Identifier: GPL-2.0

//! A doorbell that the hypervisor may ring, by the VMCI device.
//!
//! Who uses it is linked to the module `vmw_vmci`.
//!
//! C header: [`include/linux/vmw_vmci_api.h`](srctree/include/linux/vmw_vmci_api.h)

use crate::bindings;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use protocol::vmci::Handle;

/// What hears it.
pub trait Ring: Send + Sync + 'static {
    /// It has rung, once at least. Called by a work; must not drop the doorbell.
    fn rung(&self);
}

/// A doorbell. Dropping it waits until nobody is told of it any more.
pub struct Doorbell<T: Ring> {
    handle: Handle,
    _listener: Arc<T>,
}

impl<T: Ring> Doorbell<T> {
    /// A doorbell that `listener` hears. Sleeps.
    ///
    /// # Errors
    ///
    /// `EIO` if there is no VMCI device, or it does not work.
    pub fn new(listener: Arc<T>) -> Result<Self> {
        let mut handle = raw(Handle::INVALID);
        // SAFETY: The listener is there until the doorbell is dropped, after which nobody is called.
        let error = unsafe {
            bindings::vmci_doorbell_create(
                &mut handle,
                bindings::VMCI_FLAG_DELAYED_CB,
                bindings::VMCI_PRIVILEGE_FLAG_RESTRICTED,
                Some(rung::<T>),
                Arc::as_ptr(&listener).cast_mut().cast(),
            )
        };
        // Positive numbers are successes that do not come from this function.
        if error != 0 {
            return Err(EIO);
        }
        Ok(Self {
            handle: Handle::new(handle.context, handle.resource),
            _listener: listener,
        })
    }

    /// What it is called.
    pub fn handle(&self) -> Handle {
        self.handle
    }
}

impl<T: Ring> Drop for Doorbell<T> {
    fn drop(&mut self) {
        // SAFETY: Created by `new`. It waits for a call that is under way.
        unsafe { bindings::vmci_doorbell_destroy(raw(self.handle)) };
    }
}

fn raw(handle: Handle) -> bindings::vmci_handle {
    bindings::vmci_handle {
        context: handle.context,
        resource: handle.resource,
    }
}

/// # Safety
///
/// `listener` must be a `T` that is there during the call.
unsafe extern "C" fn rung<T: Ring>(listener: *mut c_void) {
    // SAFETY: By the safety requirement.
    unsafe { &*listener.cast::<T>() }.rung();
}
