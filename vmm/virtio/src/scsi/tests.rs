// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A host with a small unit behind it, driven as a driver does.

mod faults;
mod pause;
mod rig;

use std::mem::size_of;
use std::time::Duration;

use hospes_device::memory::GuestMemory;
use hospes_scsi::{DeviceServer, Failure, Task};
use proptest::prelude::*;
use protocol::scsi::sense::{asc, Sense};
use protocol::virtio_scsi::control::{AnRequest, AnResponse};
use protocol::virtio_scsi::event::EVENTS_MISSED;
use protocol::virtio_scsi::{
    CommandRequest, ControlType, EventKind, ResponseCode, ResponseHeader, TmfRequest, TmfSubtype,
    FIRST_REQUEST_QUEUE,
};
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, IntoBytes};

use self::rig::*;
use super::*;
use crate::counters::QueueCounters;
use crate::notify::{DeviceState, DRIVER_OK};
use crate::queue::QueueParts;
use crate::testing::{self, eventually, GuestQueue, Interrupts, WRITE};

const SIZE: u16 = 16;
const HEADER: u64 = 0x8_0000;
const RESPONSE: u64 = 0x8_1000;
const DATA: u64 = 0x8_2000;
const RESPONSE_LEN: u32 = 108;

const TEST_UNIT_READY: u8 = 0x00;
const READ_10: u8 = 0x28;
const WRITE_10: u8 = 0x2a;

#[test]
fn a_read_fills_scattered_buffers() {
    let mut rig = rig();
    let data = [(DATA, 300, WRITE), (DATA + 0x1000, 212, WRITE)];
    let (response, len) = rig.command(READ_10, 0, 7, &data);
    assert_eq!((response.response, response.status), (0, 0));
    assert_eq!(response.resid.get(), 0);
    assert_eq!(len, RESPONSE_LEN + 512);
    let mut read = [0; 212];
    rig.memory
        .read_slice(&mut read, GuestAddress(DATA + 0x1000))
        .unwrap();
    assert_eq!(read, [0x5a; 212]);
}

#[test]
fn a_write_reports_only_its_response_as_written() {
    let mut rig = rig();
    let (response, len) = rig.command(WRITE_10, 0, 7, &[(DATA, 512, 0)]);
    assert_eq!(
        (response.response, response.status, len),
        (0, 0, RESPONSE_LEN)
    );
}

#[test]
fn sense_data_comes_with_its_length() {
    let mut rig = rig();
    let (response, _) = rig.command(0xff, 0, 7, &[(DATA, 512, WRITE)]);
    assert_eq!((response.response, response.status), (0, 2));
    assert_eq!(response.resid.get(), 512);
    assert!((1..=96).contains(&response.sense_len.get()));
}

#[test]
fn sense_data_is_cut_to_what_the_driver_wants() {
    let mut rig = rig();
    rig.host.config_write(20, &4_u32.to_le_bytes());
    let request = Rig::header(0xff, 0, 7);
    rig.memory
        .write_slice(request.as_bytes(), GuestAddress(HEADER))
        .unwrap();
    rig.memory
        .write_slice(&[0xee; 32], GuestAddress(RESPONSE))
        .unwrap();
    rig.offer(
        FIRST_REQUEST_QUEUE,
        0,
        &[(HEADER, 51, 0), (RESPONSE, 16, WRITE)],
    );
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().sense_len.get(), 4);
    let mut after = [0; 4];
    rig.memory
        .read_slice(&mut after, GuestAddress(RESPONSE + 16))
        .unwrap();
    assert_eq!(after, [0xee; 4], "nothing beyond the response is written");
}

#[test]
fn absent_targets_are_bad_targets() {
    let mut rig = rig();
    let mut request = Rig::header(READ_10, 0, 7);
    request.lun.0[1] = 9;
    rig.submit(request, 0, &[]);
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().response, ResponseCode::BAD_TARGET.0);
}

#[test]
fn malformed_requests_are_answered() {
    let mut rig = rig();
    let both = [(DATA, 8, 0), (DATA, 8, WRITE)];
    assert_eq!(
        rig.command(READ_10, 0, 7, &both).0.response,
        ResponseCode::FAILURE.0
    );

    let mut request = Rig::header(READ_10, 0, 7);
    request.task_attr = 9;
    rig.submit(request, 0, &[]);
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().response, ResponseCode::FAILURE.0);

    rig.memory
        .write_slice(&[0; 12], GuestAddress(RESPONSE))
        .unwrap();
    rig.offer(
        FIRST_REQUEST_QUEUE,
        0,
        &[(HEADER, 50, 0), (RESPONSE, RESPONSE_LEN, WRITE)],
    );
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().response, ResponseCode::FAILURE.0);

    rig.memory
        .write_slice(&[0; 12], GuestAddress(RESPONSE))
        .unwrap();
    rig.offer(
        FIRST_REQUEST_QUEUE,
        0,
        &[(HEADER, 51, 0), (RESPONSE, 12, WRITE)],
    );
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE), (0, 12));
    assert_eq!(rig.response().response, ResponseCode::FAILURE.0);

    rig.offer(
        FIRST_REQUEST_QUEUE,
        0,
        &[(HEADER, 51, 0), (RESPONSE, 11, WRITE)],
    );
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE), (0, 0));
    assert_eq!(rig.queues[2].counters().errors.get(), 5);
}

