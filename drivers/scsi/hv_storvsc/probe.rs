// SPDX-License-Identifier: GPL-2.0

//! How a device is set up, and how it is left.

use crate::{
    handshake,
    hba::Hba,
    reset::{
        self,
        Breakable, //
    },
    settings::{
        self,
        Kind,
        Level,
        Settings,
        PAGE, //
    }, //
};
use guest::{
    cpus,
    scsi::{
        self,
        fibre_channel::{
            Names,
            Transport, //
        },
        Unit, //
    },
    vmbus, //
};
use kernel::{
    device::{
        self,
        Core, //
    },
    prelude::*,
    sync::Arc, //
};
use protocol::{
    storvsp::{
        packet::WorldWideNames,
        request::MAX_CDB_SIZE, //
    },
    vmbus::{
        class,
        Guid, //
    }, //
};

guest::vmbus_device_table!(
    DEVICES,
    [
        vmbus::DeviceId::new(class::SCSI),
        vmbus::DeviceId::new(class::IDE),
        vmbus::DeviceId::new(class::FIBRE_CHANNEL),
    ]
);

/// Where the ports of Fibre Channel are shown.
pub(crate) static FIBRE_CHANNEL: Transport = Transport::new();

/// What a channel is opened with: properties that are all zero.
const USER_DATA: &[u8] = &[0; 24];

/// Most bytes of a packet. Answers are shorter, but one that is longer than this breaks the ring.
const MAX_PACKET: u32 = PAGE;

/// Commands of each unit, as many as the host as a whole has at most.
const COMMANDS_PER_DEVICE: u32 = 2048;

/// The driver.
pub(crate) struct Storvsc;

/// A device that is driven.
pub(crate) struct Bound {
    hba: Arc<Hba>,
    // Dropped in this order: there are commands until the host is removed.
    _host: scsi::Host<Hba>,
    _breakable: Breakable,
}

impl Drop for Bound {
    /// What a device has that the host has taken away does not come back, so it fails first.
    /// Otherwise commands go on until the host is removed, which follows as a field; the channels
    /// are closed with the binding.
    fn drop(&mut self) {
        self.hba.leave();
        if self.hba.channels.is_rescinded() {
            self.hba.channels.stop();
        }
        self.hba.as_arc_borrow().stop_follow_ups();
    }
}

impl vmbus::Driver for Storvsc {
    type Data = Bound;
    type Handler = Hba;

    const ID_TABLE: vmbus::IdTable = &DEVICES;
    const PROBE_ASYNC: bool = true;

    fn probe(
        dev: &vmbus::Device<Core<'_>>,
        channels: &Arc<vmbus::Channels<Hba>>,
    ) -> Result<Pin<KBox<Bound>>> {
        let bus_device: &device::Device<Core<'_>> = dev.as_ref();
        let kind = Kind::of(dev.class());
        if settings::forget_bad_queues(cpus::present()) && Level::Warning.is_logged() {
            dev_warn!(bus_device, "more hardware queues than CPUs: one for each\n");
        }
        let settings = Settings::new(kind, cpus::online(), cpus::present());
        dev.set_dma_min_align_mask(PAGE.wrapping_sub(1));

        let hba = Hba::new(bus_device, channels, kind)?;
        let plan = vmbus::Plan {
            ring_size: settings.ring_size,
            max_packet: MAX_PACKET,
            user_data: USER_DATA,
        };
        let commands = settings.queues.saturating_mul(settings.queue_depth);
        channels.open(hba.clone(), plan, commands as usize)?;
        let agreed = handshake::run(&hba)?;
        hba.set_version(agreed.version);
        let (major, minor) = agreed.version.parts();
        dev_info!(
            bus_device,
            "version {}.{}, {} sub-channels\n",
            major,
            minor,
            agreed.sub_channels
        );

        let max_transfer = agreed.properties.max_transfer_bytes.get();
        let limits = host_limits(kind, &settings, max_transfer);
        if limits.sectors == 0 {
            hba.complain(
                "less than a page of data a command, bytes",
                max_transfer.into(),
            );
            return Err(EINVAL);
        }
        let breakable = Breakable::new(hba.clone());
        let host = match agreed.names {
            None => scsi::Host::register(bus_device, hba.clone(), &limits)?,
            Some(names) => {
                let (driver, names) = (hba.clone(), in_use(names));
                scsi::Host::register_port(bus_device, driver, &limits, &FIBRE_CHANNEL, names)?
            }
        };
        let reference = host.reference();
        let bound = Bound {
            hba,
            _host: host,
            _breakable: breakable,
        };
        let bound = KBox::pin(bound, GFP_KERNEL)?;
        match kind {
            Kind::Ide => reference.add(ide_unit(dev.instance()))?,
            Kind::Scsi | Kind::FibreChannel => reference.scan(),
        }
        bound.hba.as_arc_borrow().start_follow_ups(reference);
        Ok(bound)
    }

