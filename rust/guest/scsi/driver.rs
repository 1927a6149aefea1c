// SPDX-License-Identifier: GPL-2.0

//! What a driver of a SCSI host does.

use super::{
    Busy,
    Command,
    EhCommand,
    QueueMaps,
    Recovery, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    prelude::*,
    str::CString,
    time::{
        msecs_to_jiffies,
        Msecs, //
    },
    ThisModule, //
};

/// What to do with a command that takes longer than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// Give it the same time again.
    Wait,
    /// Let the error handling deal with it.
    Recover,
}

/// A driver of a SCSI host.
///
/// All of it that has `&self` may be called on several CPUs at the same time.
///
/// # Examples
///
/// ```ignore
/// #[vtable]
/// impl scsi::Driver for Adapter {
///     type Private = ();
///     const MODULE: ThisModule = <crate::LocalModule as ModuleMetadata>::THIS_MODULE;
///     const NAME: &'static CStr = c_str!("An adapter");
///     const PROC_NAME: &'static CStr = c_str!("adapter");
///
///     fn queue_command(&self, command: scsi::Command<Self>) -> Result<(), scsi::Busy<Self>> {
///         command.complete(scsi::HostByte::BAD_TARGET, scsi::Status::GOOD);
///         Ok(())
///     }
/// }
/// ```
#[vtable]
pub trait Driver: Send + Sync + Sized + 'static {
    /// What the driver keeps with each command; all zeros at first.
    type Private: Zeroable + Send;

    /// The module of the driver.
    const MODULE: ThisModule;

    /// The name of the host for people.
    const NAME: &'static CStr;

    /// The name of the host for programs, in `/sys/class/scsi_host/*/proc_name`.
    const PROC_NAME: &'static CStr;

    /// No piece of data crosses a multiple of this plus one.
    const DMA_BOUNDARY: usize = u32::MAX as usize;

    /// Whether the queue depth of a device falls when it reports that its queue is full.
    const TRACK_QUEUE_DEPTH: bool = false;

    /// Whether a device's queue depth may be no more than what the host started with.
    const LIMIT_QUEUE_DEPTH: bool = false;

    /// Whether a device without tagged commands has a queue depth of 1.
    const DEPTH_NEEDS_TAGS: bool = false;

    /// What the host is, in more words than [`NAME`](Driver::NAME) and with its numbers: for the
    /// kernel's log when the host is registered, and for who asks the SCSI layer. What is longer
    /// than 127 bytes is cut. Without it, it is the name.
    ///
    /// # Errors
    ///
    /// Those of writing it, and then the host is not registered.
    fn info(&self) -> Result<CString> {
        Err(ENOENT)
    }

    /// Carries a command out, or begins to. In atomic context.
    ///
    /// # Errors
    ///
    /// The command itself, if it is to be tried again later.
    fn queue_command(&self, command: Command<Self>) -> core::result::Result<(), Busy<Self>>;

    /// No more commands come for now on the hardware queue `queue`, though none was the last.
    fn commit(&self, _queue: u16) {}

    /// Completes what is done on a hardware queue that is polled. Returns how many there were.
    fn poll(&self, _queue: u16) -> usize {
        0
    }

    /// Says which CPU uses which hardware queue. Without it, the SCSI layer decides.
    fn map_queues(&self, _maps: &mut QueueMaps<'_>) {}

    /// Ends a command that the driver has. Sleeps.
    ///
    /// A command that [is not in flight](EhCommand::tag_if_in_flight) may just be on its way
    /// back: between having seen that and returning [`Recovery::Success`], the driver has to pass
    /// the lock under which it completes commands. The same goes for a reset.
    ///
    /// [`Recovery::Success`] means that the driver does not have the command any more; the
    /// wrapper says [`Recovery::Failed`] if it does.
    fn abort(&self, _command: &EhCommand<'_, Self>) -> Recovery {
        Recovery::Failed
    }

    /// Resets the device that a command is for. Sleeps.
    fn reset_device(&self, _command: &EhCommand<'_, Self>) -> Recovery {
        Recovery::Failed
    }

    /// Resets the bus, that is all devices of the host. Sleeps.
    ///
    /// What is said of a command here goes for all of the host's: success means that the driver has
    /// none of them any more.
    fn reset_bus(&self, _command: &EhCommand<'_, Self>) -> Recovery {
        Recovery::Failed
    }

    /// Resets the host itself, the last resort. Sleeps. As for [`reset_bus`](Driver::reset_bus).
    fn reset_host(&self, _command: &EhCommand<'_, Self>) -> Recovery {
        Recovery::Failed
    }

    /// What to do with a command that takes longer than it should. Must not sleep.
    fn timed_out(&self) -> Timeout {
        Timeout::Recover
    }

    /// A device is about to be looked for.
    fn init_device(_device: &mut DeviceSetup<'_>) {}

    /// A device was found, and is about to be used.
    fn configure_device(&self, _device: &mut DeviceConfig<'_>) {}

    /// What a disk of so many sectors of 512 bytes has of heads, sectors and cylinders, for
    /// programs that ask for that.
    fn geometry(_sectors: u64) -> Geometry {
        Geometry::default()
    }
}

/// The shape that programs of old expect a disk to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// Heads.
    pub heads: u8,
    /// Sectors of a track.
    pub sectors: u8,
    /// Cylinders.
    pub cylinders: u32,
}

/// A device that is about to be looked for.
///
/// # Invariants
///
/// `sdev` is a valid device during `'a`, and its settings are not used by others yet.
pub struct DeviceSetup<'a> {
    sdev: *mut bindings::scsi_device,
    _borrow: PhantomData<&'a mut ()>,
}

