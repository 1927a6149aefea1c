// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Whatever a guest submits is answered once, and nothing panics.

use proptest::prelude::*;
use protocol::scsi::mmc::cdb::COMMANDS;

use super::*;
use crate::Outcome;

/// Any bytes, or those that a command may have, with small numbers more often.
fn cdb() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![3 => Just(0_u8), 1 => 0..16_u8, 1 => any::<u8>()];
    let known = (0..COMMANDS.len(), prop::collection::vec(byte, 12)).prop_map(|(index, noise)| {
        let info = &COMMANDS[index];
        let mut bytes: Vec<u8> = info.usage.iter().zip(noise).map(|(u, n)| u & n).collect();
        bytes[0] = info.opcode;
        bytes
    });
    prop_oneof![4 => known, 1 => prop::collection::vec(any::<u8>(), 0..33)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn is_answered(
        commands in prop::collection::vec((cdb(), 0..9000_usize), 1..20),
        out in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let (machine, _image) = machine();
        for (cdb, len) in commands {
            let answer = machine.guest.run(&cdb, &out, len);
            match answer.outcome {
                Outcome::Completed(response) => {
                    let offered = (out.len() + len) as u64;
                    prop_assert_eq!(response.transferred + response.residual, offered);
                }
                Outcome::Overrun { .. } => {}
                other => prop_assert!(false, "{:x?}: {:?}", cdb, other),
            }
        }
        // The drive still works, whatever was done to it.
        machine.drive.eject(true).unwrap();
        machine.guest.target.reset();
        machine.told_of_reset();
        prop_assert_eq!(machine.test_unit_ready(), Err(asc::MEDIUM_NOT_PRESENT_TRAY_OPEN));
    }
}
