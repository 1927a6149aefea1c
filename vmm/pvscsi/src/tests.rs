// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The adapter, as a guest's driver sees it.

mod messages;

use std::sync::atomic::{AtomicBool, Ordering};

use hospes_device::counters::Counted;
use hospes_pci::device::PciDevice;
use hospes_scsi::UnitAddress;
use proptest::prelude::*;
use protocol::pvscsi::command::{
    AbortCommand, Config, Pages, ResetDevice, SetupMessageRing, SetupRequestThreshold, FAILED,
};
use protocol::pvscsi::config::ControllerPage;
use protocol::pvscsi::register::{self, interrupt};
use protocol::pvscsi::request::flag;
use protocol::pvscsi::ring::offset;
use protocol::pvscsi::{Command, Context, HostStatus, Notice, Place, SgElement};
use protocol::scsi::status;
use vm_memory::{Bytes, GuestAddress};
use zerocopy::IntoBytes;

use crate::rings::read;
use crate::testing::{rings, Guest, DATA, QUICK, READ, SENSE, SLOW, STUCK, TEST_UNIT_READY, WRITE};

const READY: [u8; 6] = [TEST_UNIT_READY; 6];

fn read_of(value: u8, short_by: u8) -> [u8; 10] {
    [READ, 0, 0, 0, 0, value, short_by, 0, 0, 0]
}

fn outcome(guest: &mut Guest) -> (u16, u16, u64) {
    let completion = guest.completion();
    (
        completion.host_status.get(),
        completion.scsi_status.get(),
        completion.data_len.get(),
    )
}

#[test]
fn data_goes_both_ways() {
    let mut guest = Guest::new();
    let context = guest.submit(QUICK, &read_of(7, 0), 512, flag::TO_HOST);
    let completion = guest.completion();
    assert_eq!(completion.context(), context);
    assert_eq!(completion.data_len.get(), 512);
    let data: [u8; 512] = read(&guest.memory, GuestAddress(DATA)).unwrap();
    assert_eq!(data, [7; 512]);
    guest.submit(QUICK, &[WRITE; 10], 512, flag::TO_DEVICE);
    assert_eq!(outcome(&mut guest), (0, 0, 512));
    assert!(guest.vectors.sent() > 0);
}

#[test]
fn a_short_transfer_is_a_success() {
    let mut guest = Guest::new();
    guest.submit(QUICK, &read_of(7, 100), 512, flag::TO_HOST);
    assert_eq!(outcome(&mut guest), (0, 0, 412));
}

#[test]
fn sense_data_is_written() {
    let mut guest = Guest::new();
    guest.submit(QUICK, &[0xc0, 0, 0, 0, 0, 0], 0, 0);
    let completion = guest.completion();
    assert_eq!(
        completion.scsi_status.get(),
        u16::from(status::CHECK_CONDITION)
    );
    assert_eq!(completion.host_status.get(), 0);
    let sense: [u8; 18] = read(&guest.memory, GuestAddress(SENSE)).unwrap();
    assert_eq!((sense[0] & 0x7f, sense[2], sense[12]), (0x70, 5, 0x20));
    assert!(completion.sense_len.get() >= 14);
}

#[test]
fn sense_data_that_has_nowhere_to_go_is_an_error() {
    let mut guest = Guest::new();
    let request = guest.request(QUICK, &[0xc0; 6], 0, flag::NO_DATA);
    guest.put(&request.with_sense(u64::MAX - 4, 96));
    guest.write(register::KICK_OTHER, 0);
    assert_eq!(outcome(&mut guest).0, HostStatus::SENSE_FAILED.0);
}

#[test]
fn lists_may_be_chained() {
    let mut guest = Guest::new();
    let chain = SgElement {
        flags: SgElement::CHAIN.into(),
        ..SgElement::new(0xa000, 0)
    };
    for (address, element) in [
        (0x9ff0, chain),
        (0xa000, SgElement::new(DATA + 8192, 300)),
        (0xa010, SgElement::new(DATA + 4096, 300)),
    ] {
        let address = GuestAddress(address);
        guest
            .memory
            .write_slice(element.as_bytes(), address)
            .unwrap();
    }
    let flags = flag::TO_HOST | flag::SG_LIST;
    let mut request = guest.request(QUICK, &read_of(9, 0), 512, flags);
    request.data_address.set(0x9ff0);
    guest.put(&request);
    guest.write(register::KICK_READ_WRITE, 0);
    assert_eq!(outcome(&mut guest), (0, 0, 512));
    for (offset, byte) in [(8192, 9), (8192 + 299, 9), (4096 + 211, 9), (4096 + 212, 0)] {
        let found: u8 = guest.memory.read_obj(GuestAddress(DATA + offset)).unwrap();
        assert_eq!(found, byte, "{offset}");
    }
}