    /// The SCSI layer has let all commands finish before.
    fn suspend(data: Pin<&Bound>) -> Result {
        reset::drain(&data.hba).map_err(|_| EBUSY)
    }

    fn resume(data: Pin<&Bound>) -> Result {
        let agreed = handshake::run(&data.hba)?;
        data.hba.set_version(agreed.version);
        if let Some(names) = agreed.names {
            data.hba.as_arc_borrow().rename(in_use(names));
        }
        Ok(())
    }
}

/// The names of the port that is in use.
pub(crate) fn in_use(names: WorldWideNames) -> Names {
    let active = names.active();
    Names {
        node: active.node,
        port: active.port,
    }
}

/// The only unit of an IDE controller: its instance says which target that is.
fn ide_unit(instance: Guid) -> Unit {
    let [_, _, _, _, low, high, ..] = instance.0;
    Unit {
        id: u16::from_le_bytes([low, high]).into(),
        ..Unit::FIRST
    }
}

/// What the SCSI layer may do with the device.
fn host_limits(kind: Kind, settings: &Settings, allowed: u32) -> scsi::Limits {
    let max_transfer = settings.max_transfer(kind, allowed);
    let (channels, targets, luns) = kind.addresses();
    scsi::Limits {
        queues: settings.queues,
        maps: scsi::QueueKind::Default.maps(),
        queue_depth: settings.queue_depth,
        commands_per_device: COMMANDS_PER_DEVICE,
        // One more, as the data may begin inside of a page.
        segments: u16::try_from(max_transfer / PAGE)
            .unwrap_or(u16::MAX)
            .saturating_add(1),
        sectors: max_transfer / 512,
        cdb_len: MAX_CDB_SIZE as u16,
        channels,
        targets,
        luns,
        protection: scsi::Protection::None,
        gap_boundary: PAGE as usize - 1,
        no_write_same: true,
    }
}

#[kunit_tests(hv_storvsc_probe)]
mod tests {
    use super::*;

    #[test]
    fn an_ide_unit_is_named_by_its_instance() {
        let mut instance = Guid([0xff; 16]);
        instance.0[4] = 1;
        instance.0[5] = 0;
        assert_eq!(
            ide_unit(instance),
            Unit {
                id: 1,
                ..Unit::FIRST
            }
        );
    }

    #[test]
    fn kinds_are_told_apart_by_class() {
        assert_eq!(Kind::of(class::SCSI), Kind::Scsi);
        assert_eq!(Kind::of(class::IDE), Kind::Ide);
        assert_eq!(Kind::of(class::FIBRE_CHANNEL), Kind::FibreChannel);
        assert_eq!(Kind::of(class::HEARTBEAT), Kind::Scsi);
    }

    #[test]
    fn limits_are_those_of_the_c_driver() {
        let settings = Settings {
            ring_size: 128 * 1024,
            queues: 4,
            queue_depth: 316,
        };
        let limits = host_limits(Kind::Scsi, &settings, 1 << 20);
        assert_eq!((limits.sectors, limits.segments), (2048, 257));
        assert_eq!((limits.channels, limits.targets, limits.luns), (8, 2, 255));
        let limits = host_limits(Kind::FibreChannel, &settings, 1 << 20);
        assert_eq!((limits.sectors, limits.targets), (1024, 128));
    }
}
