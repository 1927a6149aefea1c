// SPDX-License-Identifier: GPL-2.0 OR MIT

//! pvscsi: what a device may say of its rings, in completions, messages and its page.
//!
//! Two bytes choose the sizes of a ring: what there is room for, and what the
//! device makes of it. Then pieces follow, each as long as the largest that is
//! read, taken for everything that it could be.

use protocol::pvscsi::config::ControllerPage;
use protocol::pvscsi::ring::{self, COMPLETIONS_PER_PAGE};
use protocol::pvscsi::{
    Completion, CompletionDescriptor, Context, Entries, MessageDescriptor, Notice, Verdict,
    SENSE_SIZE,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::input::Input;

/// Bytes of a piece: those of a message.
const PIECE: usize = 128;

/// Runs a ring and pieces.
///
/// # Panics
///
/// If anything is understood to be more than there is room for.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let pages = ring::ring_pages(i32::from(input.u8()), 0);
    let told = u32::from(input.u8());
    let room = Entries::of_pages(pages, COMPLETIONS_PER_PAGE);
    let Some(entries) = room.and_then(|room| room.told(told).ok()) else {
        return;
    };
    assert!(room.is_some_and(|room| entries.count() <= room.count()));
    while !input.is_empty() {
        let mut piece = [0; PIECE];
        let bytes = input.take(PIECE);
        piece[..bytes.len()].copy_from_slice(bytes);
        indices(&piece, entries);
        completion(&piece, entries.count());
        message(&piece);
        page(&piece);
    }
}

fn indices(piece: &[u8; PIECE], entries: Entries) {
    let Ok(([produced, consumed], _)) = <[u32; 2]>::read_from_prefix(piece) else {
        return;
    };
    assert!(entries.slot(produced) < entries.count() as usize);
    if let Ok(used) = entries.used(produced, consumed) {
        assert!(used <= entries.count());
    }
    let _ = ring::needs_kick(produced, consumed, produced, entries);
}

fn completion(piece: &[u8; PIECE], contexts: u32) {
    let Ok((completion, rest)) = CompletionDescriptor::read_from_prefix(piece) else {
        return;
    };
    if let Some(index) = completion.context().index(contexts) {
        assert!(index < contexts && Context::of_index(index) == completion.context());
    }
    let data_len = u32::read_from_prefix(rest).map_or(0, |(len, _)| len);
    let outcome = completion.check(data_len);
    assert!(outcome.residual <= data_len && outcome.sense_len <= SENSE_SIZE);
    if Completion::from(&completion).is_plain(data_len) {
        assert!(outcome.verdict == Verdict::Ok && outcome.residual == 0);
    }
}

fn message(piece: &[u8; PIECE]) {
    let Ok(message) = MessageDescriptor::read_from_bytes(piece) else {
        return;
    };
    if let Notice::Added(place) | Notice::Removed(place) = message.decode() {
        let said = MessageDescriptor::new(message.kind.get(), place);
        assert_eq!(said.as_bytes()[..20], piece[..20]);
    }
}

/// The page is longer than a piece: what it says is at its end.
fn page(piece: &[u8; PIECE]) {
    let mut bytes = [0; 480];
    bytes[..64].copy_from_slice(&piece[..64]);
    bytes[416..].copy_from_slice(&piece[64..]);
    let targets = ControllerPage::read_from_bytes(&bytes)
        .ok()
        .and_then(|page| page.targets());
    assert!(targets.is_none_or(|targets| (1..=256).contains(&targets)));
}