#[test]
fn an_abort_ends_the_command_first() {
    let mut rig = rig();
    rig.submit(
        Rig::header(READ_10, 300, 42),
        3,
        &[(DATA + 0x100, 512, WRITE)],
    );
    rig.wait_for_task(300, 42);
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 300, 42), ResponseCode::OK);
    let used = rig.guests[usize::from(FIRST_REQUEST_QUEUE)].take_used();
    assert_eq!(
        used.len(),
        1,
        "the command is back before the function is answered"
    );
    assert_eq!(rig.response().response, ResponseCode::ABORTED.0);
}

/// The request queue's thread does not know of the command yet, as if it were
/// busy with another one.
#[test]
fn an_abort_finds_a_command_that_is_still_in_the_ring() {
    let mut rig = rig();
    let request = Rig::header(READ_10, 300, 42);
    let len = request.as_bytes().len() as u32;
    rig.memory
        .write_slice(request.as_bytes(), GuestAddress(HEADER))
        .unwrap();
    let buffers = [(HEADER, len, 0), (RESPONSE, RESPONSE_LEN, WRITE)];
    rig.offer_silently(FIRST_REQUEST_QUEUE, 3, &buffers);
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 300, 42), ResponseCode::OK);
    let used = rig.guests[usize::from(FIRST_REQUEST_QUEUE)].take_used();
    assert_eq!(
        used.len(),
        1,
        "nothing of it is left when the abort is answered"
    );
    assert_eq!(rig.response().response, ResponseCode::ABORTED.0);
}

/// A ring that nobody will serve keeps task management from nothing.
#[test]
fn a_broken_request_queue_does_not_hold_up_task_management() {
    let mut rig = rig();
    rig.guests[usize::from(FIRST_REQUEST_QUEUE)].set_available_index(1000);
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK_SET, 0, 0), ResponseCode::OK);
}

#[test]
fn task_management_answers_what_it_is_asked() {
    let mut rig = rig();
    assert_eq!(rig.tmf(TmfSubtype::QUERY_TASK, 0, 9), ResponseCode::OK);
    assert_eq!(rig.tmf(TmfSubtype::QUERY_TASK_SET, 0, 0), ResponseCode::OK);
    assert_eq!(
        rig.tmf(TmfSubtype::LOGICAL_UNIT_RESET, 0, 0),
        ResponseCode::OK
    );
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK_SET, 0, 0), ResponseCode::OK);
    assert_eq!(rig.tmf(TmfSubtype::CLEAR_TASK_SET, 0, 0), ResponseCode::OK);
    assert_eq!(rig.tmf(TmfSubtype::I_T_NEXUS_RESET, 0, 0), ResponseCode::OK);
    assert_eq!(
        rig.tmf(TmfSubtype::CLEAR_ACA, 0, 0),
        ResponseCode::FUNCTION_REJECTED
    );
    assert_eq!(
        rig.tmf(TmfSubtype(99), 0, 0),
        ResponseCode::FUNCTION_REJECTED
    );
    assert_eq!(
        rig.tmf(TmfSubtype::LOGICAL_UNIT_RESET, 5, 0),
        ResponseCode::INCORRECT_LUN
    );
}

#[test]
fn a_unit_reset_ends_what_waits() {
    let mut rig = rig();
    rig.submit(
        Rig::header(READ_10, 300, 42),
        3,
        &[(DATA + 0x100, 512, WRITE)],
    );
    rig.wait_for_task(300, 42);
    assert_eq!(
        rig.tmf(TmfSubtype::LOGICAL_UNIT_RESET, 300, 0),
        ResponseCode::OK
    );
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().response, ResponseCode::RESET.0);
}

#[test]
fn notifications_are_never_granted() {
    let mut rig = rig();
    let mut request = AnRequest {
        kind: U32::new(ControlType::AN_SUBSCRIBE.0),
        lun: Lun::new(0, 0).unwrap().to_flat(),
        event_requested: U32::new(0xffff),
    };
    for (target, code) in [(0, ResponseCode::OK), (9, ResponseCode::BAD_TARGET)] {
        request.lun.0[1] = target;
        assert_eq!(rig.control(request.as_bytes(), 5), 5);
        let mut bytes = [0; size_of::<AnResponse>()];
        rig.memory
            .read_slice(&mut bytes, GuestAddress(DATA))
            .unwrap();
        let answer = AnResponse::read_from_bytes(&bytes).unwrap();
        assert_eq!((answer.event_actual.get(), answer.response), (0, code.0));
    }
}

