// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is known of the processor, and the counts.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

/// Calls that are remembered. Those further out are forgotten: tasks that are
/// switched away leave theirs behind.
const MOST_CALLS: usize = 1024;
/// How far down a return looks for its call: tasks and exceptions get between.
const NEAR: usize = 64;

/// A translated block.
#[derive(Debug, Default)]
pub struct Block {
    /// Address of its first instruction.
    pub start: u64,
    /// Address behind its last one.
    pub end: u64,
    /// Number of its instructions.
    pub instructions: u64,
    /// Whether the last one is a call.
    pub calls: bool,
    /// Whether the last one is a return.
    pub returns: bool,
    inclusive: Cell<u64>,
    exclusive: Cell<u64>,
    total: Cell<u64>,
}

/// The processor.
pub struct Machine {
    out: RefCell<BufWriter<File>>,
    blocks: RefCell<Vec<&'static Block>>,
    module: RefCell<Range<u64>>,
    /// Whether the module is a guest's: then the host's kernel, which may have other
    /// code at the same addresses, has no part in what is counted of it.
    in_guest: Cell<bool>,
    phase: Cell<Option<u64>>,
    guest: Cell<u64>,
    host: Cell<u64>,
    /// Where the host goes on after VMRUN, while the guest runs.
    exit: Cell<Option<u64>>,
    host_calls: RefCell<Calls>,
    guest_calls: RefCell<Calls>,
}

/// The calls that have not returned yet.
#[derive(Default)]
struct Calls {
    /// Return addresses, the outermost first.
    stack: Vec<u64>,
    /// How many there were when the module was entered.
    entered: Option<usize>,
    last: Option<&'static Block>,
}

impl Machine {
    /// A processor whose counts go to a file.
    pub fn new(path: &str) -> io::Result<Self> {
        Ok(Self {
            out: RefCell::new(BufWriter::new(File::create(path)?)),
            blocks: RefCell::default(),
            module: RefCell::new(0..0),
            in_guest: Cell::new(false),
            phase: Cell::new(None),
            guest: Cell::new(0),
            host: Cell::new(0),
            exit: Cell::new(None),
            host_calls: RefCell::default(),
            guest_calls: RefCell::default(),
        })
    }

    /// Notes a block that was translated.
    pub fn add(&self, block: Block) -> &'static Block {
        let block: &'static Block = Box::leak(Box::new(block));
        self.blocks.borrow_mut().push(block);
        block
    }

    /// A block is executed.
    pub fn execute(&self, block: &'static Block) {
        if self.exit.get() == Some(block.start) {
            self.exit.set(None);
        }
        if self.phase.get().is_none() {
            return;
        }
        let guest = self.exit.get().is_some();
        let is_module = guest == self.in_guest.get() && self.module.borrow().contains(&block.start);
        let calls = if guest {
            &self.guest_calls
        } else {
            &self.host_calls
        };
        let inside = calls.borrow_mut().step(block, is_module);
        let count = |cell: &Cell<u64>| cell.set(cell.get().wrapping_add(block.instructions));
        count(&block.total);
        count(if guest { &self.guest } else { &self.host });
        if is_module {
            count(&block.exclusive);
        }
        if inside {
            count(&block.inclusive);
        }
    }

    /// VMRUN is executed; the guest's exit leads to `exit`.
    pub fn enter_guest(&self, exit: u64) {
        self.exit.set(Some(exit));
    }

    /// A mark is executed.
    pub fn mark(&self, command: u8, value: u64) {
        match command {
            1 => {
                self.finish();
                // A mark is in user space: no call of the kernel's is open.
                for calls in [&self.host_calls, &self.guest_calls] {
                    *calls.borrow_mut() = Calls::default();
                }
                self.phase.set(Some(value));
            }
            2 => {
                *self.module.borrow_mut() = value..value;
                self.in_guest.set(self.exit.get().is_some());
            }
            3 => {
                let mut module = self.module.borrow_mut();
                module.end = module.start.saturating_add(value);
            }
            4 => self.finish(),
            _ => {}
        }
    }

    /// Ends the phase, if there is one, and writes its counts.
    pub fn finish(&self) {
        if let Some(phase) = self.phase.take() {
            if let Err(error) = self.write(phase) {
                eprintln!("tcg-count: {error}");
            }
        }
    }

    fn write(&self, phase: u64) -> io::Result<()> {
        let mut out = self.out.borrow_mut();
        writeln!(
            out,
            "phase {phase} guest {} host {}",
            self.guest.take(),
            self.host.take()
        )?;
        for block in self.blocks.borrow().iter() {
            let [inclusive, exclusive, total] =
                [&block.inclusive, &block.exclusive, &block.total].map(Cell::take);
            if total != 0 {
                writeln!(out, "{:x} {inclusive} {exclusive} {total}", block.start)?;
            }
        }
        out.flush()
    }
}

