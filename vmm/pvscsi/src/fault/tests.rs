// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a driver sees of an adapter that does wrong.

use hospes_device::counters::Counted;
use protocol::pvscsi::command::{AbortCommand, Config, FAILED};
use protocol::pvscsi::config::ControllerPage;
use protocol::pvscsi::register;
use protocol::pvscsi::request::flag;
use protocol::pvscsi::{Command, HostStatus, Notice};
use protocol::scsi::status;
use serde_json::{json, Value};
use vm_memory::GuestAddress;

use super::Fault;
use crate::rings::read;
use crate::testing::{Guest, QUICK, READ, SENSE, SLOW, TEST_UNIT_READY};

const READY: [u8; 6] = [TEST_UNIT_READY; 6];

impl Guest {
    fn inject(&self, fault: Value) -> Result<u64, String> {
        let fault: Fault = serde_json::from_value(fault).map_err(|error| error.to_string())?;
        self.adapter
            .inject(fault)
            .map_err(|error| error.to_string())
    }

    /// A guest whose adapter does that once.
    fn with(fault: Value) -> Self {
        let guest = Self::new();
        guest.inject(fault).unwrap();
        guest
    }

    fn ready(&mut self, target: u8) -> u64 {
        self.submit(target, &READY, 0, 0).0
    }
}

#[test]
fn what_is_dropped_never_comes_back() {
    let mut guest = Guest::with(json!({"kind": "drop", "count": 1}));
    guest.ready(QUICK);
    let second = guest.ready(QUICK);
    assert_eq!(guest.completion().context().0, second);
    assert_eq!(guest.order(Command::RESET_BUS), 0);
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    assert!(!guest.has_completion());
    guest.start();
    guest.ready(QUICK);
    assert_eq!(guest.completion().host_status.get(), 0);
    assert_eq!(guest.adapter.counters()["faults"]["drop"], 1);
}

#[test]
fn statuses_come_instead() {
    let mut guest = Guest::with(json!({"kind": "status", "opcode": READ, "count": 1}));
    guest.submit(QUICK, &[READ; 10], 512, flag::TO_HOST);
    let completion = guest.completion();
    let status = u16::from(status::CHECK_CONDITION);
    assert_eq!(completion.scsi_status.get(), status);
    let sense: [u8; 18] = read(&guest.memory, GuestAddress(SENSE)).unwrap();
    assert_eq!((sense[2], sense[12]), (4, 0x44));
    let fault = json!({"kind": "host-status", "target": QUICK, "count": 1});
    guest.inject(fault).unwrap();
    guest.ready(QUICK);
    let status = guest.completion().host_status.get();
    assert_eq!(status, HostStatus::ADAPTER_HARDWARE.0);
    guest.ready(QUICK);
    assert_eq!(guest.completion().host_status.get(), 0);
}

#[test]
fn completions_are_overwritten() {
    let lie = json!({"kind": "garbage", "transferred": u64::MAX, "sense_len": 200,
                     "status": 258, "code": 153, "count": 1});
    let mut guest = Guest::with(lie);
    let context = guest.ready(QUICK);
    let completion = guest.completion();
    assert_eq!(completion.context().0, context);
    assert_eq!(completion.data_len.get(), u64::MAX);
    assert_eq!(completion.sense_len.get(), 200);
    assert_eq!(completion.scsi_status.get(), 258);
    assert_eq!(completion.host_status.get(), 153);
    guest
        .inject(json!({"kind": "garbage", "count": 1}))
        .unwrap();
    let context = guest.ready(QUICK);
    assert_eq!(guest.completion().context().0, context);
}

#[test]
fn completions_come_that_nobody_is_owed() {
    let mut guest = Guest::with(json!({"kind": "twice", "count": 1}));
    guest
        .inject(json!({"kind": "unknown-context", "id": 77, "count": 1}))
        .unwrap();
    let first = guest.ready(QUICK);
    let contexts = [(); 3].map(|()| guest.completion().context().0);
    assert_eq!(contexts, [77, first, first]);
    guest
        .inject(json!({"kind": "completion-index", "count": 1}))
        .unwrap();
    guest.ready(QUICK);
    guest.wait_until(|guest| {
        let state = guest.state();
        state.completion_produced.get() == guest.consumed + 1 + 5000
    });
    let second = guest.ready(QUICK);
    guest.wait_until(|guest| guest.state().completion_produced.get() == guest.consumed + 2);
    guest.completion();
    assert_eq!(guest.completion().context().0, second);
    assert!(!guest.has_completion());
}

