// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The record against a plain set of pages, and the memory behind it.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use vm_memory::{Bytes, GuestMemoryMmap};

use super::*;

const FIRST: u64 = 0x100;
const LOW: u64 = 0x300;
const HIGH: u64 = 0x1000;
const HIGH_LEN: u64 = 0x80;

/// Two regions with a hole between them, whose sizes are no multiples of 64 pages.
fn memory() -> GuestMemory {
    let ranges = [
        (GuestAddress(FIRST << 12), ((LOW + 3) << 12) as usize),
        (GuestAddress(HIGH << 12), (HIGH_LEN << 12) as usize),
    ];
    Arc::new(GuestMemoryMmap::from_ranges(&ranges).unwrap())
}

fn pages(first: u64, count: u64) -> Pages {
    Pages { first, count }
}

#[test]
fn what_is_given_is_gone_and_what_is_beside_it_is_not() {
    let memory = memory();
    let balloon = Balloon::new(memory.clone());
    assert_eq!(balloon.capacity(), LOW + 3 + HIGH_LEN);
    let value = |page: u64| memory.read_obj::<u64>(GuestAddress(page << 12)).unwrap();
    for page in FIRST..FIRST + 8 {
        memory.write_obj(page, GuestAddress(page << 12)).unwrap();
    }
    let given = [
        pages(FIRST + 4, 1),
        pages(FIRST + 2, 2),
        pages(FIRST + 6, 1),
    ];
    assert_eq!(balloon.give(&given), [Ok(()); 3]);
    assert_eq!(balloon.pages(), 4);
    for page in FIRST..FIRST + 8 {
        let is_given = [2, 3, 4, 6].contains(&(page - FIRST));
        assert_eq!(value(page), if is_given { 0 } else { page });
    }
    assert_eq!(balloon.take_back(&given), [Ok(()); 3]);
    memory
        .write_obj(7_u64, GuestAddress((FIRST + 4) << 12))
        .unwrap();
    assert_eq!(value(FIRST + 4), 7);
    assert_eq!(balloon.pages(), 0);
}

#[test]
fn a_large_page_is_given_whole_or_not_at_all() {
    let balloon = Balloon::new(memory());
    let large = pages(0x200, 512);
    assert_eq!(balloon.give(&[pages(0x2ff, 1)]), [Ok(())]);
    assert_eq!(
        balloon.give(&[pages(0x200, 0x100)]),
        [Err(PageError::Given)]
    );
    assert_eq!(
        balloon.take_back(&[pages(0x2fe, 2)]),
        [Err(PageError::NotGiven)]
    );
    // The second half is in the hole.
    assert_eq!(
        balloon.give(&[pages(0x300, 512)]),
        [Err(PageError::NoMemory)]
    );
    assert_eq!(balloon.take_back(&[pages(0x2ff, 1)]), [Ok(())]);
    assert_eq!(
        balloon.give(&[large, large]),
        [Ok(()), Err(PageError::Given)]
    );
    assert_eq!(balloon.pages(), 512);
    assert_eq!(balloon.forget(), 512);
    let counters = balloon.counters();
    assert_eq!(counters["given_twice"], 256 + 512);
    assert_eq!(counters["not_given"], 2);
    assert_eq!(counters["no_memory"], 512);
    assert_eq!(counters["forgotten"], 512);
    assert_eq!(counters["not_discarded"], 0);
}

#[test]
fn runs_are_as_long_as_can_be() {
    let scattered = vec![
        pages(9, 1),
        pages(3, 2),
        pages(5, 1),
        pages(1, 1),
        pages(8, 1),
    ];
    assert_eq!(runs(scattered), [pages(1, 1), pages(3, 3), pages(8, 2)]);
}

proptest! {
    /// The record agrees with a set of page numbers.
    #[test]
    fn agrees_with_a_set(
        steps in prop::collection::vec(
            (any::<bool>(), prop_oneof![0u64..0x420, 0xff0u64..0x1090, any::<u64>()],
             prop_oneof![0u64..4, 60u64..70, Just(512), any::<u64>()]),
            1..40,
        ),
    ) {
        let balloon = Balloon::new(memory());
        let mut model = BTreeSet::new();
        for (give, first, count) in steps {
            let inside = |start: u64, len: u64| {
                count > 0 && first >= start
                    && first.checked_add(count).is_some_and(|end| end <= start + len)
            };
            let expected = if !inside(FIRST, LOW + 3) && !inside(HIGH, HIGH_LEN) {
                Err(PageError::NoMemory)
            } else if give && model.range(first..first + count).next().is_some() {
                Err(PageError::Given)
            } else if !give && model.range(first..first + count).count() as u64 != count {
                Err(PageError::NotGiven)
            } else {
                Ok(())
            };
            let entry = [pages(first, count)];
            let got = if give { balloon.give(&entry) } else { balloon.take_back(&entry) };
            prop_assert_eq!(got, [expected]);
            if expected.is_ok() {
                for page in first..first + count {
                    if give { model.insert(page); } else { model.remove(&page); }
                }
            }
            prop_assert_eq!(balloon.pages(), model.len() as u64);
        }
    }
}
