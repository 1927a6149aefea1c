// SPDX-License-Identifier: GPL-2.0

//! Hosts and devices as the SCSI layer knows them.

use super::{
    fibre_channel::{
        self,
        Names, //
    },
    Unit, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ptr::{
        self,
        NonNull, //
    }, //
};
use kernel::{
    device,
    error::to_result,
    prelude::*,
    sync::{
        atomic::{
            Acquire,
            Atomic, //
        },
        Arc, //
    },
    time::msecs_to_jiffies, //
};

/// A reference to a host, which may have been removed. All methods sleep.
///
/// # Invariants
///
/// `shost` is a host of which we hold a reference. It was registered, with `port` if there is one,
/// which it may look at for as long as it exists.
pub struct HostRef {
    shost: NonNull<bindings::Scsi_Host>,
    port: Option<Arc<fibre_channel::Template>>,
}

// SAFETY: A host may be used, and released, from any thread.
unsafe impl Send for HostRef {}

// SAFETY: A host may be used from any thread.
unsafe impl Sync for HostRef {}

impl HostRef {
    /// Stands for all logical units of a target (`SCAN_WILD_CARD`).
    const ANY_LUN: u64 = u64::MAX;

    /// # Safety
    ///
    /// `shost` must be a host of which the caller has a reference, and that was registered with
    /// `port`.
    pub(super) unsafe fn new(
        shost: NonNull<bindings::Scsi_Host>,
        port: Option<Arc<fibre_channel::Template>>,
    ) -> Self {
        // SAFETY: By the safety requirement.
        unsafe { bindings::get_device(&raw mut (*shost.as_ptr()).shost_gendev) };
        // INVARIANT: We have just got a reference.
        Self { shost, port }
    }

    /// Says what a port of Fibre Channel is called from now on. Of other hosts nothing is said.
    pub fn set_names(&self, names: Names) {
        if self.port.is_some() {
            // SAFETY: The host is valid, and was registered with a template of the class, by the
            // type invariant.
            unsafe { fibre_channel::set_names(self.shost, names) };
        }
    }

    /// Looks for devices everywhere, perhaps later.
    pub fn scan(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::scsi_scan_host(self.shost.as_ptr()) };
    }

    /// Finds out what has come and what has gone, when nobody could say so. Sleeps.
    pub fn look_at_all(&self) {
        self.for_each_device(|device| {
            if device.presence() == Presence::Absent {
                device.remove();
            }
        });
        self.scan();
    }

    /// Looks for the devices of a target of the first bus.
    pub fn scan_target(&self, id: u32) {
        // SAFETY: Valid by the type invariant; the parent of a target is its host.
        unsafe {
            bindings::scsi_scan_target(
                &raw mut (*self.shost.as_ptr()).shost_gendev,
                0,
                id,
                Self::ANY_LUN,
                bindings::scsi_scan_mode_SCSI_SCAN_INITIAL,
            )
        };
    }

    /// Looks for a device.
    ///
    /// # Errors
    ///
    /// `ENODEV` if there is none, or what the SCSI layer says.
    pub fn add(&self, unit: Unit) -> Result {
        // SAFETY: Valid by the type invariant.
        to_result(unsafe {
            bindings::scsi_add_device(self.shost.as_ptr(), unit.channel, unit.id, unit.lun)
        })
    }

    /// The device that is known for `unit`.
    pub fn lookup(&self, unit: Unit) -> Option<Device> {
        // SAFETY: Valid by the type invariant.
        let sdev = unsafe {
            bindings::scsi_device_lookup(self.shost.as_ptr(), unit.channel, unit.id, unit.lun)
        };
        // INVARIANT: What the lookup returns comes with a reference.
        NonNull::new(sdev).map(|sdev| Device { sdev })
    }

    /// Calls `f` with each device that is known.
    pub fn for_each_device(&self, mut f: impl FnMut(&Device)) {
        let mut last = ptr::null_mut();
        loop {
            // SAFETY: The host is valid by the type invariant. `last` is null, or a device with
            // the reference that came from here, which is dropped for us.
            last = unsafe { bindings::__scsi_iterate_devices(self.shost.as_ptr(), last) };
            let Some(sdev) = NonNull::new(last) else {
                return;
            };
            // INVARIANT: There is a reference, which the next turn drops instead of this.
            f(&ManuallyDrop::new(Device { sdev }));
        }
    }

    /// The host, for messages.
    pub fn as_device(&self) -> &device::Device {
        // SAFETY: Valid by the type invariant.
        unsafe { device::Device::from_raw(&raw mut (*self.shost.as_ptr()).shost_gendev) }
    }
}