#[test]
fn malformed_control_requests_come_back_empty() {
    let mut rig = rig();
    assert_eq!(rig.control(&[0; 3], 1), 0);
    assert_eq!(rig.control(&[0; 23], 1), 0);
    assert_eq!(rig.control(&[9; 24], 1), 0);
    assert_eq!(rig.control(&AnRequest::default().as_bytes()[..15], 5), 0);
    let query = AnRequest {
        kind: U32::new(1),
        ..AnRequest::default()
    };
    assert_eq!(rig.control(query.as_bytes(), 4), 0);
}

#[test]
fn events_name_the_unit() {
    let mut rig = rig();
    let address = UnitAddress {
        target: 3,
        lun: 300,
    };
    let lun = Lun::new(3, 300).unwrap();
    rig.post_event_buffer();
    rig.host.unit_added(address);
    assert_eq!(rig.event().decode().kind, EventKind::Rescan(lun));
    rig.post_event_buffer();
    rig.host.unit_removed(address);
    assert_eq!(rig.event().decode().kind, EventKind::Removed(lun));
    rig.post_event_buffer();
    rig.host.capacity_changed(address);
    let changed = EventKind::Changed {
        lun,
        asc: 0x2a,
        ascq: 9,
    };
    assert_eq!(rig.event().decode().kind, changed);
}

#[test]
fn a_missed_event_is_owned_up_to() {
    let mut rig = rig();
    rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
    rig.post_event_buffer();
    let event = rig.event();
    assert_eq!(event.event.get(), EVENTS_MISSED);
    rig.post_event_buffer();
    rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
    assert!(!rig.event().decode().missed);
}

#[test]
fn a_buffer_too_short_for_an_event_is_a_missed_event() {
    let mut rig = rig();
    rig.offer(EVENT_QUEUE, 0, &[(DATA, 15, WRITE)]);
    rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
    assert_eq!(rig.returned(EVENT_QUEUE), (0, 0));
    rig.post_event_buffer();
    assert!(rig.event().decode().missed);
}

#[test]
fn without_a_driver_or_the_feature_there_are_no_events() {
    let mut rig = stopped_rig();
    rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
    rig.start();
    rig.host.shared.events.start(Some(rig.queues[1].clone()), 0);
    rig.post_event_buffer();
    rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
    assert!(rig.guests[1].take_used().is_empty());
}

#[test]
fn a_reset_in_flight_returns_every_command_and_can_be_followed_by_a_start() {
    let mut rig = rig();
    rig.submit(
        Rig::header(READ_10, 300, 42),
        3,
        &[(DATA + 0x100, 512, WRITE)],
    );
    rig.wait_for_task(300, 42);
    rig.host.reset();
    assert_eq!(
        rig.guests[usize::from(FIRST_REQUEST_QUEUE)]
            .take_used()
            .len(),
        1
    );
    assert_eq!(rig.response().response, ResponseCode::RESET.0);

    rig.start();
    let (response, _) = rig.command(TEST_UNIT_READY, 0, 1, &[]);
    assert_eq!(response.status, 2, "the reset is a unit attention");
    let (response, _) = rig.command(TEST_UNIT_READY, 0, 1, &[]);
    assert_eq!(response.status, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is in a request, it comes back once, and the host goes on.
    #[test]
    fn any_request_comes_back_once(
        queue in 0_u16..3,
        header in prop::collection::vec(prop_oneof![0_u8..9, any::<u8>()], 64),
        lengths in (0_u32..64, 0_u32..32, 0_u32..120, 0_u32..32),
        pairs in any::<bool>(),
    ) {
        let mut rig = rig();
        rig.memory.write_slice(&header, GuestAddress(HEADER)).unwrap();
        if pairs {
            let lun = Lun::new(0, 0).unwrap().to_flat();
            rig.memory.write_slice(&lun.0, GuestAddress(HEADER)).unwrap();
        }
        let buffers = [
            (HEADER, lengths.0, 0),
            (DATA, lengths.1, 0),
            (RESPONSE, lengths.2, WRITE),
            (DATA, lengths.3, WRITE),
        ];
        rig.offer(queue, 0, &buffers);
        if queue == EVENT_QUEUE {
            rig.host.unit_added(UnitAddress { target: 0, lun: 1 });
        }
        prop_assert_eq!(rig.returned(queue).0, 0);
        rig.command(TEST_UNIT_READY, 0, 1, &[]);
    }
}
