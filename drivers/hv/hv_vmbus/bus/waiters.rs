// SPDX-License-Identifier: GPL-2.0

//! Who waits for an answer of the host.
//!
//! An answer names what it is about; there are no sequence numbers. A request about a channel is
//! never answered once the host has taken the channel away, so all of its waiters are woken then,
//! and none is let in until its number is given back. Nor is any for a channel without a number.

use super::Bus;
use guest::completion::Completion;
use kernel::{
    prelude::*,
    sync::Arc, //
};
use protocol::hyperv::event::FLAG_COUNT;

/// After how long a notice is printed that the host has not answered.
const NOTICE_MS: u32 = 60_000;

/// What an answer is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// A version.
    Version,
    /// Opening a channel.
    Open { relid: u32, open_id: u32 },
    /// Memory that the host is told of.
    Created { relid: u32, gpadl: u32 },
    /// Memory that it is to forget.
    TornDown { gpadl: u32 },
    /// Another processor for a channel.
    Moved { relid: u32 },
}

/// What the host says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Whether it speaks the version, and where messages are to go to.
    Version { is_supported: bool, connection: u32 },
    /// 0 if it was done.
    Status(u32),
    /// The channel is gone.
    Gone,
}

struct Waiter {
    key: Key,
    relid: Option<u32>,
    answer: Option<Answer>,
    done: Arc<Completion>,
}

/// Those who wait, and the channels that are gone.
pub(crate) struct Waiters {
    list: KVec<Waiter>,
    gone: [u64; FLAG_COUNT as usize / 64],
}

impl Waiters {
    pub(crate) const fn new() -> Self {
        Self {
            list: KVec::new(),
            gone: [0; FLAG_COUNT as usize / 64],
        }
    }

    /// A number that no channel can have is that of one which the host does not know: it has not
    /// been offered anew after a sleep.
    fn is_gone(&self, relid: u32) -> bool {
        let word = self.gone.get((relid / 64) as usize);
        word.is_none_or(|word| word & (1 << (relid % 64)) != 0)
    }

    fn add(&mut self, key: Key, relid: Option<u32>, done: Arc<Completion>) -> Result {
        if relid.is_some_and(|relid| self.is_gone(relid)) {
            return Err(ENODEV);
        }
        let waiter = Waiter {
            key,
            relid,
            answer: None,
            done,
        };
        Ok(self.list.push(waiter, GFP_ATOMIC)?)
    }

    /// Takes a waiter off the list, with its answer.
    fn take(&mut self, done: &Arc<Completion>) -> Option<Answer> {
        let at = self
            .list
            .iter()
            .position(|waiter| Arc::ptr_eq(&waiter.done, done))?;
        self.list.remove(at).ok()?.answer
    }

    /// Answers who waits for this first. Others may ask the same later.
    pub(crate) fn answer(&mut self, key: Key, answer: Answer) {
        let waits = |waiter: &&mut Waiter| waiter.key == key && waiter.answer.is_none();
        if let Some(waiter) = self.list.iter_mut().find(waits) {
            waiter.answer = Some(answer);
            waiter.done.complete_all();
        }
    }

    /// A channel is gone.
    pub(crate) fn revoke(&mut self, relid: u32) {
        if let Some(word) = self.gone.get_mut((relid / 64) as usize) {
            *word |= 1 << (relid % 64);
        }
        for waiter in self.list.iter_mut() {
            if waiter.relid == Some(relid) && waiter.answer.is_none() {
                waiter.answer = Some(Answer::Gone);
                waiter.done.complete_all();
            }
        }
    }

    /// The number may be that of another channel from now on.
    pub(crate) fn forgive(&mut self, relid: u32) {
        if let Some(word) = self.gone.get_mut((relid / 64) as usize) {
            *word &= !(1 << (relid % 64));
        }
    }

    /// All channels are gone, or none.
    pub(crate) fn forgive_all(&mut self) {
        self.gone = [0; FLAG_COUNT as usize / 64];
    }
}

impl Bus {
    /// Calls `post`, which asks the host something, and waits for the answer. Sleeps.
    ///
    /// Without a limit, as memory is the host's until it says otherwise, a notice is printed from
    /// time to time.
    ///
    /// # Errors
    ///
    /// `ENODEV` if the channel is gone or has no number, `ETIMEDOUT`, `ENOMEM`, or what `post` says.
    pub(super) fn ask(
        &self,
        key: Key,
        relid: Option<u32>,
        limit_ms: Option<u32>,
        post: impl FnOnce() -> Result,
    ) -> Result<Answer> {
        let done = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        self.waiters
            .with(|waiters| waiters.add(key, relid, done.clone()))?;
        let result = post().and_then(|()| wait(key, &done, limit_ms));
        let answer = self.waiters.with(|waiters| waiters.take(&done));
        match (result, answer) {
            (_, Some(Answer::Gone)) => Err(ENODEV),
            (Ok(()), answer) => answer.ok_or(EIO),
            (Err(error), _) => Err(error),
        }
    }
}

fn wait(key: Key, done: &Completion, limit_ms: Option<u32>) -> Result {
    if let Some(limit) = limit_ms {
        return done.wait_timeout(limit);
    }
    while done.wait_timeout(NOTICE_MS).is_err() {
        pr_warn!("the host does not answer: {:?}\n", key);
    }
    Ok(())
}

#[kernel::macros::kunit_tests(hv_vmbus_waiters)]
mod tests {
    use super::*;

    fn add(waiters: &mut Waiters, key: Key, relid: u32) -> Result<Arc<Completion>> {
        let done = Arc::pin_init(Completion::new(), GFP_KERNEL)?;
        waiters.add(key, Some(relid), done.clone())?;
        Ok(done)
    }

    #[test]
    fn each_waiter_gets_its_answer() -> Result {
        let mut waiters = Waiters::new();
        let first = add(&mut waiters, Key::Moved { relid: 1 }, 1)?;
        let second = add(&mut waiters, Key::Moved { relid: 2 }, 2)?;
        waiters.answer(Key::Moved { relid: 2 }, Answer::Status(5));
        waiters.answer(Key::Moved { relid: 3 }, Answer::Status(6));
        assert_eq!(waiters.take(&second), Some(Answer::Status(5)));
        assert_eq!(waiters.take(&first), None);
        assert!(waiters.list.is_empty());
        Ok(())
    }

    #[test]
    fn nobody_waits_for_a_channel_that_is_gone() -> Result {
        let mut waiters = Waiters::new();
        let done = add(&mut waiters, Key::TornDown { gpadl: 1 }, 70)?;
        waiters.revoke(70);
        assert_eq!(waiters.take(&done), Some(Answer::Gone));
        assert!(add(&mut waiters, Key::TornDown { gpadl: 1 }, 70).is_err());
        waiters.revoke(u32::MAX);
        waiters.forgive(70);
        assert!(add(&mut waiters, Key::TornDown { gpadl: 1 }, 70).is_ok());
        Ok(())
    }

    #[test]
    fn nobody_waits_for_a_channel_without_a_number() {
        let mut waiters = Waiters::new();
        let key = Key::TornDown { gpadl: 1 };
        for relid in [u32::MAX, u32::from(FLAG_COUNT)] {
            assert!(add(&mut waiters, key, relid).is_err());
        }
        assert!(add(&mut waiters, key, u32::from(FLAG_COUNT) - 1).is_ok());
    }
}
