// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Every fault, and that a reset recovers from each.

use serde_json::json;

use super::rig::{rig, Rig};
use super::*;
use crate::fault::Fault;
use crate::notify::NEEDS_RESET;

const READ: &[(u64, u32, u16)] = &[(DATA, 8, WRITE)];

fn inject(rig: &Rig, fault: serde_json::Value) -> u64 {
    let fault: Fault = serde_json::from_value(fault).unwrap();
    rig.host.inject(fault).unwrap()
}

fn with(fault: serde_json::Value) -> Rig {
    let rig = rig();
    inject(&rig, fault);
    rig
}

/// Resets the host, and shows that it works as if nothing had happened.
fn recover(mut rig: Rig) {
    rig.host.clear_faults();
    rig.host.reset();
    rig.start();
    rig.command(TEST_UNIT_READY, 0, 1, &[]);
    let (response, _) = rig.command(READ_10, 0, 2, READ);
    assert_eq!((response.response, response.status), (0, 0));
}

#[test]
fn a_status_is_reported_without_execution() {
    let mut rig = with(json!({"kind": "status", "key": 3, "asc": 0x11, "count": 1}));
    rig.memory.write_slice(&[0; 8], GuestAddress(DATA)).unwrap();
    let (response, _) = rig.command(READ_10, 0, 2, READ);
    assert_eq!((response.response, response.status), (0, 2));
    assert_eq!((response.sense_len.get(), response.resid.get()), (18, 8));
    let mut sense = [0; 18];
    let behind = GuestAddress(RESPONSE + size_of::<ResponseHeader>() as u64);
    rig.memory.read_slice(&mut sense, behind).unwrap();
    assert_eq!((sense[2], sense[12]), (3, 0x11));
    let mut data = [0; 8];
    rig.memory
        .read_slice(&mut data, GuestAddress(DATA))
        .unwrap();
    assert_eq!(data, [0; 8], "it was executed");
    let (response, _) = rig.command(READ_10, 0, 3, READ);
    assert_eq!(response.status, 0, "it happens once");
    recover(rig);
}

#[test]
fn a_response_code_is_reported() {
    let mut rig = with(json!({"kind": "response", "code": 77, "opcode": READ_10}));
    assert_eq!(rig.command(TEST_UNIT_READY, 0, 2, &[]).0.response, 0);
    assert_eq!(rig.command(READ_10, 0, 2, READ).0.response, 77);
    recover(rig);
}

#[test]
fn fields_of_a_response_are_overwritten() {
    let mut rig = with(json!({"kind": "garbage", "resid": 0xffff_ffff_u32, "sense_len": 5000}));
    let (response, _) = rig.command(READ_10, 0, 2, READ);
    assert_eq!(
        (response.resid.get(), response.sense_len.get()),
        (u32::MAX, 5000)
    );
    assert_eq!((response.response, response.status), (0, 0));
    recover(rig);
}

#[test]
fn a_response_is_noise() {
    let mut rig = with(json!({"kind": "garbage", "seed": 1}));
    let first = rig.command(READ_10, 0, 2, READ).0;
    let second = rig.command(READ_10, 0, 2, READ).0;
    assert_ne!(first, second);
    recover(rig);
}

#[test]
fn a_response_is_not_written() {
    let mut rig = with(json!({"kind": "unwritten"}));
    rig.memory
        .write_slice(&[0xee; 12], GuestAddress(RESPONSE))
        .unwrap();
    let (response, len) = rig.command(READ_10, 0, 2, READ);
    assert_eq!(len, 0);
    assert_eq!(response.as_bytes(), [0xee; 12]);
    recover(rig);
}

#[test]
fn a_length_is_wrong() {
    for len in [0, 4, u32::MAX] {
        let mut rig = with(json!({"kind": "used-length", "len": len}));
        let (response, used) = rig.command(READ_10, 0, 2, READ);
        assert_eq!((response.response, used), (0, len));
        recover(rig);
    }
}

