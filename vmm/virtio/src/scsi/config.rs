// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What the host can be told by its machine, and its configuration space
//! (VIRTIO 1.3, section 5.6.4).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use hospes_device::limit::{warn_limited, RateLimit};
use hospes_scsi::AioMode;
use protocol::virtio_scsi::lun::FLAT_SPACE;
use protocol::virtio_scsi::{config::Config, Event, CDB_SIZE, F_T10_PI, SENSE_SIZE};
use thiserror::Error;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromBytes, IntoBytes};

use crate::fault::{ConfigField, FaultKind};
use crate::queue::MAX_SEGMENTS;

/// Most request queues of one host.
pub const MAX_REQUEST_QUEUES: u16 = 256;

/// Longest sense data there can be (SPC-5, section 4.4).
pub(super) const MAX_SENSE_SIZE: usize = 252;

/// Settings of a SCSI host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScsiConfig {
    /// Begins the names of its threads.
    pub name: String,
    /// Number of request queues, 1 to [`MAX_REQUEST_QUEUES`]. One for each CPU
    /// of the guest lets them all work without sharing.
    pub request_queues: u16,
    /// Size of every queue: a power of two, 4 to 1024.
    pub queue_size: u16,
    /// Most data segments of a command; `None` for as many as a queue holds
    /// beside the two headers.
    pub seg_max: Option<u32>,
    /// Largest transfer of a command, in sectors of 512 bytes.
    pub max_sectors: u32,
    /// Most commands that a driver should have in flight to one unit.
    pub cmd_per_lun: u32,
    /// Highest target number.
    pub max_target: u16,
    /// How accesses to disks are made that have to wait.
    pub aio: AioMode,
    /// Offer to carry protection information (T10-PI) beside the data.
    pub protection: bool,
}

impl Default for ScsiConfig {
    fn default() -> Self {
        Self {
            name: "scsi".to_owned(),
            request_queues: 1,
            queue_size: 256,
            seg_max: None,
            max_sectors: 0xffff,
            cmd_per_lun: 128,
            max_target: 255,
            aio: AioMode::default(),
            protection: false,
        }
    }
}

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{key}={value}: must be {allowed}")]
pub struct ConfigError {
    /// The setting.
    pub key: &'static str,
    /// Its value.
    pub value: u32,
    /// What it may be.
    pub allowed: String,
}

impl ScsiConfig {
    /// The number of data segments that is offered.
    pub fn segments(&self) -> u32 {
        self.seg_max
            .unwrap_or(u32::from(self.queue_size).saturating_sub(2))
    }

    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for the first that is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        // Headers take a descriptor each.
        let segments = u32::try_from(MAX_SEGMENTS)
            .unwrap_or(u32::MAX)
            .saturating_sub(2);
        in_range(
            "queues",
            self.request_queues.into(),
            1,
            MAX_REQUEST_QUEUES.into(),
        )?;
        in_range("queue_size", self.queue_size.into(), 4, 1024)?;
        in_range("seg_max", self.segments(), 1, segments)?;
        in_range("max_sectors", self.max_sectors, 1, u32::MAX)?;
        in_range("cmd_per_lun", self.cmd_per_lun, 1, u32::MAX)?;
        in_range("max_target", self.max_target.into(), 0, 255)?;
        if self.queue_size.is_power_of_two() {
            return Ok(());
        }
        let (key, value) = ("queue_size", self.queue_size.into());
        Err(ConfigError {
            key,
            value,
            allowed: "a power of two".to_owned(),
        })
    }
}

fn in_range(key: &'static str, value: u32, low: u32, high: u32) -> Result<(), ConfigError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ConfigError {
        key,
        value,
        allowed: format!("{low} to {high}"),
    })
}

/// The configuration space.
pub(super) struct ConfigSpace {
    fixed: Config,
    sense_size: AtomicU32,
    cdb_size: AtomicU32,
    /// Whether the driver accepted protection information.
    protection: AtomicBool,
    warnings: RateLimit,
}