impl DeviceSetup<'_> {
    /// # Safety
    ///
    /// `sdev` must be valid for as long as what is returned, and be set up by the caller only.
    pub(super) unsafe fn new(sdev: *mut bindings::scsi_device) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            sdev,
            _borrow: PhantomData,
        }
    }

    /// Has the vital product data pages read even from a device that seems too old for them.
    pub fn try_vital_product_data(&mut self) {
        // SAFETY: Valid by the type invariant, and the field is a setting.
        unsafe { (*self.sdev).sdev_bflags |= bindings::BLIST_TRY_VPD_PAGES };
    }

    /// Has the units of its target listed even if it seems too old for that.
    pub fn try_report_luns(&mut self) {
        // SAFETY: As above.
        unsafe { (*self.sdev).sdev_bflags |= bindings::BLIST_REPORTLUN2 };
    }
}

/// A device that was found, and is about to be used.
///
/// # Invariants
///
/// `sdev` is a valid device during `'a`, with a request queue, and its settings are not used by
/// others yet.
pub struct DeviceConfig<'a> {
    sdev: *mut bindings::scsi_device,
    _borrow: PhantomData<&'a mut ()>,
}

impl DeviceConfig<'_> {
    /// # Safety
    ///
    /// `sdev` must be valid for as long as what is returned, with a request queue, and be set up by
    /// the caller only.
    pub(super) unsafe fn new(sdev: *mut bindings::scsi_device) -> Self {
        // INVARIANT: By the safety requirement.
        Self {
            sdev,
            _borrow: PhantomData,
        }
    }

    /// The name of its vendor, with spaces behind it.
    pub fn vendor(&self) -> [u8; 8] {
        // SAFETY: Valid by the type invariant. The name is part of the INQUIRY data, which is there
        // when a device was found.
        let name = unsafe { (*self.sdev).vendor };
        name.first_chunk().copied().unwrap_or_default()
    }

    /// After how many milliseconds a command takes longer than it should.
    pub fn set_timeout(&mut self, timeout: Msecs) {
        // SAFETY: Valid by the type invariant.
        unsafe {
            bindings::blk_queue_rq_timeout(
                (*self.sdev).request_queue,
                msecs_to_jiffies(timeout) as c_uint,
            )
        };
    }

    /// It cannot say which commands it knows.
    pub fn no_report_opcodes(&mut self) {
        // SAFETY: Valid by the type invariant, and the field is a setting.
        unsafe { (*self.sdev).set_no_report_opcodes(1) };
    }

    /// Whether WRITE SAME is never sent to it.
    pub fn set_no_write_same(&mut self, never: bool) {
        // SAFETY: As above.
        unsafe { (*self.sdev).set_no_write_same(never.into()) };
    }

    /// It is to be taken for one of SPC-3, whatever it says.
    pub fn claim_spc_3(&mut self) {
        // SAFETY: As above.
        unsafe { (*self.sdev).scsi_level = bindings::SCSI_SPC_3 as c_char };
    }
}
