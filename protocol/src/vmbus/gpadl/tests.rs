// SPDX-License-Identifier: GPL-2.0 OR MIT

//! GPADLs there and back, and lists that are none.

use super::*;
use crate::vmbus::gpa::tests::{ranges, words};
use crate::vmbus::gpa::Ranges;
use crate::vmbus::message::Message;
use proptest::collection::vec;
use proptest::prelude::*;
use std::vec::Vec;

const LIMITS: Limits = Limits {
    pages: 100_000,
    ranges: 64,
};

/// What a host remembers of the messages.
fn assemble<'a>(messages: impl Iterator<Item = &'a Encoded>) -> Result<Vec<U64>, BadGpadl> {
    let (mut state, mut list) = (None, Vec::new());
    for message in messages {
        match (Message::parse(message.as_slice()).unwrap(), &mut state) {
            (Message::GpadlHeader(header, words), None) => {
                list.extend(words);
                state = Some(Assembler::begin(header, words, LIMITS)?);
            }
            (Message::GpadlBody(body, words), Some((assembler, progress))) => {
                assert_eq!(*progress, Progress::Incomplete);
                *progress = assembler.proceed(body, words)?;
                list.extend(words);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(state.unwrap().1, Progress::Complete);
    Ok(list)
}

fn sent(pages: u32) -> Vec<Encoded> {
    let range = RangeHeader::new(pages * 4096, 0);
    Messages::new(1, 2, range, (0..pages).map(u64::from))
        .unwrap()
        .collect()
}

fn header(range_len: u16, range_count: u16) -> GpadlHeader {
    GpadlHeader {
        relid: U32::new(1),
        gpadl: U32::new(2),
        range_len: U16::new(range_len),
        range_count: U16::new(range_count),
    }
}

fn body(gpadl: u32) -> GpadlBody {
    GpadlBody {
        number: U32::ZERO,
        gpadl: U32::new(gpadl),
    }
}

#[test]
fn messages_are_filled() {
    let len = |pages| {
        sent(pages)
            .iter()
            .map(|m| m.as_slice().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(len(26), [236]);
    assert_eq!(len(27), [236, 24]);
    assert_eq!(len(26 + 28), [236, 240]);
    assert_eq!(len(26 + 29), [236, 240, 24]);
}

#[test]
fn lists_longer_than_16_bits_are_whole() {
    for pages in [8190, 8191, 8192, 20_000] {
        let list = assemble(sent(pages).iter()).unwrap();
        let range = Ranges::new(&list, 1).unwrap().next().unwrap();
        assert_eq!(range.pfns().len(), pages as usize);
    }
}

#[test]
fn faults_are_named() {
    let two = words(&[(8192, 0, [1, 2].to_vec())]);
    let begin = |len, count, words: &[U64]| Assembler::begin(&header(len, count), words, LIMITS);
    assert_eq!(begin(24, 0, &two).unwrap_err(), BadGpadl::RangeCount(0));
    assert_eq!(begin(24, 65, &two).unwrap_err(), BadGpadl::RangeCount(65));
    let length = BadGpadl::Length {
        given: 16,
        actual: 24,
    };
    assert_eq!(begin(16, 1, &two).unwrap_err(), length);
    let huge = [RangeHeader::new(u32::MAX, 0).into()];
    let large = BadGpadl::TooLarge(0x10_0000);
    assert_eq!(begin(24, 1, &huge).unwrap_err(), large);
    let (mut assembler, progress) = begin(24, 1, &two[..2]).unwrap();
    assert_eq!((progress, assembler.pages()), (Progress::Incomplete, 2));
    let mut proceed = |gpadl, words: &[U64]| assembler.proceed(&body(gpadl), words);
    assert_eq!(proceed(3, &two[2..]), Err(BadGpadl::Handle(3)));
    assert_eq!(proceed(2, &[]), Err(BadGpadl::NoWords));
    assert_eq!(proceed(2, &two[2..]), Ok(Progress::Complete));
    assert_eq!(proceed(2, &two[2..]), Err(BadGpadl::Excess));
}

proptest! {
    #[test]
    fn what_is_sent_arrives(pages in 1_u32..200, offset in 0_u32..4096, seed: u32) {
        let range = RangeHeader::new(pages * 4096 - offset, offset);
        let pfns = (0..pages).map(|page| u64::from(seed) * 3 + u64::from(page));
        let messages: Vec<Encoded> = Messages::new(1, 2, range, pfns.clone()).unwrap().collect();
        let list = assemble(messages.iter()).unwrap();
        let found = Ranges::new(&list, 1).unwrap().next().unwrap();
        prop_assert_eq!((found.len(), found.offset()), (pages * 4096 - offset, offset));
        prop_assert!(found.pfns().iter().map(|pfn| pfn.get()).eq(pfns));
    }

    #[test]
    fn lists_may_be_cut_anywhere(given in ranges(6, 5), cuts in vec(1_usize..28, 40)) {
        let list = words(&given);
        let count = u16::try_from(given.len()).unwrap();
        let header = header(u16::try_from(list.len() * 8).unwrap(), count);
        let mut rest = &list[..];
        let mut state: Option<Assembler> = None;
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut.min(rest.len()));
            rest = tail;
            let progress = match &mut state {
                None => {
                    let (begun, progress) = Assembler::begin(&header, piece, LIMITS).unwrap();
                    state = Some(begun);
                    progress
                }
                Some(assembler) => assembler.proceed(&body(2), piece).unwrap(),
            };
            let whole = rest.is_empty();
            prop_assert_eq!(progress == Progress::Complete, whole);
            if whole {
                break;
            }
        }
    }

    #[test]
    fn hostile_lists_stay_within_the_limits(
        range_len: u16, count in 0_u16..5,
        messages in vec(vec(0_u64..0x2_0000_8000, 0..28), 1..9),
    ) {
        let limits = Limits { pages: 16, ranges: 3 };
        let mut list: Vec<U64> = Vec::new();
        let mut state: Option<Assembler> = None;
        for raw in messages {
            let piece: Vec<U64> = raw.into_iter().map(U64::new).collect();
            let result = match &mut state {
                None => Assembler::begin(&header(range_len, count), &piece, limits)
                    .map(|(begun, progress)| { state = Some(begun); progress }),
                Some(assembler) => assembler.proceed(&body(2), &piece),
            };
            let Ok(progress) = result else { return Ok(()) };
            list.extend(piece);
            prop_assert!(list.len() <= 16 + 3);
            if progress == Progress::Complete {
                let ranges = Ranges::new(&list, u32::from(count)).unwrap();
                prop_assert_eq!(ranges.words().len(), list.len());
                return Ok(());
            }
        }
    }
}