impl Calls {
    /// Follows the processor into a block; says whether the module is running or
    /// something that it called.
    fn step(&mut self, block: &'static Block, is_module: bool) -> bool {
        match self.last.replace(block) {
            Some(last) if last.calls => self.push(last.end),
            Some(last) if last.returns => self.pop(block.start),
            _ => {}
        }
        let is_kernel = block.start >> 63 != 0;
        if !is_kernel || self.entered.is_some_and(|depth| self.stack.len() < depth) {
            self.entered = None;
        }
        if is_module && self.entered.is_none() {
            self.entered = Some(self.stack.len());
        }
        self.entered.is_some()
    }

    fn push(&mut self, address: u64) {
        if self.stack.len() >= MOST_CALLS {
            let half = MOST_CALLS / 2;
            self.stack.drain(..half);
            self.entered = self.entered.map(|depth| depth.saturating_sub(half));
        }
        self.stack.push(address);
    }

    /// Takes away the call that returns to `address`, and what is inside of it.
    fn pop(&mut self, address: u64) {
        let near = self.stack.len().saturating_sub(NEAR);
        let found = self
            .stack
            .get(near..)
            .and_then(|top| top.iter().rposition(|at| *at == address));
        if let Some(position) = found {
            self.stack.truncate(near + position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 1 << 63;

    fn block(start: u64, calls: bool, returns: bool) -> &'static Block {
        let start = KERNEL + start;
        Box::leak(Box::new(Block {
            start,
            end: start + 1,
            instructions: 1,
            calls,
            returns,
            ..Block::default()
        }))
    }

    /// Whether each block counts as inside; the module is at 100 to 199.
    fn inside(blocks: &[(u64, bool, bool)]) -> Vec<bool> {
        let mut calls = Calls::default();
        let is_module = |start: u64| (100..200).contains(&start);
        blocks
            .iter()
            .map(|(start, c, r)| calls.step(block(*start, *c, *r), is_module(*start)))
            .collect()
    }

    #[test]
    fn what_the_module_calls_is_inside() {
        let run = [
            (1, true, false),
            (100, true, false),
            (50, false, true),
            (101, false, true),
            (2, false, false),
        ];
        assert_eq!(inside(&run), [false, true, true, true, false]);
    }

    #[test]
    fn a_jump_into_the_module_ends_with_the_return_to_the_caller() {
        // 1 calls 50, which jumps to 100, which returns to 2.
        let run = [
            (1, true, false),
            (50, false, false),
            (100, false, true),
            (2, false, false),
        ];
        assert_eq!(inside(&run), [false, false, true, false]);
    }

    #[test]
    fn a_call_back_into_the_module_stays_inside() {
        let run = [
            (1, true, false),
            (100, true, false),
            (50, true, false),
            (110, false, true),
            (51, false, true),
            (101, false, true),
            (2, false, false),
        ];
        assert_eq!(inside(&run), [false, true, true, true, true, true, false]);
    }

    #[test]
    fn the_host_has_no_part_in_a_guests_module() {
        let machine = Machine::new("/dev/null").unwrap();
        let (module, exit) = (block(100, false, false), block(1, false, false));
        machine.enter_guest(exit.start);
        machine.mark(2, KERNEL + 100);
        machine.mark(3, 100);
        machine.mark(1, 7);
        machine.execute(module);
        machine.execute(exit);
        machine.execute(module);
        assert_eq!(module.exclusive.get(), 1);
        assert_eq!((machine.guest.get(), machine.host.get()), (1, 2));
    }
}