#[test]
fn a_late_request_can_be_aborted_unless_the_adapter_refuses() {
    let mut guest = Guest::with(json!({"kind": "delay", "ms": 3_600_000, "count": 1}));
    let fault = json!({"kind": "refuse", "operation": Command::ABORT_COMMAND.0, "count": 1});
    guest.inject(fault).unwrap();
    let context = guest.submit(QUICK, &READY, 0, 0);
    let abort = AbortCommand::new(context, QUICK.into());
    assert_eq!(guest.command(&abort), FAILED);
    assert!(!guest.has_completion());
    assert_eq!(guest.command(&abort), 0);
    assert_eq!(
        guest.completion().host_status.get(),
        HostStatus::ABORT_QUEUE.0
    );
}

#[test]
fn an_adapter_tells_another_size() {
    let mut guest = Guest::off();
    let sizes = json!({"kind": "sizes", "requests": 31, "messages": 0});
    guest.inject(sizes).unwrap();
    guest
        .inject(json!({"kind": "targets", "value": 257}))
        .unwrap();
    guest.start();
    let state = guest.state();
    assert_eq!(state.request_log2.get(), 31);
    assert_eq!(state.completion_log2.get(), 7);
    assert_eq!(state.message_log2.get(), 0);
    assert_eq!(guest.command(&Config::controller(0x3000)), 0);
    let page: ControllerPage = read(&guest.memory, GuestAddress(0x3000)).unwrap();
    assert_eq!(page.targets(), None);
}

#[test]
fn some_things_happen_at_once() {
    let guest = Guest::new();
    let messages = json!({"kind": "messages", "number": 2, "message": 9, "id": 256});
    guest.inject(messages).unwrap();
    assert_eq!(guest.message(1).decode(), Notice::Unknown(9));
    guest.inject(json!({"kind": "message-index"})).unwrap();
    assert_eq!(guest.state().message_produced.get(), 5002);
    guest
        .inject(json!({"kind": "threshold", "value": 31}))
        .unwrap();
    assert_eq!(guest.state().request_threshold.get(), 31);
    let before = guest.vectors.sent();
    guest
        .inject(json!({"kind": "interrupts", "number": 5}))
        .unwrap();
    assert_eq!(guest.vectors.sent() - before, 5);
    assert_eq!(guest.adapter.faults(), []);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let guest = Guest::off();
    for (fault, word) in [
        (json!({"kind": "drop", "lun": 1}), "lun"),
        (json!({"kind": "drop", "operation": 4}), "operation"),
        (json!({"kind": "refuse"}), "operation"),
        (json!({"kind": "refuse", "operation": 1}), "operation"),
        (
            json!({"kind": "targets", "value": 3, "target": 1}),
            "target",
        ),
        (json!({"kind": "messages", "target": 1}), "target"),
        (json!({"kind": "interrupts", "count": 1}), "count"),
        (json!({"kind": "interrupts"}), "rings"),
    ] {
        let error = guest.inject(fault).unwrap_err();
        assert!(error.contains(word), "{error} does not name {word}");
    }
    let id = guest.inject(json!({"kind": "drop"})).unwrap();
    assert_eq!(guest.adapter.faults().len(), 1);
    assert!(guest.adapter.clear_fault(id) && !guest.adapter.clear_fault(id));
}

#[test]
fn dropped_requests_are_as_many_as_the_ring_has() {
    let mut guest = Guest::with(json!({"kind": "drop"}));
    for _ in 0..32 {
        guest.ready(SLOW);
        guest.wait_until(|guest| guest.state().request_consumed.get() == guest.produced);
    }
    // A driver has no more in flight. One that goes on gets these executed.
    guest.ready(QUICK);
    assert_eq!(guest.completion().host_status.get(), 0);
    guest.adapter.clear_faults();
    guest.write(register::KICK_OTHER, 0);
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    assert!(!guest.has_completion());
}
