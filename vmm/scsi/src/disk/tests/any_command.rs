// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whatever a guest submits: nothing panics, nothing outside of its buffers is
//! written, and it completes once.

use std::sync::atomic::AtomicU32;
use std::sync::Arc;

use hospes_device::memory::{Segment, SgList};
use proptest::prelude::*;
use protocol::scsi::lun::Lun;
use protocol::scsi::opcode::COMMANDS;
use vm_memory::{Bytes, GuestAddress};

use super::*;
use crate::{CdbBytes, Command, Outcome, TaskAttribute};

/// Where the guest's buffers may be, with a canary on each side.
const BUFFERS: u64 = 0x1000;
const LEN: u64 = 0x4000;

fn segments() -> impl Strategy<Value = Vec<Segment>> {
    let segment = (0..LEN, 0_u32..0x1000).prop_map(|(start, len)| Segment {
        address: GuestAddress(BUFFERS + start),
        len: len.min((LEN - start) as u32),
    });
    prop::collection::vec(segment, 0..5)
}

/// Any bytes, or those that a command may have, with small numbers more often.
fn cdb() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0_u8), 1 => 0..16_u8, 1 => any::<u8>()];
    let known = (0..COMMANDS.len(), prop::collection::vec(byte, 16)).prop_map(|(index, noise)| {
        let info = &COMMANDS[index];
        let mut bytes: Vec<u8> = info.usage.iter().zip(noise).map(|(u, n)| u & n).collect();
        bytes[0] = info.opcode;
        bytes[1] |= info.service_action.unwrap_or(0);
        bytes
    });
    prop_oneof![4 => known, 1 => prop::collection::vec(any::<u8>(), 0..40)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn completes_once_within_its_buffers(
        cdb in cdb(),
        data_out in segments(),
        data_in in segments(),
        content in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 64),
        lun in 0_u16..2,
    ) {
        let (guest, _file) = guest();
        let mut before = vec![0xcc; 0x6000];
        before[BUFFERS as usize..][..content.len()].copy_from_slice(&content);
        guest.memory.write_slice(&before, GuestAddress(0)).unwrap();
        let calls = Arc::new(AtomicU32::new(0));
        let command = Command {
            target: 0,
            lun: Lun::Unit(lun),
            tag: 0,
            attribute: TaskAttribute::Simple,
            cdb: CdbBytes::new(&cdb),
            data_out: SgList::new(&guest.memory, data_out).unwrap(),
            data_in: SgList::new(&guest.memory, data_in.clone()).unwrap(),
            protection: crate::protection::ProtectionBuffers::default(),
        };
        let offered = command.data_out.len() + command.data_in.len();
        let (counted, (sender, receiver)) = (calls.clone(), std::sync::mpsc::channel());
        guest.queue.submit(command, move |outcome| {
            counted.fetch_add(1, Ordering::Relaxed);
            sender.send(outcome).unwrap();
        });
        let outcome = receiver.recv().unwrap();
        prop_assert_eq!(calls.load(Ordering::Relaxed), 1);
        match outcome {
            Outcome::Completed(response) => {
                prop_assert_eq!(response.transferred + response.residual, offered);
            }
            other => prop_assert!(matches!(other, Outcome::Overrun { .. }), "{other:?}"),
        }

        let mut after = before.clone();
        guest.memory.read_slice(&mut after, GuestAddress(0)).unwrap();
        for segment in data_in {
            let start = segment.address.0 as usize;
            before[start..start + segment.len as usize].fill(0);
            after[start..start + segment.len as usize].fill(0);
        }
        prop_assert!(before == after, "memory outside of the buffers was written");
    }
}
