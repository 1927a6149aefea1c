// SPDX-License-Identifier: GPL-2.0

//! The callbacks of the SCSI layer.

use crate::{
    adapter::Adapter,
    command,
    recovery, //
};
use guest::scsi::{
    Busy,
    Command,
    Driver,
    EhCommand,
    Recovery, //
};
use kernel::{
    c_str,
    prelude::*,
    str::CString,
    ModuleMetadata,
    ThisModule, //
};

#[vtable]
impl Driver for Adapter {
    /// All that is kept with a command is kept by its context.
    type Private = ();

    const MODULE: ThisModule = <crate::LocalModule as ModuleMetadata>::THIS_MODULE;
    const NAME: &'static CStr = c_str!("VMware PVSCSI Host Adapter");
    const PROC_NAME: &'static CStr = c_str!("vmw_pvscsi");
    const DEPTH_NEEDS_TAGS: bool = true;

    fn info(&self) -> Result<CString> {
        let settings = &self.settings;
        CString::try_from_fmt(fmt!(
            "VMware PVSCSI storage adapter rev {}, req/cmp/msg rings: {}/{}/{} pages, cmd_per_lun={}",
            settings.revision,
            settings.ring_pages,
            settings.ring_pages,
            settings.message_pages,
            settings.commands_per_device
        ))
    }

    fn queue_command(&self, command: Command<Self>) -> Result<(), Busy<Self>> {
        command::submit(self, command)
    }

    fn commit(&self, _queue: u16) {
        self.registers.kick(self.state.with(command::due));
    }

    fn abort(&self, command: &EhCommand<'_, Self>) -> Recovery {
        recovery::abort(self, command)
    }

    fn reset_device(&self, command: &EhCommand<'_, Self>) -> Recovery {
        recovery::reset_device(self, command)
    }

    fn reset_bus(&self, command: &EhCommand<'_, Self>) -> Recovery {
        recovery::reset_bus(self, command)
    }

    fn reset_host(&self, command: &EhCommand<'_, Self>) -> Recovery {
        recovery::reset_host(self, command)
    }
}
