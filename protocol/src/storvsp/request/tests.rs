// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Commands there and back, and requests that are none.

use super::*;
use core::mem::offset_of;
use proptest::collection::vec;
use proptest::prelude::*;
use zerocopy::FromBytes;

#[test]
fn fields_are_where_the_kernel_has_them() {
    assert_eq!(offset_of!(ScsiRequest, cdb_length), 8);
    assert_eq!(offset_of!(ScsiRequest, transfer_length), 12);
    assert_eq!(offset_of!(ScsiRequest, cdb_or_sense), 16);
    assert_eq!(offset_of!(ScsiRequest, queue_tag), 38);
    assert_eq!(offset_of!(ScsiRequest, srb_flags), 40);
    assert_eq!(offset_of!(ScsiRequest, queue_sort_key), 48);
}

#[test]
fn impossible_fields_are_named() {
    let good = ScsiRequest::new(Address::default(), &[0; 6], Direction::None, 0, true).unwrap();
    assert_eq!(good.srb_flags.get(), 0x10a);
    let bad = |change: fn(&mut ScsiRequest)| {
        let mut request = good;
        change(&mut request);
        request.command().unwrap_err()
    };
    assert_eq!(bad(|r| r.length.set(51)), BadRequest::Length(51));
    assert_eq!(bad(|r| r.cdb_length = 0), BadRequest::CdbLength(0));
    assert_eq!(bad(|r| r.cdb_length = 17), BadRequest::CdbLength(17));
    assert_eq!(bad(|r| r.data_in = 3), BadRequest::Direction(3));
    let new = |cdb: &[u8]| ScsiRequest::new(Address::default(), cdb, Direction::In, 0, false);
    assert_eq!(new(&[]), None);
    assert_eq!(new(&[0; 17]), None);
}

#[test]
fn what_old_guests_do_not_have_is_not_looked_at() {
    let mut request =
        ScsiRequest::new(Address::default(), &[0; 6], Direction::None, 0, true).unwrap();
    let action = |request: &ScsiRequest| request.command().unwrap().queue_action;
    assert_eq!(action(&request), Some(QUEUE_ACTION_SIMPLE));
    request.length.set(REQUEST_SIZE_OLD);
    assert_eq!(action(&request), None);
}

#[test]
fn sense_stays_in_its_field() {
    let mut request =
        ScsiRequest::new(Address::default(), &[0; 6], Direction::None, 0, true).unwrap();
    assert_eq!(request.command().unwrap().sense_length, 20);
    request.sense_length = 255;
    assert_eq!(request.command().unwrap().sense_length, 20);
    assert_eq!(request.sense().len(), 20);
    request.sense_length = 18;
    assert_eq!(request.sense().len(), 18);
    request.srb_flags.set(flags::DISABLE_AUTOSENSE);
    assert_eq!(request.command().unwrap().sense_length, 0);
}

proptest! {
    #[test]
    fn what_is_asked_for_arrives(
        cdb in vec(any::<u8>(), 1..=16), place: [u8; 4], raw in 0_u8..3, length: u32,
        is_tagged: bool,
    ) {
        let [port, path, target, lun] = place;
        let address = Address { port, path, target, lun };
        let direction = Direction::from_raw(raw).unwrap();
        let request = ScsiRequest::new(address, &cdb, direction, length, is_tagged).unwrap();
        let command = request.command().unwrap();
        prop_assert_eq!(command.cdb(), &cdb[..]);
        prop_assert_eq!(command.address, address);
        prop_assert_eq!((command.direction, command.transfer_length), (direction, length));
        prop_assert_eq!(command.queue_action.is_some(), is_tagged);
    }

    #[test]
    fn any_bytes_are_a_command_or_not(bytes in vec(any::<u8>(), 52), is_old: bool) {
        let mut request = ScsiRequest::read_from_bytes(&bytes).unwrap();
        request.length.set(if is_old { REQUEST_SIZE_OLD } else { REQUEST_SIZE });
        if let Ok(command) = request.command() {
            prop_assert!((1..=16).contains(&command.cdb().len()));
            prop_assert!(command.sense_length <= 20);
        }
        prop_assert!(request.sense().len() <= 20);
    }
}
