// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Targets that come and go, as a driver hears of them.

use super::*;

#[test]
fn targets_that_come_and_go_are_told() {
    let guest = Guest::new();
    let at = UnitAddress { target: 9, lun: 0 };
    let place = Place { target: 9, lun: 0 };
    guest.adapter.unit_added(at);
    guest.adapter.unit_removed(at);
    assert_eq!(guest.message(0).decode(), Notice::Added(place));
    assert_eq!(guest.message(1).decode(), Notice::Removed(place));
    assert_eq!(
        guest.read(register::INTERRUPT_STATUS) & interrupt::MESSAGE,
        interrupt::MESSAGE_0
    );
    for _ in 2..40 {
        guest.adapter.unit_added(at);
    }
    assert_eq!(guest.state().message_produced.get(), 32);
    guest.set_state(offset::MESSAGE_CONSUMED, 31);
    guest.write(register::KICK_OTHER, 0);
    guest.wait_until(|guest| guest.state().message_produced.get() == 40);
}

#[test]
fn without_rings_nobody_is_told() {
    let guest = Guest::off();
    guest.adapter.unit_added(UnitAddress { target: 9, lun: 0 });
    assert_eq!(guest.read(register::INTERRUPT_STATUS), 0);
    assert_eq!(guest.adapter.counters()["adapter"]["unheard"], 1);
}

/// Who had a ring for messages, and sets up another one, misses none.
#[test]
fn what_happens_during_a_reset_is_told_after_it() {
    let mut guest = Guest::new();
    let place = Place { target: 9, lun: 0 };
    let at = UnitAddress { target: 9, lun: 0 };
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    let before = guest.state();
    guest.adapter.unit_removed(at);
    guest.adapter.unit_added(at);
    assert_eq!(guest.state().as_bytes(), before.as_bytes());
    guest.start();
    assert_eq!(guest.state().message_produced.get(), 2);
    assert_eq!(guest.message(0).decode(), Notice::Removed(place));
    assert_eq!(guest.message(1).decode(), Notice::Added(place));
    let reasons = guest.read(register::INTERRUPT_STATUS);
    assert_eq!(reasons & interrupt::MESSAGE, interrupt::MESSAGE_0);
    // Whoever comes after a reset of the function looks for targets.
    guest.adapter.reset();
    guest.adapter.unit_added(at);
    guest.start();
    assert_eq!(guest.state().message_produced.get(), 0);
    assert_eq!(guest.adapter.counters()["adapter"]["unheard"], 1);
}

#[test]
fn only_so_many_messages_wait() {
    let mut guest = Guest::new();
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    for _ in 0..1030 {
        guest.adapter.unit_added(UnitAddress { target: 9, lun: 0 });
    }
    assert_eq!(guest.adapter.counters()["adapter"]["unheard"], 6);
    guest.start();
    assert_eq!(guest.state().message_produced.get(), 32);
}

#[test]
fn nothing_is_told_during_a_pause() {
    let guest = Guest::new();
    guest.adapter.pause();
    let before = guest.vectors.sent();
    guest.adapter.unit_added(UnitAddress { target: 9, lun: 0 });
    assert_eq!(guest.state().message_produced.get(), 0);
    assert_eq!(guest.vectors.sent(), before);
    guest.adapter.resume();
    assert_eq!(guest.state().message_produced.get(), 1);
    assert_eq!(guest.vectors.sent(), before + 1);
}

#[test]
fn a_message_ring_that_is_broken_is_no_more() {
    let mut guest = Guest::new();
    guest.set_state(offset::MESSAGE_CONSUMED, 7);
    guest.adapter.unit_added(UnitAddress { target: 9, lun: 0 });
    assert_eq!(guest.state().message_produced.get(), 0);
    guest.submit(QUICK, &READY, 0, 0);
    assert_eq!(guest.completion().host_status.get(), 0);
}
