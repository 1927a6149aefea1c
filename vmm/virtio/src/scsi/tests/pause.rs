// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of a host that is paused.

use super::*;

#[test]
fn a_paused_host_leaves_requests_in_the_ring_and_serves_them_later() {
    let mut rig = rig();
    rig.host.pause();
    rig.host.pause();
    rig.submit(Rig::header(TEST_UNIT_READY, 0, 1), 0, &[]);
    assert_eq!(rig.host.in_flight(), 0);
    assert!(rig.guests[usize::from(FIRST_REQUEST_QUEUE)]
        .take_used()
        .is_empty());
    rig.host.resume();
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().status, 0);
    let (response, _) = rig.command(TEST_UNIT_READY, 0, 1, &[]);
    assert_eq!(response.status, 0);
}

#[test]
fn task_management_works_again_after_a_pause() {
    let mut rig = rig();
    rig.submit(
        Rig::header(READ_10, 300, 42),
        3,
        &[(DATA + 0x100, 512, WRITE)],
    );
    rig.wait_for_task(300, 42);
    // What waits for a latency is no obstacle.
    rig.host.pause();
    assert_eq!(rig.host.in_flight(), 1);
    rig.host.resume();
    assert_eq!(rig.tmf(TmfSubtype::ABORT_TASK, 300, 42), ResponseCode::OK);
    assert_eq!(rig.host.in_flight(), 0);
}

#[test]
fn a_paused_host_can_be_reset_and_started() {
    let mut rig = rig();
    rig.submit(
        Rig::header(READ_10, 300, 42),
        3,
        &[(DATA + 0x100, 512, WRITE)],
    );
    rig.wait_for_task(300, 42);
    rig.host.pause();
    rig.host.reset();
    assert_eq!(rig.host.in_flight(), 0);
    rig.start();
    rig.submit(Rig::header(TEST_UNIT_READY, 0, 1), 0, &[]);
    rig.host.resume();
    rig.returned(FIRST_REQUEST_QUEUE);
    assert_eq!(rig.response().status, 2, "the reset is a unit attention");
}