impl Drop for HostRef {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::scsi_host_put(self.shost.as_ptr()) };
    }
}

/// Whether a device that was there is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It answers.
    Present,
    /// It does not exist any more.
    Absent,
    /// It cannot be said.
    Unknown,
}

/// A reference to a device, which may have been removed. All methods sleep.
///
/// # Invariants
///
/// `sdev` is a device of which we hold a reference.
pub struct Device {
    sdev: NonNull<bindings::scsi_device>,
}

impl Device {
    /// Length of the INQUIRY data that every device has (SPC-6, 6.7.2).
    const INQUIRY_LEN: usize = 36;
    /// Time for an INQUIRY, and how often it is tried, as for the disk driver's commands.
    const INQUIRY_TIMEOUT_MS: u32 = 30_000;
    const INQUIRY_TRIES: c_int = 5;

    /// Removes the device from the system.
    pub fn remove(&self) {
        // SAFETY: Valid by the type invariant.
        unsafe { bindings::scsi_remove_device(self.sdev.as_ptr()) };
    }

    /// Reads the device's properties again, such as its capacity.
    pub fn rescan(&self) {
        // SAFETY: Valid by the type invariant. What it returns says that the device is being
        // removed or suspended, when there is nothing to be done.
        unsafe { bindings::scsi_rescan_device(self.sdev.as_ptr()) };
    }

    /// Whether somebody is still setting the device up, after having found it.
    ///
    /// The SCSI layer has such a device in its list before it has allocated what counts the
    /// device's commands (`budget_map`). It counts no command until then. One that is sent before
    /// and ends after that would be uncounted from a place far outside of the map.
    fn is_being_set_up(&self) -> bool {
        // SAFETY: The device is valid by the type invariant; others may change the field.
        let state = unsafe { Atomic::from_ptr(&raw mut (*self.sdev.as_ptr()).sdev_state) };
        // What comes with the other states was written before.
        matches!(
            state.load(Acquire),
            bindings::scsi_device_state_SDEV_CREATED
                | bindings::scsi_device_state_SDEV_CREATED_BLOCK
        )
    }

    /// Asks the device whether it is ready, unless it is still being set up, and leaves it at
    /// that: what is of interest is what its driver sees of the answer.
    pub fn poke(&self) {
        if self.is_being_set_up() {
            return;
        }
        let timeout = msecs_to_jiffies(Self::INQUIRY_TIMEOUT_MS) as c_int;
        // SAFETY: Valid by the type invariant. Without a place for sense data there is none.
        unsafe {
            bindings::scsi_test_unit_ready(self.sdev.as_ptr(), timeout, 1, ptr::null_mut());
        }
    }

    /// Asks the device whether it is there, by an INQUIRY, unless it is still being set up.
    pub fn presence(&self) -> Presence {
        const INQUIRY: u8 = 0x12;
        if self.is_being_set_up() {
            return Presence::Unknown;
        }
        let cdb = [INQUIRY, 0, 0, 0, Self::INQUIRY_LEN as u8, 0];
        let mut data = [0u8; Self::INQUIRY_LEN];
        // SAFETY: The device is valid by the type invariant. The CDB has the length that its
        // operation code says, and the buffer the length that is given; the block layer copies
        // to and from buffers that are on the stack.
        let result = unsafe {
            bindings::scsi_execute_cmd(
                self.sdev.as_ptr(),
                cdb.as_ptr(),
                bindings::req_op_REQ_OP_DRV_IN,
                data.as_mut_ptr().cast(),
                Self::INQUIRY_LEN as c_uint,
                msecs_to_jiffies(Self::INQUIRY_TIMEOUT_MS) as c_int,
                Self::INQUIRY_TRIES,
                ptr::null(),
            )
        };
        let bad_target = super::HostByte::BAD_TARGET.raw();
        let [peripheral, ..] = data;
        match result {
            // A peripheral qualifier other than 0 says that there is nothing.
            0 if peripheral >> 5 != 0 => Presence::Absent,
            0 => Presence::Present,
            1.. if (result >> 16) as u8 == bad_target => Presence::Absent,
            _ => Presence::Unknown,
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // SAFETY: The reference is ours by the type invariant.
        unsafe { bindings::scsi_device_put(self.sdev.as_ptr()) };
    }
}
