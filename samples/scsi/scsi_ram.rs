// SPDX-License-Identifier: GPL-2.0

//! The smallest SCSI host: one disk of 4 MiB in memory, without any hardware.

#![deny(unsafe_code)]

use core::ops::Range;
use guest::scsi::{self, Busy, Command, HostByte, Status, Unit};
use kernel::{c_str, faux, new_spinlock, prelude::*, sync::Arc, sync::SpinLock, ModuleMetadata};
use protocol::scsi::cdb::{BlockRange, Cdb};
use protocol::scsi::inquiry::{DeviceType, Names, Qualifier, StandardInquiry};
use protocol::scsi::sense::{asc, Format, Sense};
use zerocopy::{big_endian::U32, IntoBytes};

const BLOCK: usize = 512;
const BLOCKS: u32 = 8192;

const NAMES: Names = Names {
    vendor: *b"HOSPES  ",
    product: *b"RAM DISK SAMPLE ",
    revision: *b"1   ",
};

/// The host, which is the disk at the same time.
#[pin_data]
struct Ram {
    #[pin]
    contents: SpinLock<VVec<u8>>,
}

impl Ram {
    /// Carries a command out. Returns how much data was moved.
    fn execute(&self, command: &mut Command<Self>) -> Result<usize, Sense> {
        let mut contents = self.contents.lock();
        let out_of_range = Sense::illegal(asc::LOGICAL_BLOCK_ADDRESS_OUT_OF_RANGE);
        Ok(match Cdb::decode(command.cdb())? {
            Cdb::TestUnitReady => 0,
            Cdb::Inquiry { page: None, .. } => {
                let inquiry = StandardInquiry::new(Qualifier::Connected, DeviceType::Block, NAMES);
                command.write_data(0, inquiry.as_bytes())
            }
            Cdb::ReadCapacity10 => {
                // Both fields are big-endian words, in this order.
                let capacity = [U32::new(BLOCKS - 1), U32::new(BLOCK as u32)];
                command.write_data(0, capacity.as_bytes())
            }
            Cdb::Read(access) => {
                let blocks = contents.get(bytes(access.range)).ok_or(out_of_range)?;
                command.write_data(0, blocks)
            }
            Cdb::Write(access) => {
                let blocks = contents.get_mut(bytes(access.range)).ok_or(out_of_range)?;
                command.read_data(0, blocks)
            }
            _ => return Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE)),
        })
    }
}

fn bytes(range: BlockRange) -> Range<usize> {
    let first = (range.lba as usize).saturating_mul(BLOCK);
    first..first.saturating_add((range.blocks as usize).saturating_mul(BLOCK))
}

#[vtable]
impl scsi::Driver for Ram {
    type Private = ();
    const MODULE: ThisModule = <LocalModule as ModuleMetadata>::THIS_MODULE;
    const NAME: &'static CStr = c_str!("RAM disk sample");
    const PROC_NAME: &'static CStr = c_str!("sample_scsi_ram");

    fn queue_command(&self, mut command: Command<Self>) -> Result<(), Busy<Self>> {
        if command.unit() != Unit::FIRST {
            command.complete(HostByte::BAD_TARGET, Status::GOOD);
            return Ok(());
        }
        match self.execute(&mut command) {
            Ok(moved) => {
                command.set_residual(command.data_len().saturating_sub(moved as u32));
                command.complete(HostByte::OK, Status::GOOD);
            }
            Err(sense) => command.check_condition(sense.encode(Format::Fixed).as_slice()),
        }
        Ok(())
    }
}

/// The host goes before the device that it stands on.
struct RamModule {
    _host: scsi::Host<Ram>,
    _device: faux::Registration,
}

impl kernel::Module for RamModule {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        let contents = VVec::from_elem(0u8, BLOCKS as usize * BLOCK, GFP_KERNEL)?;
        let ram = pin_init!(Ram { contents <- new_spinlock!(contents, "Ram::contents") });
        let ram = Arc::pin_init(ram, GFP_KERNEL)?;
        let device = faux::Registration::new(c_str!("sample_scsi_ram"), None)?;
        let host = scsi::Host::register(device.as_ref().as_ref(), ram, &scsi::Limits::SIMPLE)?;
        host.reference().scan();
        Ok(Self {
            _host: host,
            _device: device,
        })
    }
}

module! {
    type: RamModule,
    name: "sample_scsi_ram",
    authors: ["The Hospes authors"],
    description: "Sample: the smallest SCSI host",
    license: "GPL",
}
