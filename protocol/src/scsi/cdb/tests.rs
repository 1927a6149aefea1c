// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of CDB decoding.

use std::vec::Vec;

use super::*;
use crate::scsi::reservation::Kind;
use opcode::COMMANDS;
use proptest::prelude::*;

fn access(lba: u64, blocks: u32, force_unit_access: bool) -> Access {
    Access {
        range: BlockRange { lba, blocks },
        force_unit_access,
        protect: 0,
    }
}

#[test]
fn reads_and_writes() {
    let cases: &[(&[u8], Cdb)] = &[
        (
            &[0x08, 0x1f, 0xff, 0xfe, 0, 0],
            Cdb::Read(access(0x1f_fffe, 256, false)),
        ),
        (
            &[0x0a, 0x08, 0, 1, 2, 0],
            Cdb::Write(access(0x8_0001, 2, false)),
        ),
        (
            &[0x28, 0x08, 1, 2, 3, 4, 0, 5, 6, 0],
            Cdb::Read(access(0x0102_0304, 0x0506, true)),
        ),
        (
            &[0x2a, 0x10, 1, 2, 3, 4, 0x3f, 5, 6, 0],
            Cdb::Write(access(0x0102_0304, 0x0506, false)),
        ),
        (
            &[0xa8, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0],
            Cdb::Read(access(1, 0x1_0000, false)),
        ),
        (
            &[0x8a, 8, 1, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0],
            Cdb::Write(access(0x0100_0000_0000_0002, 3, true)),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Cdb::decode(bytes), Ok(*expected), "{bytes:x?}");
    }
}

