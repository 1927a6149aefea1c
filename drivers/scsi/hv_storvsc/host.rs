// SPDX-License-Identifier: GPL-2.0

//! The callbacks of the SCSI layer.

use crate::{
    command,
    hba::Hba,
    reset, //
};
use guest::scsi::{
    Busy,
    Command,
    DeviceConfig,
    DeviceSetup,
    Driver,
    EhCommand,
    Geometry,
    Recovery,
    Timeout, //
};
use kernel::{
    c_str,
    prelude::*,
    time::Msecs,
    ModuleMetadata,
    ThisModule, //
};
use protocol::storvsp::Version;

/// After what time a command is looked at.
const TIMEOUT_MS: Msecs = 180_000;

#[vtable]
impl Driver for Hba {
    type Private = ();

    const MODULE: ThisModule = <crate::LocalModule as ModuleMetadata>::THIS_MODULE;
    const NAME: &'static CStr = c_str!("storvsc_host_t");
    const PROC_NAME: &'static CStr = c_str!("storvsc_host");
    const TRACK_QUEUE_DEPTH: bool = true;

    fn queue_command(&self, command: Command<Self>) -> Result<(), Busy<Self>> {
        command::submit(self, command)
    }

    fn reset_host(&self, command: &EhCommand<'_, Self>) -> Recovery {
        reset::run(self, command)
    }

    /// The host answers every command in the end. This is different once the driver is to leave,
    /// or when a channel was taken away or broken: then commands are not waited for without end.
    fn timed_out(&self) -> Timeout {
        let is_lossy = self.channels.has_lost_channels() || self.channels.is_broken();
        if self.is_leaving() || is_lossy {
            Timeout::Recover
        } else {
            Timeout::Wait
        }
    }

    /// Hyper-V's units say that they are older than they are, and its CD drives say nothing of use
    /// about themselves but can list units.
    fn init_device(device: &mut DeviceSetup<'_>) {
        device.try_report_luns();
        device.try_vital_product_data();
    }

    fn configure_device(&self, device: &mut DeviceConfig<'_>) {
        device.set_timeout(TIMEOUT_MS);
        device.no_report_opcodes();
        let (is_msft, version) = (device.vendor().starts_with(b"Msft"), self.version());
        device.set_no_write_same(!is_msft || version < Version::V6_2);
        if is_msft && version == Version::V6_0 {
            device.claim_spc_3();
        }
    }

    /// A made-up one, as large as it can be told.
    fn geometry(sectors: u64) -> Geometry {
        let (heads, track) = (255u8, 63u8);
        let cylinder = u64::from(heads).wrapping_mul(track.into());
        Geometry {
            heads,
            sectors: track,
            cylinders: u32::try_from(sectors / cylinder).unwrap_or(0xffff),
        }
    }
}
