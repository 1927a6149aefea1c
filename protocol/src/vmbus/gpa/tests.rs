// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Range lists there and back, and words that are none.

use super::*;
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

/// Ranges as a sender has them: byte count, byte offset, PFNs.
pub(crate) type Given = (u32, u32, Vec<u64>);

pub(crate) fn ranges(most: usize, pages: u32) -> impl Strategy<Value = Vec<Given>> {
    let one = (1..=pages, 0..PAGE_SIZE, any::<u32>()).prop_map(|(pages, offset, seed)| {
        let last = PAGE_SIZE * pages - offset;
        let first = (PAGE_SIZE * (pages - 1)).saturating_sub(offset).max(1);
        let count = first + seed % (last - first + 1);
        let needed = RangeHeader::new(count, offset).pages().unwrap();
        // Every third page is not the next one.
        let pfn = |page: u32| u64::from(seed) + u64::from(page + page / 3 * 5);
        (count, offset, (0..needed).map(pfn).collect())
    });
    vec(one, 1..=most)
}

pub(crate) fn words(ranges: &[Given]) -> Vec<U64> {
    let mut words = Vec::new();
    for (count, offset, pfns) in ranges {
        words.push(RangeHeader::new(*count, *offset).into());
        words.extend(pfns.iter().copied().map(U64::new));
    }
    words
}

#[test]
fn pages_are_those_that_bytes_touch() {
    let pages = |count, offset| RangeHeader::new(count, offset).pages();
    assert_eq!(pages(1, 0), Ok(1));
    assert_eq!(pages(4096, 0), Ok(1));
    assert_eq!(pages(4096, 1), Ok(2));
    assert_eq!(pages(2, 4095), Ok(2));
    assert_eq!(pages(u32::MAX, 4095), Ok(0x10_0001));
    assert_eq!(pages(0, 0), Err(BadRange::Empty));
    assert_eq!(pages(1, 4096), Err(BadRange::Offset(4096)));
}

#[test]
fn neighbours_are_one_segment() {
    let list = words(&[(3 * 4096 - 100, 100, [7, 8, 20].to_vec())]);
    let range = Ranges::new(&list, 1).unwrap().next().unwrap();
    let expected = [
        Segment {
            address: 7 * 4096 + 100,
            len: 2 * 4096 - 100,
        },
        Segment {
            address: 20 * 4096,
            len: 4096,
        },
    ];
    assert_eq!(range.segments().collect::<Vec<_>>(), expected);
}

#[test]
fn faults_are_named() {
    let bad = |list: &[Given], count| Ranges::new(&words(list), count).unwrap_err();
    assert_eq!(bad(&[(4097, 0, [1].to_vec())], 1), BadRange::CutOff);
    assert_eq!(bad(&[(4096, 0, [1].to_vec())], 2), BadRange::CutOff);
    assert_eq!(bad(&[(1, 0, [1].to_vec())], u32::MAX), BadRange::CutOff);
    assert_eq!(bad(&[(0, 0, [].to_vec())], 1), BadRange::Empty);
    let far = PFN_LIMIT;
    assert_eq!(bad(&[(1, 0, [far].to_vec())], 1), BadRange::Pfn(far));
    assert_eq!(Ranges::new(&[], 0).unwrap().next(), None);
}

proptest! {
    #[test]
    fn a_list_is_read_as_it_was_written(given in ranges(5, 6), extra in 0..3_usize) {
        let mut list = words(&given);
        let len = list.len();
        list.extend((0..extra).map(|_| U64::new(u64::MAX)));
        let read = Ranges::new(&list, u32::try_from(given.len()).unwrap()).unwrap();
        prop_assert_eq!(read.words().len(), len);
        let again: Vec<Given> = read
            .map(|range| {
                let pfns = range.pfns().iter().map(|pfn| pfn.get()).collect();
                (range.len(), range.offset(), pfns)
            })
            .collect();
        prop_assert_eq!(again, given);
    }

    #[test]
    fn segments_are_all_bytes_of_the_pages(given in ranges(1, 9)) {
        let list = words(&given);
        let range = Ranges::new(&list, 1).unwrap().next().unwrap();
        let mut bytes = Vec::new();
        for Segment { address, len } in range.segments() {
            prop_assert!(len > 0);
            bytes.extend((0..u64::from(len)).step_by(64).map(|at| (address + at) / 64));
        }
        prop_assert_eq!(range.segments().map(|run| run.len).sum::<u32>(), range.len());
        for pair in range.segments().collect::<Vec<_>>().windows(2) {
            prop_assert!(pair[0].address + u64::from(pair[0].len) != pair[1].address);
        }
        let pages: Vec<u64> = range.pfns().iter().map(|pfn| pfn.get()).collect();
        for place in bytes {
            prop_assert!(pages.contains(&(place / 64)));
        }
    }

    #[test]
    fn any_words_are_a_list_or_not(raw in vec(any::<u64>(), 0..20), count in 0_u32..5) {
        let list: Vec<U64> = raw.into_iter().map(U64::new).collect();
        if let Ok(ranges) = Ranges::new(&list, count) {
            prop_assert_eq!(ranges.range_count(), count);
            prop_assert_eq!(ranges.flat_map(|range| range.segments()).map(|s| u64::from(s.len))
                .sum::<u64>(), ranges.total());
        }
    }
}
