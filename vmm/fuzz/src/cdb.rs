// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI commands.
//!
//! The first byte chooses a device. Then, again and again: length of a command
//! descriptor block, task attribute and kind of protection buffers, lengths of
//! data-in and data-out in units of 16 bytes, the block, and the data-out.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{mpsc, Arc, OnceLock};

use hospes_device::memory::{GuestMemory, Segment, SgList};
use hospes_scsi::{
    BlockSize, CdRom, CdRomConfig, CdbBytes, Command, DeviceServer, Disk, DiskConfig, Outcome,
    ProtectionBuffers, ProtectionType, Queue, SeparateProtection, Target, TaskAttribute,
    UnitAddress,
};
use protocol::scsi::lun::Lun;
use vm_memory::{Bytes, GuestAddress};

use crate::backing::{self, Memory};
use crate::input::Input;
use crate::machine::{memory, scratch};

/// Where data comes from and goes to, and protection information.
const OUT: u64 = 0;
const IN: u64 = 0x4000;
const PI: u64 = 0x8000;
/// Most commands of a run.
const COMMANDS: usize = 8;

/// Runs commands.
///
/// # Panics
///
/// If a command does not end exactly once, or transfers more than there is.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let target = Target::new();
    let address = UnitAddress { target: 0, lun: 0 };
    let server = server(input.u8());
    target.add(address, server).expect("the first unit");
    let queue = target.queue();
    let memory = guest();
    for _ in 0..COMMANDS {
        if input.is_empty() {
            break;
        }
        let command = command(&mut input, memory);
        let offered = command.data_in.len() + command.data_out.len();
        let ended = execute(&queue, command);
        assert_eq!(ended.len(), 1, "ends exactly once");
        check(&ended[0], offered);
    }
}

/// How often a command ends, and how.
fn execute(queue: &Queue, command: Command) -> Vec<Outcome> {
    let (sender, receiver) = mpsc::channel();
    queue.submit(command, move |outcome| {
        let _ = sender.send(outcome);
    });
    receiver.try_iter().collect()
}

fn check(outcome: &Outcome, offered: u64) {
    if let Outcome::Completed(response) = outcome {
        assert!(response.transferred <= offered, "{response:?} of {offered}");
        assert_eq!(response.transferred + response.residual, offered);
        assert_eq!(response.status == 2, !response.sense.as_slice().is_empty());
    }
}

fn guest() -> &'static GuestMemory {
    static MEMORY: OnceLock<GuestMemory> = OnceLock::new();
    MEMORY.get_or_init(|| memory(0x1_0000))
}

fn server(choice: u8) -> Box<dyn DeviceServer> {
    let mut config = DiskConfig::new("medium");
    config.serial = "fuzz".to_owned();
    config.read_only = choice & 16 != 0;
    config.thin = choice & 32 == 0;
    if choice & 64 != 0 {
        config.block_size = BlockSize::B4096;
    }
    match choice & 3 {
        0 | 1 => {}
        2 => {
            config.protection = ProtectionType::Type1;
            config.protection_path = Some(protection_file().clone());
        }
        _ => return Box::new(drive(choice & 4 != 0)),
    }
    Box::new(Disk::with_backing(&config, Box::new(Memory)).expect("a disk"))
}

fn drive(is_empty: bool) -> CdRom {
    static IMAGE: OnceLock<PathBuf> = OnceLock::new();
    let image = IMAGE.get_or_init(|| file("image", backing::LEN as u64));
    let config = CdRomConfig {
        path: (!is_empty).then(|| image.clone()),
        ..CdRomConfig::default()
    };
    CdRom::open(&config).expect("a drive")
}

fn protection_file() -> &'static PathBuf {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| file("pi", 0))
}

fn file(name: &str, len: u64) -> PathBuf {
    let path = scratch(name);
    let file = File::create(&path).expect("a scratch file");
    file.set_len(len).expect("some space");
    path
}

fn command(input: &mut Input<'_>, memory: &GuestMemory) -> Command {
    let (len, kind) = (input.u8(), input.u8());
    let (in_len, out_len) = (usize::from(input.u8()) * 16, usize::from(input.u8()) * 16);
    let cdb = CdbBytes::new(input.take(usize::from(len & 31) + 1));
    let out = input.take(out_len);
    memory.write_slice(out, GuestAddress(OUT)).expect("memory");
    Command {
        target: 0,
        lun: Lun::Unit(0),
        tag: 1,
        attribute: match kind & 3 {
            0 => TaskAttribute::Simple,
            1 => TaskAttribute::Ordered,
            2 => TaskAttribute::HeadOfQueue,
            _ => TaskAttribute::Aca,
        },
        cdb,
        data_out: list(memory, OUT, out_len),
        data_in: list(memory, IN, in_len),
        protection: protection(kind, memory),
    }
}

fn protection(kind: u8, memory: &GuestMemory) -> ProtectionBuffers {
    match kind >> 6 {
        0 => ProtectionBuffers::Interleaved,
        1 => ProtectionBuffers::Stripped,
        _ => ProtectionBuffers::Separate(Box::new(SeparateProtection {
            out: list(memory, PI, usize::from(kind & 0x3c) * 4),
            input: list(memory, PI, usize::from(kind & 0x3c) * 4),
        })),
    }
}

fn list(memory: &GuestMemory, start: u64, len: usize) -> SgList {
    let address = GuestAddress(start);
    let len = u32::try_from(len).unwrap_or(0);
    let segments = if len == 0 {
        vec![]
    } else {
        vec![Segment { address, len }]
    };
    SgList::new(&Arc::clone(memory), segments).expect("in memory")
}