/// The form of requests that driver and device agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FieldSizes {
    /// Sense data in a response.
    pub(super) sense: usize,
    /// Command descriptor block in a request.
    pub(super) cdb: usize,
    /// Whether the header has the lengths of protection information.
    pub(super) protection: bool,
}

impl ConfigSpace {
    pub(super) fn new(config: &ScsiConfig) -> Self {
        let fixed = Config {
            num_queues: U32::new(config.request_queues.into()),
            seg_max: U32::new(config.segments()),
            max_sectors: U32::new(config.max_sectors),
            cmd_per_lun: U32::new(config.cmd_per_lun),
            event_info_size: U32::new(size_of::<Event>() as u32),
            max_target: U16::new(config.max_target),
            max_lun: U32::new(u32::from(FLAT_SPACE).saturating_sub(1)),
            ..Config::default()
        };
        let space = Self {
            fixed,
            sense_size: AtomicU32::new(0),
            cdb_size: AtomicU32::new(0),
            protection: AtomicBool::new(false),
            warnings: RateLimit::default(),
        };
        space.reset();
        space
    }

    /// A driver accepted these features.
    pub(super) fn start(&self, features: u64) {
        let protection = features & (1 << F_T10_PI) != 0;
        self.protection.store(protection, Ordering::Relaxed);
    }

    /// Back to the default sizes.
    pub(super) fn reset(&self) {
        self.protection.store(false, Ordering::Relaxed);
        self.sense_size.store(SENSE_SIZE as u32, Ordering::Relaxed);
        self.cdb_size.store(CDB_SIZE as u32, Ordering::Relaxed);
    }

    pub(super) fn field_sizes(&self) -> FieldSizes {
        FieldSizes {
            sense: self.sense_size.load(Ordering::Relaxed) as usize,
            cdb: self.cdb_size.load(Ordering::Relaxed) as usize,
            protection: self.protection.load(Ordering::Relaxed),
        }
    }

    /// Reads, with fields overridden as `faults` say.
    pub(super) fn read(&self, offset: u64, data: &mut [u8], faults: &[FaultKind]) {
        let mut image = self.image();
        for fault in faults {
            pretend(&mut image, fault);
        }
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        data.fill(0);
        for (to, from) in data.iter_mut().zip(image.as_bytes().iter().skip(start)) {
            *to = *from;
        }
    }

    /// Takes what a driver writes, where it may write and the value is usable.
    pub(super) fn write(&self, offset: u64, data: &[u8]) {
        let mut bytes = [0; size_of::<Config>()];
        bytes.copy_from_slice(self.image().as_bytes());
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        for (to, from) in bytes.iter_mut().skip(start).zip(data) {
            *to = *from;
        }
        let Ok(new) = Config::read_from_bytes(&bytes) else {
            return;
        };
        let (sense, cdb) = (new.sense_size.get(), new.cdb_size.get());
        self.set(
            "sense_size",
            &self.sense_size,
            sense,
            0..=MAX_SENSE_SIZE as u32,
        );
        self.set("cdb_size", &self.cdb_size, cdb, 1..=CDB_SIZE as u32);
    }

    fn set(
        &self,
        name: &str,
        field: &AtomicU32,
        value: u32,
        allowed: std::ops::RangeInclusive<u32>,
    ) {
        if allowed.contains(&value) {
            field.store(value, Ordering::Relaxed);
        } else {
            warn_limited!(
                self.warnings,
                value,
                "driver wants a {name} that is not supported"
            );
        }
    }

    fn image(&self) -> Config {
        Config {
            sense_size: U32::new(self.sense_size.load(Ordering::Relaxed)),
            cdb_size: U32::new(self.cdb_size.load(Ordering::Relaxed)),
            ..self.fixed
        }
    }
}

