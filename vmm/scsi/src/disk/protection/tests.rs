// SPDX-License-Identifier: GPL-2.0 OR MIT

use hospes_device::memory::{Segment, SgList};
use protocol::scsi::protection::{Kind, Tuple, TUPLE_LEN};
use protocol::scsi::sense::{asc, Additional, SenseKey};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::tempdir::TempDir;
use zerocopy::{FromBytes, IntoBytes};

use super::ProtectionType;
use crate::protection::{ProtectionBuffers, SeparateProtection};
use crate::testing::{access_10, config, content, pattern, Answer, Guest, IN, OUT};
use crate::Disk;

const BLOCK: usize = 512;
const BLOCKS: u64 = 64;
const READ: u8 = 0x28;
const WRITE: u8 = 0x2a;
const VERIFY: u8 = 0x2f;
/// Behind the data.
const PI: u64 = 0x10_0000;

struct Rig {
    guest: Guest,
    directory: TempDir,
}

fn rig(kind: ProtectionType) -> Rig {
    let directory = TempDir::new().unwrap();
    let path = directory.as_path().join("disk");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(BLOCKS * BLOCK as u64).unwrap();
    let mut config = config(&path);
    config.protection = kind;
    let guest = Guest::with_disk(Disk::open(&config).unwrap());
    Rig { guest, directory }
}

impl Rig {
    fn file(&self, name: &str) -> std::fs::File {
        let path = self.directory.as_path().join(name);
        std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .open(path)
            .unwrap()
    }

    fn list(&self, address: u64, len: usize) -> SgList {
        let segment = Segment {
            address: GuestAddress(address),
            len: len as u32,
        };
        SgList::new(&self.guest.memory, vec![segment]).unwrap()
    }

    /// READ or WRITE (10) with PI in buffers of its own.
    fn access(&self, opcode: u8, protect: u8, lba: u32, data: &[u8], pi: &[u8]) -> Answer {
        let blocks = (data.len() / BLOCK) as u16;
        let cdb = access_10(opcode, protect << 5, lba, blocks);
        let (out, len) = if opcode == WRITE {
            (data, 0)
        } else {
            (&[][..], data.len())
        };
        self.guest
            .memory
            .write_slice(pi, GuestAddress(OUT + PI))
            .unwrap();
        let mut command = self.guest.command(0, 1, &cdb, out, len);
        let (out_len, in_len) = if opcode == WRITE {
            (pi.len(), 0)
        } else {
            (0, pi.len())
        };
        command.protection = ProtectionBuffers::Separate(Box::new(SeparateProtection {
            out: self.list(OUT + PI, out_len),
            input: self.list(IN + PI, in_len),
        }));
        self.guest.run_command(command, len)
    }

    fn read(&self, protect: u8, lba: u32, blocks: usize) -> (Answer, Vec<Tuple>) {
        let pi = vec![0; blocks * TUPLE_LEN];
        let answer = self.access(READ, protect, lba, &vec![0; blocks * BLOCK], &pi);
        let mut pi = pi;
        self.guest
            .memory
            .read_slice(&mut pi, GuestAddress(IN + PI))
            .unwrap();
        let tuples = pi
            .chunks(TUPLE_LEN)
            .map(|bytes| Tuple::read_from_bytes(bytes).unwrap());
        (answer, tuples.collect())
    }
}

fn tuples(data: &[u8], lba: u64) -> Vec<u8> {
    let blocks = data.chunks(BLOCK).zip(lba..);
    blocks
        .flat_map(|(block, lba)| Tuple::generate(Kind::Type1, block, lba).as_bytes().to_vec())
        .collect()
}

#[track_caller]
fn aborted(answer: &Answer, why: Additional, lba: u64) {
    let sense = answer.sense();
    assert_eq!(
        (sense.key, sense.additional),
        (SenseKey::AbortedCommand, why)
    );
    assert_eq!(sense.information, Some(lba));
}

#[test]
fn what_was_written_comes_back_with_its_protection() {
    let rig = rig(ProtectionType::Type1);
    let data = pattern(3 * BLOCK);
    let pi = tuples(&data, 5);
    rig.access(WRITE, 1, 5, &data, &pi).good();
    let (answer, found) = rig.read(1, 5, 3);
    assert_eq!(answer.good(), data);
    assert_eq!(found.as_bytes(), pi);
    assert_eq!(content(&rig.file("disk"))[5 * BLOCK..8 * BLOCK], data);
    let stored: Vec<u8> = pi.iter().map(|byte| !byte).collect();
    assert_eq!(
        content(&rig.file("disk.pi"))[5 * TUPLE_LEN..8 * TUPLE_LEN],
        stored
    );
}