#[test]
fn requests_that_make_no_sense_are_completed() {
    let mut guest = Guest::new();
    let good = guest.request(QUICK, &READY, 0, flag::NO_DATA);
    let mut bad = [good; 4];
    bad[0].cdb_len = 0;
    bad[1].lun = [0xff; 8];
    bad[2].flags = flag::OUT_OF_BAND_CDB.into();
    bad[3] = guest.request(QUICK, &read_of(1, 0), 512, flag::TO_HOST);
    bad[3].data_address.set(u64::MAX - 100);
    for request in &bad {
        guest.put(request);
        guest.write(register::KICK_OTHER, 0);
        assert_eq!(outcome(&mut guest).0, HostStatus::INVALID_PARAMETER.0);
    }
    let counters = guest.adapter.counters();
    assert_eq!(counters["adapter"]["malformed"], 4);
    for (target, bus) in [(77, 0), (QUICK, 1)] {
        let mut absent = guest.request(target, &READY, 0, flag::NO_DATA);
        absent.bus = bus;
        guest.put(&absent);
        guest.write(register::KICK_OTHER, 0);
        assert_eq!(outcome(&mut guest).0, HostStatus::SELECTION_TIMEOUT.0);
    }
}

#[test]
fn an_abort_is_over_when_its_last_word_is_written() {
    let mut guest = Guest::new();
    let first = guest.submit(SLOW, &READY, 0, 0);
    let second = guest.submit(SLOW, &READY, 0, 0);
    assert_eq!(guest.command(&AbortCommand::new(second, SLOW.into())), 0);
    assert!(guest.has_completion());
    let completion = guest.completion();
    assert_eq!(completion.context(), second);
    assert_eq!(completion.host_status.get(), HostStatus::ABORT_QUEUE.0);
    assert!(!guest.has_completion());
    // Nobody has kicked for this one.
    let request = guest.request(SLOW, &READY, 0, flag::NO_DATA);
    guest.put(&request);
    assert_eq!(
        guest.command(&AbortCommand::new(request.context(), SLOW.into())),
        0
    );
    assert_eq!(guest.completion().context(), request.context());
    assert_eq!(guest.command(&AbortCommand::new(first, 256)), FAILED);
    assert_eq!(guest.command(&AbortCommand::new(first, 77)), 0);
}

#[test]
fn an_abort_does_not_wait_for_what_cannot_be_stopped() {
    let mut guest = Guest::new();
    // The unit attention.
    guest.submit(STUCK, &READY, 0, 0);
    guest.completion();
    let stuck = guest.submit(STUCK, &READY, 0, 0);
    guest.wait_until(|guest| guest.adapter.counters()["adapter"]["requests"] == 3);
    assert_eq!(guest.command(&AbortCommand::new(stuck, STUCK.into())), 0);
    assert!(!guest.has_completion());
    assert_eq!(guest.adapter.counters()["adapter"]["late"], 1);
    guest.gate.open();
    assert_eq!(guest.completion().context(), stuck);
    assert_eq!(guest.command(&AbortCommand::new(stuck, STUCK.into())), 0);
    assert!(!guest.has_completion());
    assert_eq!(guest.adapter.counters()["adapter"]["late"], 1);
}

#[test]
fn no_interrupt_waits_for_another_request() {
    let mut guest = Guest::new();
    // The unit attention, after that of the request by which it began.
    guest.submit(STUCK, &READY, 0, 0);
    guest.completion();
    // They may have shared an interrupt.
    guest.wait_until(|guest| guest.announced() == 2);
    let before = guest.vectors.sent();
    for target in [QUICK, STUCK] {
        let request = guest.request(target, &READY, 0, flag::NO_DATA);
        guest.put(&request);
    }
    guest.write(register::KICK_OTHER, 0);
    guest.wait_until(|guest| guest.vectors.sent() > before);
    assert_eq!(outcome(&mut guest).0, 0);
    assert!(!guest.has_completion());
    guest.gate.open();
    guest.completion();
}

