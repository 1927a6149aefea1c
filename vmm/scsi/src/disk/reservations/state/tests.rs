// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Tests of the rules of reservations, among three nexuses.

use super::*;
use Kind::{
    ExclusiveAccess, ExclusiveAccessAllRegistrants, ExclusiveAccessRegistrantsOnly, WriteExclusive,
    WriteExclusiveAllRegistrants, WriteExclusiveRegistrantsOnly,
};

const A: Nexus = Nexus(1);
const B: Nexus = Nexus(2);
const C: Nexus = Nexus(3);

/// A state where A and B are registered, with keys 0xa and 0xb, and A has made
/// a reservation.
fn reserved(kind: Kind) -> State {
    let mut state = State::default();
    state.register(A, Some(0), 0xa).unwrap();
    state.register(B, Some(0), 0xb).unwrap();
    state.reserve(A, 0xa, kind).unwrap();
    state
}

fn keys(state: &State) -> Vec<u64> {
    state.registrations().iter().map(|each| each.key).collect()
}

#[test]
fn registering() {
    let mut state = State::default();
    assert_eq!(state.register(A, Some(1), 0xa), Err(conflict()));
    state.register(A, Some(0), 0).unwrap();
    assert_eq!((state.generation(), keys(&state)), (0, vec![]));
    state.register(A, Some(0), 0xa).unwrap();
    assert_eq!(state.register(A, Some(0), 0xc), Err(conflict()));
    state.register(A, Some(0xa), 0xc).unwrap();
    state.register(A, None, 0xd).unwrap();
    state.register(B, None, 0xb).unwrap();
    assert_eq!((state.generation(), keys(&state)), (4, vec![0xd, 0xb]));
    state.register(A, Some(0xd), 0).unwrap();
    assert_eq!((state.generation(), keys(&state)), (5, vec![0xb]));
}

/// SPC-5, table 67: what may be done by A, who made the reservation, by B, who
/// is registered, and by C, who is not.
#[test]
fn what_each_kind_admits() {
    let cases = [
        (WriteExclusive, [true, false], [true, false]),
        (ExclusiveAccess, [false, false], [false, false]),
        (WriteExclusiveRegistrantsOnly, [true, true], [true, false]),
        (ExclusiveAccessRegistrantsOnly, [true, true], [false, false]),
        (WriteExclusiveAllRegistrants, [true, true], [true, false]),
        (ExclusiveAccessAllRegistrants, [true, true], [false, false]),
    ];
    for (kind, of_b, of_c) in cases {
        let state = reserved(kind);
        let may = |nexus| [Need::Read, Need::Write].map(|need| state.admits(nexus, need));
        assert_eq!(may(A), [true, true], "{kind:?}");
        assert_eq!(may(B), of_b, "{kind:?}");
        assert_eq!(may(C), of_c, "{kind:?}");
        for nexus in [A, B, C] {
            assert!(state.admits(nexus, Need::Status) && state.admits(nexus, Need::Nothing));
        }
    }
}

#[test]
fn reserving_and_releasing() {
    let mut state = reserved(WriteExclusive);
    assert_eq!(state.reservation(), Some((WriteExclusive, 0xa)));
    state.reserve(A, 0xa, WriteExclusive).unwrap();
    assert_eq!(state.reserve(A, 0xa, ExclusiveAccess), Err(conflict()));
    assert_eq!(state.reserve(B, 0xb, WriteExclusive), Err(conflict()));
    assert_eq!(state.reserve(C, 0, WriteExclusive), Err(conflict()));
    assert_eq!(state.release(B, 0xa, Some(WriteExclusive)), Err(conflict()));
    state.release(B, 0xb, Some(WriteExclusive)).unwrap();
    assert!(state.is_reserved());
    let wrong = Sense::illegal(asc::INVALID_RELEASE_OF_PERSISTENT_RESERVATION);
    assert_eq!(
        state.release(A, 0xa, Some(ExclusiveAccess)),
        Err(wrong.into())
    );
    state.release(A, 0xa, Some(WriteExclusive)).unwrap();
    assert!(!state.is_reserved());
    // None of it counts as a change of registrations.
    assert_eq!(state.generation(), 2);
}

