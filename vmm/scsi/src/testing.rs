// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A model of a guest and its controller, for tests.

use std::fs::File;
use std::path::Path;
use std::sync::{mpsc, Arc};
use std::time::Duration;

use hospes_device::memory::{GuestMemory, Segment, SgList};
use protocol::scsi::lun::Lun;
use protocol::scsi::sense::{Additional, Sense};
use protocol::scsi::status;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};
use vmm_sys_util::tempfile::TempFile;

use crate::protection::ProtectionBuffers;
use crate::{
    CdbBytes, Command, DeviceServer, Disk, DiskConfig, Outcome, Queue, Response, Target,
    TaskAttribute, UnitAddress,
};

/// Where buffers to the device are, and those from it.
pub(crate) const OUT: u64 = 0x1_0000;
pub(crate) const IN: u64 = 0x80_0000;
const MEMORY_LEN: usize = 0x100_0000;
/// Buffers are cut into pieces of this odd size.
const PIECE: usize = 3000;
/// Long enough for what a test does meanwhile; no test waits for it to pass.
pub(crate) const LONG: Duration = Duration::from_secs(3600);

/// A guest with one target.
pub(crate) struct Guest {
    pub(crate) memory: GuestMemory,
    pub(crate) target: Arc<Target>,
    pub(crate) queue: Queue,
}

/// What came of a command.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) data: Vec<u8>,
}

impl Guest {
    pub(crate) fn new() -> Self {
        let range = [(GuestAddress(0), MEMORY_LEN)];
        let memory = Arc::new(GuestMemoryMmap::from_ranges(&range).unwrap());
        let target = Target::new();
        Self {
            memory,
            queue: target.queue(),
            target,
        }
    }

    /// A guest with a disk as unit 0, which it knows of already.
    pub(crate) fn with_disk(disk: Disk) -> Self {
        Self::with_server(Box::new(disk))
    }

    /// The same with any device server.
    pub(crate) fn with_server(server: Box<dyn DeviceServer>) -> Self {
        let guest = Self::new();
        guest
            .target
            .add(UnitAddress { target: 0, lun: 0 }, server)
            .unwrap();
        guest.attentions(0);
        guest
    }

    pub(crate) fn command(
        &self,
        lun: u16,
        tag: u64,
        cdb: &[u8],
        out: &[u8],
        len: usize,
    ) -> Command {
        self.memory.write_slice(out, GuestAddress(OUT)).unwrap();
        Command {
            target: 0,
            lun: Lun::Unit(lun),
            tag,
            attribute: TaskAttribute::Simple,
            cdb: CdbBytes::new(cdb),
            data_out: self.list(OUT, out.len()),
            data_in: self.list(IN, len),
            protection: ProtectionBuffers::default(),
        }
    }

    pub(crate) fn list(&self, start: u64, len: usize) -> SgList {
        let segments = (0..len).step_by(PIECE).map(|at| Segment {
            address: GuestAddress(start + at as u64),
            len: PIECE.min(len - at) as u32,
        });
        SgList::new(&self.memory, segments).unwrap()
    }

    /// Submits a command, whose outcome can be received.
    pub(crate) fn submit(&self, command: Command) -> mpsc::Receiver<Outcome> {
        let (sender, receiver) = mpsc::channel();
        self.queue.submit(command, move |outcome| {
            // A test need not care for the outcome.
            let _ = sender.send(outcome);
        });
        receiver
    }

    pub(crate) fn run_on(&self, lun: u16, cdb: &[u8], out: &[u8], len: usize) -> Answer {
        self.run_command(self.command(lun, 1, cdb, out, len), len)
    }

    /// Runs a command that may transfer `len` bytes to where [`IN`] is.
    pub(crate) fn run_command(&self, command: Command, len: usize) -> Answer {
        self.memory
            .write_slice(&vec![0xee; len], GuestAddress(IN))
            .unwrap();
        let outcome = self.submit(command).recv().unwrap();
        let mut data = vec![0; len];
        self.memory.read_slice(&mut data, GuestAddress(IN)).unwrap();
        Answer { outcome, data }
    }

    pub(crate) fn run(&self, cdb: &[u8], out: &[u8], len: usize) -> Answer {
        self.run_on(0, cdb, out, len)
    }

    /// What REQUEST SENSE tells about a unit, until there is nothing left.
    pub(crate) fn attentions(&self, lun: u16) -> Vec<Additional> {
        let next = || {
            let data = self.run_on(lun, &[3, 0, 0, 0, 252, 0], &[], 252).good();
            let sense = Sense::decode(&data).unwrap();
            (sense.additional.code != 0).then_some(sense.additional)
        };
        std::iter::from_fn(next).collect()
    }
}

impl Answer {
    pub(crate) fn response(&self) -> Response {
        match self.outcome {
            Outcome::Completed(response) => response,
            other => panic!("{other:?}"),
        }
    }

    /// The data that was transferred, of a command that ended with GOOD.
    #[track_caller]
    pub(crate) fn good(self) -> Vec<u8> {
        let response = self.response();
        assert_eq!(response.status, status::GOOD, "{response:?}");
        assert_eq!(response.sense.as_slice(), [0; 0]);
        let len = usize::try_from(response.transferred)
            .unwrap()
            .min(self.data.len());
        assert!(
            self.data[len..].iter().all(|byte| *byte == 0xee),
            "more than was transferred"
        );
        self.data[..len].to_vec()
    }

    /// The sense data of a command that ended with CHECK CONDITION.
    #[track_caller]
    pub(crate) fn sense(&self) -> Sense {
        let response = self.response();
        assert_eq!(response.status, status::CHECK_CONDITION);
        Sense::decode(response.sense.as_slice()).unwrap()
    }
}

/// A file of that size, which goes away with it.
pub(crate) fn file(len: u64) -> TempFile {
    let file = TempFile::new().unwrap();
    file.as_file().set_len(len).unwrap();
    file
}

pub(crate) fn config(path: &Path) -> DiskConfig {
    DiskConfig {
        serial: "SERIAL-1".into(),
        ..DiskConfig::new(path)
    }
}

/// Bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at ^ (at >> 8)) as u8 | 1).collect()
}

pub(crate) fn content(file: &File) -> Vec<u8> {
    use std::os::unix::fs::FileExt;
    let mut content = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut content, 0).unwrap();
    content
}

/// READ (10) and WRITE (10).
pub(crate) fn read_10(lba: u32, blocks: u16) -> [u8; 10] {
    access_10(0x28, 0, lba, blocks)
}

pub(crate) fn write_10(lba: u32, blocks: u16) -> [u8; 10] {
    access_10(0x2a, 0, lba, blocks)
}

/// Any command that is laid out like these.
pub(crate) fn access_10(opcode: u8, flags: u8, lba: u32, blocks: u16) -> [u8; 10] {
    let [a, b, c, d] = lba.to_be_bytes();
    let [e, f] = blocks.to_be_bytes();
    [opcode, flags, a, b, c, d, 0, e, f, 0]
}

/// Any command that is laid out like READ (16).
pub(crate) fn access_16(opcode: u8, flags: u8, lba: u64, blocks: u32) -> [u8; 16] {
    let mut cdb = [0; 16];
    (cdb[0], cdb[1]) = (opcode, flags);
    cdb[2..10].copy_from_slice(&lba.to_be_bytes());
    cdb[10..14].copy_from_slice(&blocks.to_be_bytes());
    cdb
}
