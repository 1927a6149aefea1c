// SPDX-License-Identifier: GPL-2.0

//! The host template: the C side of a [`Driver`].
//!
//! It is a constant of the driver's type, because the SCSI layer looks at it for as long as
//! anybody has a reference to a host, which may be longer than the driver has it.

use super::{
    command::Slot,
    host::HostData,
    Command,
    DeviceConfig,
    DeviceSetup,
    Driver,
    EhCommand,
    QueueMaps,
    Recovery,
    Timeout, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::prelude::*;

/// The bit of `track_queue_depth` in the template; [`check`](Template::check) verifies it.
const TRACK_QUEUE_DEPTH: u8 = 1 << 1;

pub(super) struct Template<T>(PhantomData<T>);

impl<T: Driver> Template<T> {
    /// The template for all hosts of `T`.
    pub(super) const VALUE: &'static bindings::scsi_host_template = &Self::template();

    const fn template() -> bindings::scsi_host_template {
        bindings::scsi_host_template {
            module: T::MODULE.as_ptr(),
            name: kernel::str::as_char_ptr_in_const_context(T::NAME),
            proc_name: kernel::str::as_char_ptr_in_const_context(T::PROC_NAME),
            this_id: -1,
            cmd_size: Slot::<T::Private>::SIZE as u32,
            dma_boundary: T::DMA_BOUNDARY,
            _bitfield_1: bindings::__BindgenBitfieldUnit::new([Self::flags(), 0]),
            init_cmd_priv: Some(Self::init_private),
            queuecommand: Some(Self::queue_command),
            commit_rqs: if T::HAS_COMMIT {
                Some(Self::commit)
            } else {
                None
            },
            mq_poll: if T::HAS_POLL { Some(Self::poll) } else { None },
            map_queues: if T::HAS_MAP_QUEUES {
                Some(Self::map_queues)
            } else {
                None
            },
            change_queue_depth: Some(Self::change_queue_depth),
            eh_abort_handler: if T::HAS_ABORT {
                Some(Self::abort)
            } else {
                None
            },
            eh_device_reset_handler: if T::HAS_RESET_DEVICE {
                Some(Self::reset_device)
            } else {
                None
            },
            eh_bus_reset_handler: if T::HAS_RESET_BUS {
                Some(Self::reset_bus)
            } else {
                None
            },
            eh_host_reset_handler: if T::HAS_RESET_HOST {
                Some(Self::reset_host)
            } else {
                None
            },
            bios_param: if T::HAS_GEOMETRY {
                Some(Self::geometry)
            } else {
                None
            },
            sdev_configure: if T::HAS_CONFIGURE_DEVICE {
                Some(Self::configure_device)
            } else {
                None
            },
            info: if T::HAS_INFO { Some(Self::info) } else { None },
            eh_timed_out: Some(Self::timed_out),
            sdev_init: Some(Self::init_device),
            ..pin_init::zeroed()
        }
    }

    const fn flags() -> u8 {
        if T::TRACK_QUEUE_DEPTH {
            TRACK_QUEUE_DEPTH
        } else {
            0
        }
    }

    /// Whether the template says what the driver does. A bit field cannot be set in a constant
    /// other than by the number of its bit.
    pub(super) fn check() -> Result {
        if (Self::VALUE.track_queue_depth() != 0) != T::TRACK_QUEUE_DEPTH {
            return Err(EINVAL);
        }
        Ok(())
    }

    /// Does nothing, and so keeps the SCSI layer from clearing the slot of each command before it
    /// is queued, flag and all. The slot is zeroed when it is allocated.
    extern "C" fn init_private(_: *mut bindings::Scsi_Host, _: *mut bindings::scsi_cmnd) -> c_int {
        0
    }

    extern "C" fn queue_command(
        shost: *mut bindings::Scsi_Host,
        cmd: *mut bindings::scsi_cmnd,
    ) -> bindings::scsi_qc_status {
        const ACCEPTED: bindings::scsi_qc_status = bindings::scsi_qc_status(0);
        const BUSY: bindings::scsi_qc_status = bindings::scsi_qc_status::SCSI_MLQUEUE_HOST_BUSY;
        // SAFETY: The SCSI layer passes a valid command of a host with this template.
        let Some(command) = (unsafe { Command::<T>::take(cmd) }) else {
            // The error handling sends a command again that a device has not returned.
            return BUSY;
        };
        // SAFETY: Commands only come while the host is registered.
        match unsafe { HostData::<T>::driver(shost) }.queue_command(command) {
            Ok(()) => ACCEPTED,
            Err(busy) if busy.is(cmd) => {
                busy.refuse();
                BUSY
            }
            // Another command than the one that was to be queued: it fails, as one that is lost.
            Err(_) => ACCEPTED,
        }
    }

    extern "C" fn commit(shost: *mut bindings::Scsi_Host, queue: u16) {
        // SAFETY: Hardware queues only run while the host is registered.
        unsafe { HostData::<T>::driver(shost) }.commit(queue);
    }

    extern "C" fn poll(shost: *mut bindings::Scsi_Host, queue: c_uint) -> c_int {
        // SAFETY: Hardware queues are only polled while the host is registered.
        let count = unsafe { HostData::<T>::driver(shost) }.poll(queue as u16);
        c_int::try_from(count).unwrap_or(c_int::MAX)
    }

    extern "C" fn map_queues(shost: *mut bindings::Scsi_Host) {
        // SAFETY: Queues are mapped while the host is being registered. The SCSI layer passes the
        // host, whose maps are nobody else's meanwhile.
        unsafe { HostData::<T>::driver(shost).map_queues(&mut QueueMaps::new(shost)) };
    }

    extern "C" fn change_queue_depth(sdev: *mut bindings::scsi_device, depth: c_int) -> c_int {
        // SAFETY: The SCSI layer passes a valid device, which has a host.
        let limit = c_int::from(unsafe { (*(*sdev).host).cmd_per_lun });
        // SAFETY: As above.
        let untagged = T::DEPTH_NEEDS_TAGS && unsafe { (*sdev).tagged_supported() } == 0;
        let depth = match depth {
            _ if untagged => 1,
            depth if T::LIMIT_QUEUE_DEPTH => depth.min(limit),
            depth => depth,
        };
        // SAFETY: As above.
        unsafe { bindings::scsi_change_queue_depth(sdev, depth) }
    }

    extern "C" fn abort(cmd: *mut bindings::scsi_cmnd) -> c_int {
        // SAFETY: The SCSI layer passes a valid command of a host with this template.
        unsafe { Self::recover(cmd, T::abort) }
    }

    extern "C" fn reset_device(cmd: *mut bindings::scsi_cmnd) -> c_int {
        // SAFETY: The SCSI layer passes a valid command of a host with this template.
        unsafe { Self::recover(cmd, T::reset_device) }
    }

    extern "C" fn reset_bus(cmd: *mut bindings::scsi_cmnd) -> c_int {
        // SAFETY: The SCSI layer passes a valid command of a host with this template.
        unsafe { Self::recover(cmd, T::reset_bus) }
    }

    extern "C" fn reset_host(cmd: *mut bindings::scsi_cmnd) -> c_int {
        // SAFETY: The SCSI layer passes a valid command of a host with this template.
        unsafe { Self::recover(cmd, T::reset_host) }
    }

    extern "C" fn configure_device(
        sdev: *mut bindings::scsi_device,
        _limits: *mut bindings::queue_limits,
    ) -> c_int {
        // SAFETY: The SCSI layer passes a valid device, with its queue, which it sets up in this
        // thread only, of a host that is registered.
        unsafe {
            HostData::<T>::driver((*sdev).host).configure_device(&mut DeviceConfig::new(sdev));
        }
        0
    }

    extern "C" fn geometry(
        _sdev: *mut bindings::scsi_device,
        _disk: *mut bindings::gendisk,
        sectors: bindings::sector_t,
        to: *mut c_int,
    ) -> c_int {
        let geometry = T::geometry(sectors);
        let cylinders = c_int::try_from(geometry.cylinders).unwrap_or(c_int::MAX);
        // SAFETY: There is room for three numbers.
        unsafe {
            *to.cast() = [geometry.heads.into(), geometry.sectors.into(), cylinders];
        }
        0
    }

    extern "C" fn info(shost: *mut bindings::Scsi_Host) -> *const c_char {
        // SAFETY: The SCSI layer passes a valid host with this template.
        unsafe { HostData::<T>::info(shost) }
    }

    /// Runs an EH callback, and does not believe in success while the driver has the command:
    /// the SCSI layer would use its memory again, and the device, too.
    ///
    /// # Safety
    ///
    /// `cmd` must be a valid command of a host with this template.
    unsafe fn recover(
        cmd: *mut bindings::scsi_cmnd,
        callback: impl FnOnce(&T, &EhCommand<'_, T>) -> Recovery,
    ) -> c_int {
        // SAFETY: By the safety requirement; a command has a device, and that a host.
        let (command, shost) = unsafe {
            let command = EhCommand::<T>::new(NonNull::new_unchecked(cmd));
            (command, (*(*cmd).device).host)
        };
        // SAFETY: The host has this template.
        let recovery = match unsafe { HostData::<T>::upgrade(shost) } {
            Some(driver) => callback(&driver, &command),
            None => Recovery::Failed,
        };
        let result = match recovery {
            Recovery::Success if command.tag_if_in_flight().is_none() => {
                bindings::scsi_disposition_SUCCESS
            }
            _ => bindings::scsi_disposition_FAILED,
        };
        result as c_int
    }

    extern "C" fn timed_out(cmd: *mut bindings::scsi_cmnd) -> bindings::scsi_timeout_action {
        // SAFETY: The SCSI layer passes a valid command of a host with this template, which stays
        // registered as long as it has commands.
        let driver = unsafe { HostData::<T>::driver((*(*cmd).device).host) };
        match driver.timed_out() {
            Timeout::Wait => bindings::scsi_timeout_action::SCSI_EH_RESET_TIMER,
            Timeout::Recover => bindings::scsi_timeout_action::SCSI_EH_NOT_HANDLED,
        }
    }

    extern "C" fn init_device(sdev: *mut bindings::scsi_device) -> c_int {
        // SAFETY: The SCSI layer passes a valid device, which it sets up in this thread only.
        T::init_device(&mut unsafe { DeviceSetup::new(sdev) });
        0
    }
}
