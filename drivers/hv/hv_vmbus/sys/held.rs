// SPDX-License-Identifier: GPL-2.0

//! References: what keeps the memory of channels and devices.
//!
//! A sub-channel has one on its first channel, and a device one on its own, both until their memory
//! goes. So who has a channel may look at its first one, and who has a device at its channel,
//! whatever the host has taken away meanwhile.

use super::{
    bindings,
    Channel,
    Device, //
};
use core::mem;

/// A channel whose memory stays as long as this.
///
/// # Invariants
///
/// It has a reference on the channel's kobject.
pub(crate) struct Held(Channel);

impl Held {
    pub(crate) fn channel(&self) -> Channel {
        self.0
    }

    /// Leaves the reference to who has this pointer.
    pub(super) fn into_raw(self) -> *mut bindings::vmbus_channel {
        let raw = self.0.as_raw();
        mem::forget(self);
        raw
    }

    /// Takes the reference that a pointer stands for.
    ///
    /// # Safety
    ///
    /// The pointer must be null or have come from [`Held::into_raw`], and be asked for once.
    pub(super) unsafe fn from_raw(raw: *mut bindings::vmbus_channel) -> Option<Self> {
        // INVARIANT: The reference of `into_raw`.
        // SAFETY: By the safety requirement; that reference keeps the channel.
        unsafe { Channel::from_raw(raw) }.map(Self)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::kobject_put(&raw mut (*self.0.as_raw()).kobj) };
    }
}

/// A device whose memory stays as long as this. When it is dropped the table must not be locked:
/// the device may go with it.
///
/// # Invariants
///
/// It has a reference on the device.
pub(crate) struct HeldDevice(Device);

impl HeldDevice {
    pub(crate) fn device(&self) -> Device {
        self.0
    }
}

impl Drop for HeldDevice {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { bindings::put_device(self.0.generic()) };
    }
}

impl Channel {
    /// Keeps the channel's memory, whatever becomes of the channel.
    pub(crate) fn hold(self) -> Held {
        // INVARIANT: The reference is taken here.
        // SAFETY: A valid channel by the type invariant, so that there is a reference already.
        unsafe { bindings::kobject_get(&raw mut (*self.as_raw()).kobj) };
        Held(self)
    }

    /// The device of a first channel, unless it is not registered yet or on its way out. The table
    /// must be locked.
    pub(crate) fn hold_device(self) -> Option<HeldDevice> {
        let device = self.device()?;
        // SAFETY: The channel names the device, which the last reference takes back with the table
        // locked before it frees the memory; so that is there as long as the caller has the lock.
        // Without a reference the kobject is left alone.
        let kobject =
            unsafe { bindings::kobject_get_unless_zero(&raw mut (*device.generic()).kobj) };
        // INVARIANT: The reference was taken above.
        (!kobject.is_null()).then(|| HeldDevice(device))
    }
}

#[kernel::macros::kunit_tests(hv_vmbus_held)]
mod tests {
    use super::*;
    use kernel::prelude::*;
    use protocol::vmbus::{
        class,
        message::Offer,
        Guid, //
    };

    fn channel(index: u16) -> Result<Channel> {
        let mut offer = Offer::new(class::SCSI, Guid([0x5a; 16]), 2000, 0);
        offer.sub_channel_index.set(index);
        Channel::alloc(&offer)
    }

    fn references(held: &Held) -> i32 {
        // SAFETY: The channel is there as long as somebody holds it; the count is only read.
        unsafe {
            (&raw const (*held.channel().as_raw()).kobj.kref.refcount.refs.counter).read_volatile()
        }
    }

    #[test]
    fn a_sub_channel_keeps_its_first_one() -> Result {
        let (first, sub) = (channel(0)?, channel(1)?);
        let held = first.hold();
        sub.set_primary(first);
        assert_eq!(references(&held), 3);
        // The host takes the device away, and the other channel is still to be introduced.
        first.release();
        assert_eq!(references(&held), 2);
        assert!(sub.primary() == Some(first));
        let held_sub = sub.hold();
        sub.release();
        assert_eq!(references(&held), 2);
        drop(held_sub);
        assert_eq!(references(&held), 1);
        Ok(())
    }

    #[test]
    fn a_device_keeps_its_channel() -> Result {
        let first = channel(0)?;
        let held = first.hold();
        let device = crate::sys::create(first)?;
        first.set_device(Some(device));
        assert_eq!(references(&held), 3);
        // Nobody gets one that is not registered.
        assert!(first.hold_device().is_none());
        first.set_device(None);
        first.release();
        // SAFETY: Made above and never registered, so that this is the only one who has it.
        drop(unsafe { Held::from_raw((*device.as_raw()).channel) });
        // SAFETY: As above.
        drop(unsafe { KBox::from_raw(device.as_raw()) });
        assert_eq!(references(&held), 1);
        Ok(())
    }
}
