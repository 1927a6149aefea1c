// SPDX-License-Identifier: GPL-2.0

//! How a device is set up, and how it is left.

use crate::{
    config,
    hba::{
        Hba,
        QueueCounts, //
    }, //
};
use guest::{
    counters::Counters,
    scsi,
    virtio, //
};
use kernel::{
    c_str,
    device::{
        self,
        Core, //
    },
    prelude::*,
    sync::Arc, //
};
use protocol::virtio_scsi::{
    Limits,
    CDB_SIZE,
    DEVICE_ID,
    F_CHANGE,
    F_HOTPLUG,
    F_T10_PI, //
};

guest::module_param_uint! {
    /// How many of a device's request queues are polled; one at least is not.
    static virtscsi_poll_queues: 0,
    mode: 0o644,
    description: "The number of dedicated virtqueues for polling I/O",
}

guest::virtio_device_table!(DEVICES, [virtio::DeviceId::new(DEVICE_ID)]);

/// The driver.
pub(crate) struct VirtioScsi;

/// A device that is driven.
pub(crate) struct Bound {
    hba: Arc<Hba>,
    _counters: Pin<KBox<Counters<Hba>>>,
    _host: scsi::Host<Hba>,
}

impl Drop for Bound {
    /// Events first, as acting on one may take a reference to what is being removed. The host
    /// follows as a field; it waits for the commands in flight, for which the queues are needed,
    /// which go last, with the binding.
    ///
    /// What is in a broken queue would be waited for without end: such a device is stopped first.
    /// What another device does not return is left to the error handling, once its time is over.
    fn drop(&mut self) {
        self.hba.leave();
        if self.hba.is_broken() {
            self.hba.stop();
        }
        self.hba.as_arc_borrow().stop_events();
    }
}

impl virtio::Driver for VirtioScsi {
    type Data = Bound;
    type Handler = Hba;

    const ID_TABLE: virtio::IdTable = &DEVICES;
    #[cfg(not(CONFIG_BLK_DEV_INTEGRITY))]
    const FEATURES: &'static [u32] = &[F_HOTPLUG, F_CHANGE];
    #[cfg(CONFIG_BLK_DEV_INTEGRITY)]
    const FEATURES: &'static [u32] = &[F_HOTPLUG, F_CHANGE, F_T10_PI];

    fn probe(
        dev: &virtio::Device<Core<'_>>,
        queues: &Arc<virtio::Queues<Hba>>,
    ) -> Result<Pin<KBox<Bound>>> {
        let bus_device: &device::Device<Core<'_>> = dev.as_ref();
        let mut limits = Limits::new(&config::read(dev)?);
        let counts = QueueCounts::new(
            scsi::usable_queues(limits.num_queues),
            virtscsi_poll_queues.get(),
        );
        let hba = Hba::new(dev, queues, counts)?;
        config::write_sizes(dev)?;
        queues.attach(hba.clone())?;
        // Half of the descriptors are for protection information, if there may be any.
        let descriptors = match hba.protection {
            true => (hba.ring_size() / 2).saturating_add(1),
            false => hba.ring_size(),
        };
        if !limits.fit(descriptors) {
            dev_err!(bus_device, "rings of {} are too small\n", hba.ring_size());
            return Err(EINVAL);
        }

        let host = scsi::Host::register(bus_device, hba.clone(), &host_limits(&hba, &limits))?;
        let reference = host.reference();
        let bound = Bound {
            _counters: Counters::new(c_str!("virtio_scsi"), bus_device.name(), hba.clone())?,
            hba,
            _host: host,
        };
        let bound = KBox::pin(bound, GFP_KERNEL)?;

        dev.ready();
        bound.hba.start_events(bound._host.reference())?;
        reference.scan();
        Ok(bound)
    }

    fn restore(data: Pin<&Bound>, dev: &virtio::Device<Core<'_>>) -> Result {
        config::write_sizes(dev)?;
        dev.ready();
        data.hba.post_buffers()
    }
}

/// What the SCSI layer may do with the device.
fn host_limits(hba: &Hba, limits: &Limits) -> scsi::Limits {
    scsi::Limits {
        queues: hba.counts.total(),
        maps: hba.counts.maps(),
        queue_depth: hba.ring_size(),
        commands_per_device: limits.commands_per_lun,
        segments: limits.segments,
        sectors: limits.sectors,
        cdb_len: CDB_SIZE as u16,
        channels: 1,
        targets: limits.targets.into(),
        luns: limits.luns.into(),
        protection: if hba.protection {
            scsi::Protection::Crc
        } else {
            scsi::Protection::None
        },
        gap_boundary: 0,
        no_write_same: false,
    }
}