#[test]
fn without_messages_there_is_a_line() {
    let mut guest = Guest::new();
    let is_active = |guest: &Guest| guest.adapter.interrupt.pin.is_active();
    guest.wait_until(|guest| guest.vectors.sent() == 1);
    guest.adapter.interrupt.msix.set_control(0);
    guest.adapter.msix_switched();
    guest.write(register::INTERRUPT_STATUS, interrupt::ALL);
    assert!(!is_active(&guest));
    guest.submit(QUICK, &READY, 0, 0);
    guest.wait_until(is_active);
    guest.completion();
    let status = guest.read(register::INTERRUPT_STATUS);
    assert_eq!(status, interrupt::COMPLETION_0);
    guest.write(register::INTERRUPT_STATUS, status);
    assert!(!is_active(&guest));
    guest.adapter.unit_added(UnitAddress { target: 9, lun: 0 });
    assert!(is_active(&guest));
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    assert!(!is_active(&guest));
}

#[test]
fn resets_end_all_that_they_are_about() {
    let mut guest = Guest::new();
    guest.submit(SLOW, &READY, 0, 0);
    assert_eq!(guest.command(&ResetDevice::new(QUICK.into())), 0);
    assert!(!guest.has_completion());
    assert_eq!(guest.command(&ResetDevice::new(SLOW.into())), 0);
    assert!(guest.has_completion());
    assert_eq!(outcome(&mut guest).0, HostStatus::BUS_RESET.0);
    assert_eq!(guest.command(&ResetDevice::new(77)), FAILED);
    guest.submit(SLOW, &READY, 0, 0);
    assert_eq!(guest.order(Command::RESET_BUS), 0);
    assert!(guest.has_completion());
    assert_eq!(outcome(&mut guest).0, HostStatus::BUS_RESET.0);
    guest.submit(QUICK, &READY, 0, 0);
    // A unit attention.
    assert_eq!(outcome(&mut guest).1, u16::from(status::CHECK_CONDITION));
}

#[test]
fn an_adapter_that_was_reset_leaves_memory_alone() {
    let mut guest = Guest::new();
    for _ in 0..10 {
        let request = guest.request(SLOW, &READY, 0, flag::NO_DATA);
        guest.put(&request);
    }
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    for _ in 0..10 {
        assert!(guest.has_completion());
        assert_eq!(outcome(&mut guest).0, HostStatus::BUS_RESET.0);
    }
    guest.submit(QUICK, &READY, 0, 0);
    assert_eq!(
        guest.command(&AbortCommand::new(
            guest.request(0, &READY, 0, 0).context(),
            0
        )),
        FAILED
    );
    assert!(!guest.has_completion());
    guest.start();
    guest.submit(QUICK, &READY, 0, 0);
    assert_eq!(outcome(&mut guest).0, 0);
}

#[test]
fn commands_can_be_probed_for() {
    let guest = Guest::off();
    assert_eq!(guest.order(Command::SETUP_MESSAGE_RING), 34);
    assert_eq!(guest.order(Command::SETUP_REQUEST_THRESHOLD), 1);
    assert_eq!(guest.command(&SetupRequestThreshold::ENABLE), FAILED);
    assert_eq!(guest.order(Command::GET_MAX_TARGETS), 256);
    for unknown in [0, 2, 9, 12, u32::MAX] {
        assert_eq!(guest.order(Command(unknown)), FAILED, "{unknown}");
    }
    assert_eq!(guest.order(Command::RESET_BUS), FAILED);
    assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
    let messages = SetupMessageRing::new(Pages {
        address: 0x6000,
        count: 1,
    });
    assert_eq!(guest.command(&messages), FAILED);
}

#[test]
fn the_page_about_the_controller_is_written() {
    let guest = Guest::off();
    assert_eq!(guest.command(&Config::controller(0x3000)), 0);
    let page: ControllerPage = read(&guest.memory, GuestAddress(0x3000)).unwrap();
    assert_eq!(page.targets(), Some(256));
    assert_eq!(page.serial_number[1].get(), u16::from(b'0'));
    assert_eq!(guest.command(&Config::controller(u64::MAX)), FAILED);
    let mut other = Config::controller(0x3000);
    other.page.set(1);
    assert_eq!(guest.command(&other), FAILED);
}

