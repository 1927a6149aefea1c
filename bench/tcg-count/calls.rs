// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The calls of one kernel that have not returned yet, and its interrupts.

use crate::machine::Block;

/// Calls that are remembered. Those further out are forgotten: tasks that are
/// switched away leave theirs behind.
const MOST_CALLS: usize = 1024;
/// How far down a return looks for its call: tasks and exceptions get between.
const NEAR: usize = 64;
/// Interrupts within interrupts that are remembered.
const MOST_INTERRUPTS: usize = 16;

/// What a block belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// What is looked at.
    Module,
    /// The kernel's entry code, through which interrupts, exceptions and system
    /// calls come and go.
    Entry,
    Other,
}

/// The calls that have not returned yet.
#[derive(Default)]
pub struct Calls {
    /// Return addresses, the outermost first.
    stack: Vec<u64>,
    /// How many there were when the module was entered.
    entered: Option<usize>,
    /// What was going on when each interrupt came, the outermost first.
    interrupted: Vec<Interrupted>,
    last: Option<(&'static Block, Place)>,
}

struct Interrupted {
    calls: usize,
    entered: Option<usize>,
}

impl Calls {
    /// Follows the processor into a block; says whether the module is running or
    /// something that it called. An interrupt was called by nobody.
    pub fn step(&mut self, block: &'static Block, place: Place) -> bool {
        if let Some((last, from)) = self.last.replace((block, place)) {
            self.follow(last, from, block.start, place);
        }
        let is_kernel = block.start >> 63 != 0;
        if !is_kernel {
            self.interrupted.clear();
        }
        if !is_kernel || self.entered.is_some_and(|depth| self.stack.len() < depth) {
            self.entered = None;
        }
        if place == Place::Module && self.entered.is_none() {
            self.entered = Some(self.stack.len());
        }
        self.entered.is_some()
    }

    /// How the processor came from one block to the next.
    fn follow(&mut self, last: &Block, from: Place, to: u64, place: Place) {
        if last.resumes {
            return self.resume();
        }
        if last.calls {
            self.push(last.end);
        }
        let returned = last.returns && self.pop(to);
        if place == Place::Entry && from != Place::Entry && !returned {
            self.interrupt();
        }
    }

    fn interrupt(&mut self) {
        if self.interrupted.len() < MOST_INTERRUPTS {
            let (calls, entered) = (self.stack.len(), self.entered.take());
            self.interrupted.push(Interrupted { calls, entered });
        }
    }

    fn resume(&mut self) {
        if let Some(before) = self.interrupted.pop() {
            self.stack.truncate(before.calls);
            self.entered = before.entered;
        }
    }

    fn push(&mut self, address: u64) {
        if self.stack.len() >= MOST_CALLS {
            self.forget(MOST_CALLS / 2);
        }
        self.stack.push(address);
    }

    /// Forgets so many of the outermost calls.
    fn forget(&mut self, calls: usize) {
        self.stack.drain(..calls);
        let less = |depth: usize| depth.saturating_sub(calls);
        self.entered = self.entered.map(less);
        for before in &mut self.interrupted {
            before.calls = less(before.calls);
            before.entered = before.entered.map(less);
        }
    }

    /// Takes away the call that returns to `address`, and what is inside of it; says
    /// whether there is one.
    fn pop(&mut self, address: u64) -> bool {
        let near = self.stack.len().saturating_sub(NEAR);
        let found = self
            .stack
            .get(near..)
            .and_then(|top| top.iter().rposition(|at| *at == address));
        if let Some(position) = found {
            self.stack.truncate(near + position);
        }
        found.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 1 << 63;

    /// How a block ends.
    #[derive(Clone, Copy, PartialEq)]
    enum End {
        Call,
        Return,
        Iret,
        Falls,
    }
    use End::{Call, Falls, Iret, Return};

    /// Whether each block counts as inside; the module is at 100 to 199, the entry
    /// code at 200 to 299.
    fn inside(blocks: &[(u64, End)]) -> Vec<bool> {
        let mut calls = Calls::default();
        let mut step = |&(at, end): &(u64, End)| {
            let mut block = Block::default();
            (block.start, block.end) = (KERNEL + at, KERNEL + at + 1);
            (block.calls, block.returns, block.resumes) = (end == Call, end == Return, end == Iret);
            let place = match at {
                100..=199 => Place::Module,
                200..=299 => Place::Entry,
                _ => Place::Other,
            };
            calls.step(Box::leak(Box::new(block)), place)
        };
        blocks.iter().map(&mut step).collect()
    }

    #[test]
    fn what_the_module_calls_is_inside() {
        let run = [
            (1, Call),
            (100, Call),
            (50, Return),
            (101, Return),
            (2, Falls),
        ];
        assert_eq!(inside(&run), [false, true, true, true, false]);
    }

    #[test]
    fn a_jump_into_the_module_ends_with_the_return_to_the_caller() {
        // 1 calls 50, which jumps to 100, which returns to 2.
        let run = [(1, Call), (50, Falls), (100, Return), (2, Falls)];
        assert_eq!(inside(&run), [false, false, true, false]);
    }

    #[test]
    fn a_call_back_into_the_module_stays_inside() {
        let run = [
            (1, Call),
            (100, Call),
            (50, Call),
            (110, Return),
            (51, Return),
            (101, Return),
            (2, Falls),
        ];
        assert_eq!(inside(&run), [false, true, true, true, true, true, false]);
    }

    #[test]
    fn an_interrupt_is_nobodys_call() {
        // The handler is called by the entry code and returns into it.
        let run = [
            (1, Call),
            (100, Falls),
            (200, Call),
            (60, Return),
            (201, Iret),
            (101, Return),
            (2, Falls),
        ];
        assert_eq!(
            inside(&run),
            [false, true, false, false, false, true, false]
        );
    }

    #[test]
    fn a_module_that_handles_an_interrupt_is_inside() {
        let run = [
            (1, Call),
            (100, Call),
            (50, Falls),
            (200, Call),
            (60, Call),
            (110, Return),
            (61, Return),
            (201, Iret),
            (51, Return),
            (101, Return),
            (2, Falls),
        ];
        assert_eq!(
            inside(&run),
            [false, true, true, false, false, true, false, false, true, true, false]
        );
    }

    #[test]
    fn an_interrupt_right_after_a_return_is_one() {
        let run = [
            (1, Call),
            (100, Call),
            (50, Return),
            (200, Iret),
            (101, Return),
            (2, Falls),
        ];
        assert_eq!(inside(&run), [false, true, true, false, true, false]);
    }
}