#[test]
fn wrong_tags_are_not_written() {
    let rig = rig(ProtectionType::Type1);
    let data = pattern(2 * BLOCK);
    let mut pi = tuples(&data, 5);
    pi[TUPLE_LEN] ^= 1;
    let answer = rig.access(WRITE, 1, 5, &data, &pi);
    aborted(&answer, asc::LOGICAL_BLOCK_GUARD_CHECK_FAILED, 6);
    let answer = rig.access(WRITE, 1, 5, &data, &tuples(&data, 4));
    aborted(&answer, asc::LOGICAL_BLOCK_REFERENCE_TAG_CHECK_FAILED, 5);
    assert!(content(&rig.file("disk")).iter().all(|byte| *byte == 0));
    // Who asks for no checks gets none.
    rig.access(WRITE, 3, 5, &data, &pi).good();
    aborted(
        &rig.read(1, 5, 2).0,
        asc::LOGICAL_BLOCK_GUARD_CHECK_FAILED,
        6,
    );
    rig.read(3, 5, 2).0.good();
}

#[test]
fn damage_on_the_medium_is_found() {
    use std::os::unix::fs::FileExt;
    let rig = rig(ProtectionType::Type1);
    rig.access(WRITE, 0, 0, &pattern(4 * BLOCK), &[]).good();
    rig.file("disk")
        .write_all_at(&[0], 2 * BLOCK as u64 + 7)
        .unwrap();
    for protect in [0, 1, 4] {
        let (answer, _) = rig.read(protect, 0, 4);
        aborted(&answer, asc::LOGICAL_BLOCK_GUARD_CHECK_FAILED, 2);
    }
    let verify = access_10(VERIFY, 0, 0, 4);
    let answer = rig.guest.run(&verify, &[], 0);
    assert_eq!(
        answer.sense().additional,
        asc::LOGICAL_BLOCK_GUARD_CHECK_FAILED
    );
    rig.read(2, 0, 4).0.good();
}

#[test]
fn blocks_that_were_never_written_are_not_checked() {
    let rig = rig(ProtectionType::Type1);
    let (answer, found) = rig.read(1, 7, 2);
    assert_eq!(answer.good(), [0; 2 * BLOCK]);
    assert_eq!(found, [Tuple::UNWRITTEN; 2]);
}

#[test]
fn a_controller_that_keeps_protection_to_itself() {
    let rig = rig(ProtectionType::Type1);
    let data = pattern(BLOCK);
    let run = |opcode: u8, out: &[u8], len: usize| {
        let cdb = access_10(opcode, 1 << 5, 9, 1);
        let mut command = rig.guest.command(0, 1, &cdb, out, len);
        command.protection = ProtectionBuffers::Stripped;
        rig.guest.run_command(command, len)
    };
    run(WRITE, &data, 0).good();
    assert_eq!(run(READ, &[], BLOCK).good(), data);
    assert_eq!(
        rig.read(1, 9, 1).1,
        [Tuple::generate(Kind::Type1, &data, 9)]
    );
}

#[test]
fn protection_among_the_data() {
    let rig = rig(ProtectionType::Type1);
    let data = pattern(2 * BLOCK);
    let pi = tuples(&data, 3);
    let mixed: Vec<u8> = data
        .chunks(BLOCK)
        .zip(pi.chunks(TUPLE_LEN))
        .flat_map(|(block, tuple)| [block, tuple].concat())
        .collect();
    let write = access_10(WRITE, 1 << 5, 3, 2);
    rig.guest.run(&write, &mixed, 0).good();
    let read = access_10(READ, 1 << 5, 3, 2);
    assert_eq!(rig.guest.run(&read, &[], mixed.len()).good(), mixed);
}

#[test]
fn type_3_leaves_reference_tags_alone() {
    let rig = rig(ProtectionType::Type3);
    let data = pattern(BLOCK);
    rig.access(WRITE, 1, 5, &data, &tuples(&data, 77)).good();
    assert_eq!(rig.read(1, 5, 1).1[0].reference.get(), 77);
}

#[test]
fn deallocated_blocks_are_unwritten_and_same_ones_protected() {
    let rig = rig(ProtectionType::Type1);
    rig.access(WRITE, 0, 0, &pattern(8 * BLOCK), &[]).good();
    let block = pattern(BLOCK);
    let write_same = access_10(0x41, 0, 0, 4);
    rig.guest.run(&write_same, &block, 0).good();
    let (answer, found) = rig.read(1, 0, 4);
    assert_eq!(answer.good(), block.repeat(4));
    assert_eq!(found[3], Tuple::generate(Kind::Type1, &block, 3));
    let unmap = access_10(0x41, 8, 4, 4);
    rig.guest.run(&unmap, &[0; BLOCK], 0).good();
    assert_eq!(rig.read(1, 4, 4).1, [Tuple::UNWRITTEN; 4]);
}

#[test]
fn what_is_asked_for_must_be_there() {
    let rig = rig(ProtectionType::Type1);
    let reserved = rig.access(READ, 6, 0, &[0; BLOCK], &[0; TUPLE_LEN]);
    assert_eq!(reserved.sense().additional, asc::INVALID_FIELD_IN_CDB);
    let short = rig.access(READ, 1, 0, &[0; 2 * BLOCK], &[0; TUPLE_LEN]);
    assert_eq!(short.outcome, crate::Outcome::Overrun { needed: 16 });
    let plain = self::rig(ProtectionType::None);
    let refused = plain.access(READ, 1, 0, &[0; BLOCK], &[0; TUPLE_LEN]);
    assert_eq!(refused.sense().additional, asc::INVALID_FIELD_IN_CDB);
}