#[test]
fn kicks_are_asked_for_each_request() {
    let mut guest = Guest::new();
    guest.wait_until(|guest| guest.state().request_threshold.get() == 1);
    for _ in 0..100 {
        guest.submit(QUICK, &READY, 0, 0);
        guest.completion();
    }
    guest.wait_until(|guest| {
        let state = guest.state();
        state.request_threshold.get() == 1 && state.request_consumed.get() == guest.produced
    });
}

#[test]
fn rings_that_are_broken_are_left_alone() {
    for (word, value) in [
        (offset::REQUEST_PRODUCED, 1000),
        (offset::COMPLETION_CONSUMED, 1000),
    ] {
        let mut guest = Guest::new();
        guest.submit(SLOW, &READY, 0, 0);
        guest.set_state(word, value);
        guest.write(register::KICK_OTHER, 0);
        assert_eq!(guest.order(Command::RESET_BUS), 0);
        guest.set_state(offset::REQUEST_PRODUCED, guest.produced);
        guest.set_state(offset::COMPLETION_CONSUMED, guest.consumed);
        guest.submit(QUICK, &READY, 0, 0);
        assert_eq!(guest.order(Command::RESET_BUS), 0);
        assert!(!guest.has_completion());
        assert!(guest.adapter.counters()["adapter"]["errors"].as_u64() > Some(0));
        assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
        guest.start();
        guest.submit(QUICK, &READY, 0, 0);
        assert_eq!(guest.completion().host_status.get(), 0);
    }
}

#[test]
fn nothing_is_taken_during_a_pause() {
    let mut guest = Guest::new();
    guest.adapter.pause();
    guest.submit(QUICK, &READY, 0, 0);
    // Nobody waits for what does not come.
    assert_eq!(
        guest.command(&AbortCommand::new(
            guest.request(0, &READY, 0, 0).context(),
            0
        )),
        0
    );
    assert!(!guest.has_completion());
    guest.adapter.resume();
    assert_eq!(guest.completion().host_status.get(), 0);
}

#[test]
fn power_on_is_what_a_reset_of_the_function_leads_to() {
    let mut guest = Guest::new();
    guest.submit(SLOW, &READY, 0, 0);
    guest.adapter.reset();
    assert_eq!(guest.read(register::INTERRUPT_MASK), 0);
    assert_eq!(guest.read(register::COMMAND_STATUS), 0);
    guest.start();
    guest.submit(QUICK, &READY, 0, 0);
    assert_eq!(guest.completion().host_status.get(), 0);
}

