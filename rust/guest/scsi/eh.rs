// SPDX-License-Identifier: GPL-2.0

//! Commands as the error handling (EH) of the SCSI layer sees them.

use super::{
    command::Slot,
    Driver,
    Unit, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    device,
    prelude::*, //
};

/// What came of an attempt to recover.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It worked.
    Success,
    /// It did not; the error handling goes on to stronger means.
    Failed,
}

/// A command that the error handling is about. The driver may have it, or not any more.
///
/// # Invariants
///
/// `cmd` is a valid command of a host of `T` during `'a`.
pub struct EhCommand<'a, T: Driver> {
    cmd: NonNull<bindings::scsi_cmnd>,
    _borrow: PhantomData<(&'a (), T)>,
}

impl<T: Driver> EhCommand<'_, T> {
    /// # Safety
    ///
    /// `cmd` must be valid for as long as what is returned, and of a host of `T`.
    pub(super) unsafe fn new(cmd: NonNull<bindings::scsi_cmnd>) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            cmd,
            _borrow: PhantomData,
        }
    }

    /// What the command is for.
    pub fn unit(&self) -> Unit {
        // SAFETY: Valid by the type invariant.
        unsafe { Unit::of(self.cmd.as_ptr()) }
    }

    /// The tag of the command, if the driver has it at this moment.
    pub fn tag_if_in_flight(&self) -> Option<u32> {
        // SAFETY: Valid by the type invariant, and with it the slot.
        let (owned, tag) = unsafe { Slot::header(Slot::<T::Private>::of(self.cmd.as_ptr())) };
        Slot::<T::Private>::tag_if_owned(owned, tag)
    }

    /// Whether this is no command, but stands for a device that user space wants to be reset.
    pub fn is_reset_ioctl(&self) -> bool {
        // SAFETY: Valid by the type invariant.
        let submitter = unsafe { (*self.cmd.as_ptr()).submitter };
        submitter == bindings::scsi_cmnd_submitter_SUBMITTED_BY_SCSI_RESET_IOCTL
    }

    /// The device, for messages.
    pub fn device(&self) -> &device::Device {
        // SAFETY: A valid command has a device, for which it holds a reference.
        unsafe { device::Device::from_raw(&raw mut (*(*self.cmd.as_ptr()).device).sdev_gendev) }
    }

    /// How many commands for the same device the driver has.
    pub fn device_in_flight(&self) -> usize {
        // SAFETY: Valid by the type invariant.
        self.count(unsafe { (*self.cmd.as_ptr()).device })
    }

    /// How many commands for any device of the host the driver has.
    pub fn host_in_flight(&self) -> usize {
        self.count(ptr::null_mut())
    }

    /// Counts what the driver has of a device, or, if that is null, of all.
    fn count(&self, sdev: *mut bindings::scsi_device) -> usize {
        let mut count = Count::<T> {
            sdev,
            in_flight: 0,
            _driver: PhantomData,
        };
        // SAFETY: The device and its host are valid with the command, and the host has a tag set
        // for as long as it has a device. The callback is for what it is given.
        unsafe {
            let tag_set = &raw mut (*(*(*self.cmd.as_ptr()).device).host).tag_set;
            bindings::blk_mq_tagset_busy_iter(
                tag_set,
                Some(Count::<T>::visit),
                (&raw mut count).cast(),
            );
        }
        count.in_flight
    }
}

/// Counts what the driver has of a device, or of all.
struct Count<T> {
    sdev: *mut bindings::scsi_device,
    in_flight: usize,
    _driver: PhantomData<T>,
}

impl<T: Driver> Count<T> {
    extern "C" fn visit(rq: *mut bindings::request, data: *mut c_void) -> bool {
        // SAFETY: `data` is what `device_in_flight` passes, and nobody else has it.
        let count = unsafe { &mut *data.cast::<Self>() };
        // SAFETY: A request of a SCSI host's tag set has a command behind it, and that a slot.
        let (cmd, (owned, tag)) = unsafe {
            let cmd = bindings::blk_mq_rq_to_pdu(rq).cast::<bindings::scsi_cmnd>();
            (cmd, Slot::header(Slot::<T::Private>::of(cmd)))
        };
        let in_flight = Slot::<T::Private>::tag_if_owned(owned, tag).is_some();
        // SAFETY: The command is valid; the pointer is only compared.
        let fits = count.sdev.is_null() || unsafe { (*cmd).device } == count.sdev;
        if in_flight && fits {
            count.in_flight = count.in_flight.wrapping_add(1);
        }
        true
    }
}
