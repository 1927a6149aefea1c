// SPDX-License-Identifier: GPL-2.0

//! The configuration space of a virtio-scsi device.

use core::mem::offset_of;
use guest::virtio;
use kernel::{
    device::Bound,
    prelude::*, //
};
use protocol::virtio_scsi::{
    Config,
    CDB_SIZE,
    SENSE_SIZE, //
};
use zerocopy::little_endian::U32;

/// Reads the configuration space.
///
/// # Errors
///
/// `EINVAL` if there is none, `EAGAIN` if it does not stop changing.
pub(crate) fn read(dev: &virtio::Device<Bound>) -> Result<Config> {
    dev.config()?.snapshot(|config| Config {
        num_queues: config.read(offset_of!(Config, num_queues)),
        seg_max: config.read(offset_of!(Config, seg_max)),
        max_sectors: config.read(offset_of!(Config, max_sectors)),
        cmd_per_lun: config.read(offset_of!(Config, cmd_per_lun)),
        event_info_size: config.read(offset_of!(Config, event_info_size)),
        sense_size: config.read(offset_of!(Config, sense_size)),
        cdb_size: config.read(offset_of!(Config, cdb_size)),
        max_channel: config.read(offset_of!(Config, max_channel)),
        max_target: config.read(offset_of!(Config, max_target)),
        max_lun: config.read(offset_of!(Config, max_lun)),
    })
}

/// Tells the device the sizes of the fields in requests and responses that we use.
///
/// # Errors
///
/// `EINVAL` if there is no configuration space, `EOPNOTSUPP` if it cannot be written.
pub(crate) fn write_sizes(dev: &virtio::Device<Bound>) -> Result {
    let config = dev.config()?;
    config.write(offset_of!(Config, cdb_size), U32::new(CDB_SIZE as u32))?;
    config.write(offset_of!(Config, sense_size), U32::new(SENSE_SIZE as u32))
}