#[test]
fn a_request_comes_back_twice() {
    let mut rig = with(json!({"kind": "used-twice", "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 2), 5, READ);
    let used = all_used(&mut rig, FIRST_REQUEST_QUEUE, 2);
    assert_eq!(used[0].0, 5);
    assert_eq!(used[0], used[1]);
    recover(rig);
}

#[test]
fn a_request_comes_back_that_nobody_sent() {
    let mut rig = with(json!({"kind": "used-unknown", "id": 4711, "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 2), 5, READ);
    let used = all_used(&mut rig, FIRST_REQUEST_QUEUE, 2);
    assert_eq!((used[0].0, used[1].0), (4711, 5));
    recover(rig);
}

#[test]
fn the_used_index_runs_ahead() {
    let mut rig = with(json!({"kind": "used-index", "ahead": 3, "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 2), 5, READ);
    assert_eq!(all_used(&mut rig, FIRST_REQUEST_QUEUE, 4)[0].0, 5);
    recover(rig);
}

#[test]
fn dropped_requests_come_back_with_the_reset() {
    let mut rig = with(json!({"kind": "drop", "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 2), 1, READ);
    used_up(&rig);
    rig.submit(Rig::header(TEST_UNIT_READY, 0, 3), 4, &[]);
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE).0, 4);
    // Task management knows nothing of it.
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 0, 2), ResponseCode::OK);
    assert!(rig.guests[2].take_used().is_empty());
    rig.memory
        .write_slice(&[0xee; 12], GuestAddress(RESPONSE))
        .unwrap();
    rig.host.reset();
    assert_eq!(rig.guests[2].take_used().len(), 1);
    assert_eq!(rig.response().as_bytes(), [0xee; 12], "a reset writes");
    recover(rig);
}

#[test]
fn nothing_is_in_flight_when_a_lie_is_told_and_nothing_is_served_after_it() {
    let mut rig = with(json!({"kind": "delay", "ms": 3_600_000, "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 9), 1, READ);
    rig.wait_for_task(0, 9);
    inject(&rig, json!({"kind": "used-unknown", "id": 1, "count": 1}));
    rig.submit(Rig::header(TEST_UNIT_READY, 0, 2), 4, &[]);
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE).0, 4);
    assert_eq!(rig.host.faults().len(), 1, "it was told");
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 0, 9), ResponseCode::OK);
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE).0, 1);

    rig.submit(Rig::header(TEST_UNIT_READY, 0, 3), 5, &[]);
    let used = all_used(&mut rig, FIRST_REQUEST_QUEUE, 2);
    assert_eq!((used[0].0, used[1].0), (1, 5));
    rig.submit(Rig::header(READ_10, 0, 4), 1, READ);
    rig.host.reset();
    assert!(rig.guests[2].take_used().is_empty());
    recover(rig);
}

#[test]
fn delayed_commands_can_be_aborted() {
    let mut rig = with(json!({"kind": "delay", "ms": 3_600_000, "count": 1}));
    rig.submit(Rig::header(READ_10, 0, 9), 1, READ);
    rig.wait_for_task(0, 9);
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 0, 9), ResponseCode::OK);
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE).0, 1);
    assert_eq!(ResponseCode(rig.response().response), ResponseCode::ABORTED);
    recover(rig);
}

#[test]
fn delayed_commands_are_executed() {
    let mut rig = with(json!({"kind": "delay", "ms": 1}));
    let (response, _) = rig.command(READ_10, 0, 2, READ);
    assert_eq!((response.response, response.status), (0, 0));
    recover(rig);
}

#[test]
fn functions_are_refused_and_lied_about() {
    let mut rig = with(json!({"kind": "tmf-response", "code": 11, "subtype": 0, "count": 1}));
    inject(
        &rig,
        json!({"kind": "tmf-response", "code": 0, "count": 1, "subtype": 0}),
    );
    rig.submit(Rig::header(TEST_UNIT_READY, 300, 9), 1, &[]);
    rig.wait_for_task(300, 9);
    let abort = |rig: &mut Rig| rig.tmf(TmfSubtype::ABORT_TASK, 300, 9);
    // Both are for this one, and the last says what is answered.
    assert_eq!(abort(&mut rig), ResponseCode::OK);
    let query = rig.tmf(TmfSubtype::QUERY_TASK, 300, 9);
    assert_eq!(query, ResponseCode::FUNCTION_SUCCEEDED, "it is still there");
    assert_eq!(abort(&mut rig), ResponseCode::OK);
    assert_eq!(rig.returned(FIRST_REQUEST_QUEUE).0, 1);
    recover(rig);
}

#[test]
fn functions_are_answered_late_or_never() {
    let mut rig = with(json!({"kind": "tmf-delay", "ms": 1, "count": 1}));
    let reset = TmfSubtype::LOGICAL_UNIT_RESET;
    assert_eq!(rig.tmf(reset, 0, 0), ResponseCode::OK);
    for kind in [
        json!({"kind": "tmf-drop"}),
        json!({"kind": "tmf-delay", "ms": 3_600_000}),
    ] {
        let mut kind = kind;
        kind["count"] = json!(1);
        inject(&rig, kind);
        rig.offer_function(TmfSubtype::QUERY_TASK, 0, 1);
        used_up(&rig);
        assert!(rig.guests[0].take_used().is_empty());
        rig.host.reset();
        assert_eq!(rig.guests[0].take_used().len(), 1);
        rig.start();
    }
    recover(rig);
}

#[test]
fn invented_events_wait_for_buffers() {
    let mut rig = rig();
    inject(
        &rig,
        json!({"kind": "events", "number": 3, "event": 77, "reason": 5, "missed": true}),
    );
    for _ in 0..3 {
        rig.post_event_buffer();
        let event = rig.event();
        assert_eq!(event.event.get(), 77 | EVENTS_MISSED);
        assert_eq!(event.reason.get(), 5);
    }
    rig.post_event_buffer();
    rig.host.capacity_changed(UnitAddress { target: 0, lun: 0 });
    assert!(!rig.event().decode().missed);
    recover(rig);
}

#[test]
fn true_events_are_missed_in_a_storm_but_not_lost() {
    let mut rig = rig();
    inject(&rig, json!({"kind": "events", "number": 2, "event": 0}));
    rig.host.unit_added(UnitAddress { target: 0, lun: 5 });
    rig.post_event_buffer();
    assert!(rig.event().decode().missed, "what is true comes first");
    recover(rig);
}

#[test]
fn configuration_is_overridden_until_it_is_cleared() {
    let rig = rig();
    let before = rig.state.generation();
    let id = inject(
        &rig,
        json!({"kind": "config", "field": "num_queues", "value": 0, "notify": true}),
    );
    let read = |rig: &Rig| {
        let mut field = [0xff; 4];
        rig.host.config_read(0, &mut field);
        u32::from_le_bytes(field)
    };
    assert_eq!((read(&rig), rig.state.generation()), (0, before + 1));
    rig.host.reset();
    assert_eq!(read(&rig), 0);
    assert!(rig.host.clear_fault(id));
    assert_eq!(read(&rig), 1);
    recover(rig);
}

#[test]
fn a_device_that_gave_up_serves_nothing() {
    let mut rig = rig();
    inject(&rig, json!({"kind": "needs-reset"}));
    assert_ne!(rig.state.status() & NEEDS_RESET, 0);
    rig.submit(Rig::header(READ_10, 0, 2), 1, READ);
    rig.host.reset();
    assert!(rig.guests[2].take_used().is_empty());
    recover(rig);
}

#[test]
fn counters_tell_what_happened() {
    let mut rig = with(json!({"kind": "response", "count": 2}));
    for tag in 0..3 {
        rig.command(READ_10, 0, tag, READ);
    }
    assert_eq!(rig.host.counters()["faults"], json!({"response": 2}));
    assert!(rig.host.faults().is_empty());
}

/// Waits until every fault has happened as often as it should.
fn used_up(rig: &Rig) {
    eventually(|| rig.host.faults().is_empty().then_some(()));
}

/// So many used elements.
fn all_used(rig: &mut Rig, queue: u16, count: usize) -> Vec<(u32, u32)> {
    let mut used = Vec::new();
    eventually(|| {
        used.extend(rig.guests[usize::from(queue)].take_used());
        (used.len() >= count).then_some(())
    });
    assert_eq!(used.len(), count);
    used
}