/// Overrides a field, if that is the fault.
fn pretend(image: &mut Config, fault: &FaultKind) {
    let FaultKind::Config { field, value, .. } = *fault else {
        return;
    };
    let (long, short) = (U32::new(value), U16::new(value as u16));
    match field {
        ConfigField::NumQueues => image.num_queues = long,
        ConfigField::SegMax => image.seg_max = long,
        ConfigField::MaxSectors => image.max_sectors = long,
        ConfigField::CmdPerLun => image.cmd_per_lun = long,
        ConfigField::EventInfoSize => image.event_info_size = long,
        ConfigField::SenseSize => image.sense_size = long,
        ConfigField::CdbSize => image.cdb_size = long,
        ConfigField::MaxChannel => image.max_channel = short,
        ConfigField::MaxTarget => image.max_target = short,
        ConfigField::MaxLun => image.max_lun = long,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn space() -> ConfigSpace {
        ConfigSpace::new(&ScsiConfig::default())
    }

    fn sizes(sense: usize, cdb: usize) -> FieldSizes {
        let protection = false;
        FieldSizes {
            sense,
            cdb,
            protection,
        }
    }

    fn read_u32(space: &ConfigSpace, offset: u64) -> u32 {
        let mut data = [0; 4];
        space.read(offset, &mut data, &[]);
        u32::from_le_bytes(data)
    }

    #[test]
    fn defaults() {
        let space = space();
        let expected = [
            (0, 1),
            (4, 254),
            (8, 0xffff),
            (12, 128),
            (16, 16),
            (20, 96),
            (24, 32),
            (32, 16383),
        ];
        for (offset, value) in expected {
            assert_eq!(read_u32(&space, offset), value, "at {offset}");
        }
        assert_eq!(read_u32(&space, 28), 255 << 16);
        assert_eq!(read_u32(&space, 36), 0);
    }

    #[test]
    fn only_sizes_can_be_written_and_only_to_what_works() {
        let space = space();
        space.write(20, &64_u32.to_le_bytes());
        space.write(24, &16_u32.to_le_bytes());
        assert_eq!(space.field_sizes(), sizes(64, 16));
        space.write(20, &4096_u32.to_le_bytes());
        space.write(24, &0_u32.to_le_bytes());
        space.write(0, &9_u32.to_le_bytes());
        assert_eq!(space.field_sizes(), sizes(64, 16));
        assert_eq!(read_u32(&space, 0), 1);
        space.reset();
        assert_eq!(space.field_sizes(), sizes(96, 32));
    }

    #[test]
    fn a_fault_overrides_one_field() {
        let (space, mut data) = (space(), [0; 36]);
        let (field, notify) = (ConfigField::MaxTarget, false);
        let fault = FaultKind::Config {
            field,
            value: 0x1_0003,
            notify,
        };
        space.read(0, &mut data, &[fault]);
        assert_eq!(data[30..32], [3, 0]);
        let mut true_data = [0; 36];
        space.read(0, &mut true_data, &[]);
        assert_eq!(data[..30], true_data[..30]);
        assert_eq!(data[32..], true_data[32..]);
    }

    #[test]
    fn bad_settings_are_named() {
        let config = ScsiConfig {
            queue_size: 100,
            ..ScsiConfig::default()
        };
        let error = config.check().unwrap_err().to_string();
        assert_eq!(error, "queue_size=100: must be a power of two");
        let config = ScsiConfig {
            request_queues: 0,
            ..ScsiConfig::default()
        };
        assert_eq!(
            config.check().unwrap_err().to_string(),
            "queues=0: must be 1 to 256"
        );
        ScsiConfig::default().check().unwrap();
    }

    proptest! {
        #[test]
        fn any_access_leaves_usable_sizes(
            accesses in prop::collection::vec((0_u64..64, prop::collection::vec(any::<u8>(), 0..9)), 0..20)
        ) {
            let space = space();
            for (offset, mut data) in accesses {
                space.write(offset, &data);
                space.read(offset, &mut data, &[]);
                let sizes = space.field_sizes();
                prop_assert!(sizes.sense <= MAX_SENSE_SIZE);
                prop_assert!((1..=CDB_SIZE).contains(&sizes.cdb));
            }
        }
    }
}
