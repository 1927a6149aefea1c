// SPDX-License-Identifier: GPL-2.0

//! The callbacks of the SCSI layer.

use crate::{
    command::{
        self,
        Private, //
    },
    hba::Hba,
    task, //
};
use guest::scsi::{
    Busy,
    Command,
    DeviceSetup,
    Driver,
    EhCommand,
    QueueKind,
    QueueMaps,
    Recovery,
    Timeout, //
};
use kernel::{
    c_str,
    prelude::*,
    ModuleMetadata,
    ThisModule, //
};
use protocol::virtio_scsi::FIRST_REQUEST_QUEUE;

#[vtable]
impl Driver for Hba {
    type Private = Private;

    const MODULE: ThisModule = <crate::LocalModule as ModuleMetadata>::THIS_MODULE;
    const NAME: &'static CStr = c_str!("Virtio SCSI HBA");
    const PROC_NAME: &'static CStr = c_str!("virtio_scsi");
    const TRACK_QUEUE_DEPTH: bool = true;
    const LIMIT_QUEUE_DEPTH: bool = true;

    fn queue_command(&self, command: Command<Self>) -> Result<(), Busy<Self>> {
        command::submit(self, command)
    }

    fn commit(&self, queue: u16) {
        if let Some(queue) = self.requests.get(usize::from(queue)) {
            queue.kick();
        }
    }

    fn poll(&self, queue: u16) -> usize {
        self.drain(usize::from(queue))
    }

    fn map_queues(&self, maps: &mut QueueMaps<'_>) {
        let counts = self.counts;
        maps.kind(QueueKind::Default, 0, counts.interrupt)
            .follow_interrupts(FIRST_REQUEST_QUEUE.into());
        maps.kind(QueueKind::Poll, counts.interrupt, counts.polled)
            .spread();
    }

    fn abort(&self, command: &EhCommand<'_, Self>) -> Recovery {
        task::abort(self, command)
    }

    fn reset_device(&self, command: &EhCommand<'_, Self>) -> Recovery {
        task::reset(self, command)
    }

    fn reset_host(&self, command: &EhCommand<'_, Self>) -> Recovery {
        task::give_up(self, command)
    }

    /// The device answers every command in the end. If it takes long, it has its own troubles,
    /// which giving up here would not mend. This is different once the driver is to leave, or
    /// when a queue turns out to be broken: then commands are not waited for without end.
    fn timed_out(&self) -> Timeout {
        if self.is_leaving() {
            return Timeout::Recover;
        }
        if self.is_broken() {
            self.stop_soon();
        }
        Timeout::Wait
    }

    /// A passed-through unit may have limits that the hypervisor can only tell in the vital
    /// product data, however old the unit says it is.
    fn init_device(device: &mut DeviceSetup<'_>) {
        device.try_vital_product_data();
    }
}