#[test]
fn other_commands() {
    let cases: &[(&[u8], Cdb)] = &[
        (&[0; 32], Cdb::TestUnitReady),
        (
            &[3, 1, 0, 0, 252, 0],
            Cdb::RequestSense {
                format: Format::Descriptor,
                allocation: 252,
            },
        ),
        (
            &[0x12, 1, 0x83, 1, 2, 0],
            Cdb::Inquiry {
                page: Some(0x83),
                allocation: 0x102,
            },
        ),
        (
            &[0x12, 0, 0, 0, 36, 0],
            Cdb::Inquiry {
                page: None,
                allocation: 36,
            },
        ),
        (
            &[0x1b, 0, 0, 0, 4, 0],
            Cdb::StartStop {
                start: false,
                flush: false,
            },
        ),
        (
            &[0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0],
            Cdb::ReadCapacity16 { allocation: 32 },
        ),
        (
            &[0xa3, 0x0c, 0x83, 0x9e, 0, 0x10, 0, 0, 2, 0, 0, 0],
            Cdb::ReportOpcodes {
                query: OpcodeQuery::Either(0x9e, 0x10),
                timeouts: true,
                allocation: 512,
            },
        ),
        (
            &[0x93, 9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 0, 0],
            Cdb::WriteSame(WriteSame {
                range: BlockRange { lba: 7, blocks: 9 },
                unmap: true,
                no_data_out: true,
                protect: 0,
            }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Cdb::decode(bytes), Ok(*expected), "{bytes:x?}");
    }
}

#[test]
fn commands_of_protection_and_reservation() {
    let range = BlockRange { lba: 9, blocks: 3 };
    let verify = |check, protect| Verify {
        range,
        check,
        protect,
    };
    let cases: &[(&[u8], Cdb)] = &[
        (
            &[0x28, 0x60, 0, 0, 0, 9, 0, 0, 3, 0],
            Cdb::Read(Access {
                protect: 3,
                ..access(9, 3, false)
            }),
        ),
        (
            &[0xaf, 0x26, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0],
            Cdb::Verify(verify(ByteCheck::SameBlock, 1)),
        ),
        (
            &[0x8e, 2, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0],
            Cdb::WriteAndVerify(verify(ByteCheck::EachBlock, 0)),
        ),
        (
            &[0x89, 8, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 3, 0, 0],
            Cdb::CompareAndWrite(access(9, 3, true)),
        ),
        (
            &[0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 1, 0, 0, 0],
            Cdb::GetLbaStatus {
                lba: 9,
                allocation: 256,
            },
        ),
        (
            &[0x4d, 0, 0x42, 0xff, 0, 0, 5, 1, 2, 0],
            Cdb::LogSense(LogSense {
                page: 2,
                subpage: 0xff,
                control: 1,
                first_parameter: 5,
                allocation: 0x102,
            }),
        ),
        (
            &[0x5e, 3, 0, 0, 0, 0, 0, 1, 0, 0],
            Cdb::ReserveIn {
                action: ReserveIn::FullStatus,
                allocation: 256,
            },
        ),
        (
            &[0x5f, 4, 0x05, 0, 0, 0, 0, 0, 24, 0],
            Cdb::ReserveOut(ReserveOut {
                action: ReserveOutAction::Preempt,
                kind: Some(Kind::WriteExclusiveRegistrantsOnly),
                parameter_len: 24,
            }),
        ),
        // A scope that does not exist.
        (
            &[0x5f, 0, 0x15, 0, 0, 0, 0, 0, 24, 0],
            Cdb::ReserveOut(ReserveOut {
                action: ReserveOutAction::Register,
                kind: None,
                parameter_len: 24,
            }),
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(Cdb::decode(bytes), Ok(*expected), "{bytes:x?}");
    }
}

/// Every command of the list decodes, and to something of its own.
#[test]
fn every_known_command_decodes() {
    for info in COMMANDS {
        let mut bytes = std::vec![0; info.usage.len()];
        bytes[0] = info.opcode;
        bytes[1] = info.service_action.unwrap_or(0);
        let decoded = Cdb::decode(&bytes).unwrap();
        for other in COMMANDS.iter().filter(|other| other.opcode == info.opcode) {
            let mut bytes = bytes.clone();
            bytes[1] = other.service_action.unwrap_or(0);
            assert_eq!(Cdb::decode(&bytes) == Ok(decoded), other == info);
        }
    }
}

#[test]
fn errors_point_at_the_field() {
    let unknown = Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE);
    let cases: &[(&[u8], Sense)] = &[
        (&[], unknown),
        (&[0xff; 16], unknown),
        // A service action that is not there, and a bit that SYNCHRONIZE CACHE does not have.
        (
            &[0x9e, 0x11, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Sense::invalid_cdb(1, Some(4)),
        ),
        (
            &[0x35, 0x20, 0, 0, 0, 0, 0, 0, 0, 0],
            Sense::invalid_cdb(1, Some(5)),
        ),
        // NACA.
        (&[0, 0, 0, 0, 0, 4], Sense::invalid_cdb(5, Some(2))),
        // A page code without EVPD, and BYTCHK 2.
        (&[0x12, 0, 0x80, 0, 36, 0], Sense::invalid_cdb(2, None)),
        (
            &[0x2f, 0x04, 0, 0, 0, 0, 0, 0, 0, 0],
            Sense::invalid_cdb(1, Some(2)),
        ),
        // Too short.
        (&[0x28, 0, 0, 0], Sense::invalid_cdb(4, None)),
    ];
    for (bytes, sense) in cases {
        assert_eq!(Cdb::decode(bytes), Err(*sense), "{bytes:x?}");
    }
}

proptest! {
    #[test]
    fn any_bytes_decode_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        let _ = Cdb::decode(&bytes);
    }

    /// What is in the map is taken, whatever it is, unless a field of several
    /// bits has a value that is reserved; what is not in the map is refused.
    #[test]
    fn usage_maps_are_followed(index in 0..COMMANDS.len(), noise: [u8; 16], at in 1_usize..16) {
        let info = &COMMANDS[index];
        let mut bytes: Vec<u8> = info.usage.iter().zip(noise).map(|(u, n)| u & n).collect();
        bytes[0] = info.opcode;
        if let Some(action) = info.service_action {
            bytes[1] = action;
        }
        if let Err(sense) = Cdb::decode(&bytes) {
            prop_assert_eq!(sense.additional, asc::INVALID_FIELD_IN_CDB);
        }
        let reserved_inside = at < info.usage.len() && !(at == 1 && info.service_action.is_some());
        if let Some(bit) = highest_bit(!info.usage[at % info.usage.len()]) {
            if reserved_inside {
                bytes[at] |= 1 << bit;
                prop_assert_eq!(Cdb::decode(&bytes), Err(Sense::invalid_cdb(at as u16, Some(bit))));
            }
        }
    }
}