#[test]
fn the_reservation_goes_with_its_last_holder() {
    let mut state = reserved(WriteExclusiveRegistrantsOnly);
    state.register(A, Some(0xa), 0).unwrap();
    assert_eq!(state.reservation(), None);

    let mut state = reserved(ExclusiveAccessAllRegistrants);
    assert_eq!(
        state.reservation(),
        Some((ExclusiveAccessAllRegistrants, 0))
    );
    state.register(A, Some(0xa), 0).unwrap();
    assert_eq!(state.held_by(B), Some(ExclusiveAccessAllRegistrants));
    assert!(!state.admits(A, Need::Read));
    state.register(B, Some(0xb), 0).unwrap();
    assert_eq!(state.reservation(), None);
}

#[test]
fn clearing() {
    let mut state = reserved(WriteExclusive);
    assert_eq!(state.clear(C, 0xa), Err(conflict()));
    state.clear(B, 0xb).unwrap();
    assert_eq!((state.reservation(), keys(&state)), (None, vec![]));
    assert_eq!(state.generation(), 3);
}

#[test]
fn preempting_the_holder() {
    let mut state = reserved(WriteExclusive);
    assert_eq!(
        state.preempt(C, 0, 0xa, Some(WriteExclusive)),
        Err(conflict())
    );
    let no_kind = state.preempt(B, 0xb, 0xa, None);
    assert_eq!(no_kind, Err(Sense::invalid_cdb(2, None).into()));
    state.preempt(B, 0xb, 0xa, Some(ExclusiveAccess)).unwrap();
    assert_eq!(state.reservation(), Some((ExclusiveAccess, 0xb)));
    assert_eq!(keys(&state), [0xb]);
    // The holder itself can change the kind this way.
    state.preempt(B, 0xb, 0xb, Some(WriteExclusive)).unwrap();
    assert_eq!(state.reservation(), Some((WriteExclusive, 0xb)));
    assert_eq!((keys(&state), state.generation()), (vec![0xb], 4));
}

#[test]
fn preempting_others() {
    let mut state = reserved(WriteExclusive);
    // The kind is not looked at, as the reservation stays as it is.
    state.preempt(A, 0xa, 0xb, None).unwrap();
    assert_eq!(state.reservation(), Some((WriteExclusive, 0xa)));
    assert_eq!(keys(&state), [0xa]);
    assert_eq!(state.preempt(A, 0xa, 0xb, None), Err(conflict()));
    let zero = state.preempt(A, 0xa, 0, None);
    assert_eq!(zero, Err(Sense::invalid_parameter(8, None).into()));
    assert_eq!(state.generation(), 3);
}

#[test]
fn preempting_all_registrants() {
    let mut state = reserved(WriteExclusiveAllRegistrants);
    state.register(C, Some(0), 0xc).unwrap();
    state.preempt(B, 0xb, 0xc, None).unwrap();
    assert_eq!(keys(&state), [0xa, 0xb]);
    assert_eq!(state.reservation(), Some((WriteExclusiveAllRegistrants, 0)));
    state.preempt(B, 0xb, 0, Some(WriteExclusive)).unwrap();
    assert_eq!(keys(&state), [0xb]);
    assert_eq!(state.reservation(), Some((WriteExclusive, 0xb)));
}

#[test]
fn reservations_of_spc_2() {
    let mut state = State::default();
    state.reserve_legacy(A).unwrap();
    state.reserve_legacy(A).unwrap();
    assert_eq!(state.reserve_legacy(B), Err(conflict()));
    assert_eq!(state.check_no_legacy(), Err(conflict()));
    assert!(state.admits(A, Need::Write) && !state.admits(B, Need::Status));
    assert!(state.admits(B, Need::Nothing));
    state.release_legacy(B).unwrap();
    assert!(!state.admits(B, Need::Read));
    state.drop_legacy();
    assert!(state.admits(B, Need::Write) && !state.is_reserved());

    let mut state = reserved(WriteExclusive);
    assert_eq!(state.reserve_legacy(A), Err(conflict()));
    assert_eq!(state.release_legacy(A), Err(conflict()));
}