#[test]
fn registers_are_words() {
    let guest = Guest::off();
    guest
        .adapter
        .bar_write(0, register::INTERRUPT_MASK as u64, &[0xff; 2]);
    assert_eq!(guest.read(register::INTERRUPT_MASK), 0);
    guest.write(register::INTERRUPT_MASK, u32::MAX);
    assert_eq!(guest.read(register::INTERRUPT_MASK), interrupt::ALL);
    for last in [
        register::LAST_STATUS_0,
        register::LAST_STATUS_1,
        register::LAST_STATUS_2,
        register::LAST_STATUS_3,
    ] {
        guest.write(last, u32::MAX);
        assert_eq!(guest.read(last), 0);
    }
    let mut byte = [0xff];
    guest
        .adapter
        .bar_read(0, register::INTERRUPT_MASK as u64, &mut byte);
    assert_eq!(byte, [0]);
    let mut rings = rings();
    rings.state_page.set(u64::MAX);
    assert_eq!(guest.command(&rings), FAILED);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is sent, as many completions come as there were requests, each once.
    #[test]
    fn each_request_is_completed_once(
        requests in prop::collection::vec((0..4_u8, any::<u8>(), 0..2048_u32, 0..32_u32), 1..60),
    ) {
        let mut guest = Guest::new();
        let mut seen = Vec::new();
        for (target, byte, len, flags) in &requests {
            let cdb = read_of(*byte, 0);
            let mut request = guest.request(*target, &cdb, *len, *flags);
            request.cdb_len = byte % 20;
            guest.put(&request);
            guest.write(register::KICK_OTHER, 0);
            if guest.produced - guest.consumed >= 32 {
                seen.push(guest.completion().context().0);
            }
        }
        while guest.consumed < guest.produced {
            seen.push(guest.completion().context().0);
        }
        seen.sort_unstable();
        let all: Vec<_> = (2..=u64::from(guest.produced)).collect();
        prop_assert_eq!(seen, all);
        prop_assert!(!guest.has_completion());
    }

    /// The same when some of them are aborted or reset, whether or not the guest had kicked for
    /// them, and all that is left is ended by a reset of the adapter.
    #[test]
    fn recovery_loses_no_request(steps in prop::collection::vec(step(), 1..80)) {
        let mut guest = Guest::new();
        let first = u64::from(guest.produced);
        let mut seen = Vec::new();
        for step in steps {
            take(&mut guest, &step);
            while guest.has_completion() {
                seen.push(guest.completion().context().0);
            }
            if guest.produced - guest.consumed >= 32 {
                prop_assert_eq!(guest.order(Command::RESET_BUS), 0);
                while guest.consumed < guest.produced {
                    prop_assert!(guest.has_completion());
                    seen.push(guest.completion().context().0);
                }
            }
        }
        prop_assert_eq!(guest.order(Command::ADAPTER_RESET), 0);
        while guest.has_completion() {
            seen.push(guest.completion().context().0);
        }
        seen.sort_unstable();
        let all: Vec<_> = (first + 1..=u64::from(guest.produced)).collect();
        prop_assert_eq!(seen, all);
    }
}

/// Something that a driver does.
#[derive(Clone, Debug)]
enum Step {
    Put { target: u8, kick: bool },
    Abort { back: u32, target: u8 },
    ResetDevice { target: u8 },
    ResetBus,
}

fn step() -> impl Strategy<Value = Step> {
    let target = || prop_oneof![Just(QUICK), Just(SLOW), Just(77)];
    prop_oneof![
        6 => (target(), any::<bool>()).prop_map(|(target, kick)| Step::Put { target, kick }),
        2 => (0..8_u32, target()).prop_map(|(back, target)| Step::Abort { back, target }),
        1 => target().prop_map(|target| Step::ResetDevice { target }),
        1 => Just(Step::ResetBus),
    ]
}

fn take(guest: &mut Guest, step: &Step) {
    match *step {
        Step::Put { target, kick } => {
            let request = guest.request(target, &READY, 0, flag::NO_DATA);
            guest.put(&request);
            if kick {
                guest.write(register::KICK_OTHER, 0);
            }
        }
        Step::Abort { back, target } => {
            let context = Context::of_index(guest.produced.saturating_sub(back));
            guest.command(&AbortCommand::new(context, target.into()));
        }
        Step::ResetDevice { target } => {
            guest.command(&ResetDevice::new(target.into()));
        }
        Step::ResetBus => {
            guest.order(Command::RESET_BUS);
        }
    }
}

/// Says that it is over, even if a test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// One vCPU resets the bus all the time, while another one sends requests, most of which only a
/// reset ends.
#[test]
fn resets_on_another_vcpu_lose_no_request() {
    const REQUESTS: u32 = 600;
    let mut guest = Guest::new();
    let first = guest.produced;
    let adapter = guest.adapter.clone();
    let is_over = AtomicBool::new(false);
    let mut seen = Vec::new();
    std::thread::scope(|scope| {
        let over = Over(&is_over);
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let number = Command::RESET_BUS.0;
                adapter.bar_write(0, register::COMMAND as u64, &number.to_le_bytes());
            }
        });
        while guest.produced - first < REQUESTS {
            let target = if guest.produced % 3 == 0 { QUICK } else { SLOW };
            guest.submit(target, &READY, 0, 0);
            while guest.produced - guest.consumed >= 32 {
                seen.push(guest.completion().context().0);
            }
        }
        while guest.consumed < guest.produced {
            seen.push(guest.completion().context().0);
        }
        drop(over);
    });
    seen.sort_unstable();
    let all: Vec<_> = (u64::from(first) + 1..=u64::from(guest.produced)).collect();
    assert_eq!(seen, all);
}
