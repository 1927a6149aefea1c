// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What is known of the processor, and the counts.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;

use crate::calls::{Calls, Place};

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
    /// Whether the last one ends an interrupt or an exception.
    pub resumes: bool,
    inclusive: Cell<u64>,
    exclusive: Cell<u64>,
    total: Cell<u64>,
}

/// The processor.
pub struct Machine {
    out: RefCell<BufWriter<File>>,
    blocks: RefCell<Vec<&'static Block>>,
    /// The code that is looked at, of one module or of several.
    modules: RefCell<Vec<Range<u64>>>,
    /// Where that kernel's interrupts, exceptions and system calls begin and end.
    entries: RefCell<Range<u64>>,
    /// Whether the modules are a guest's: then the host's kernel, which may have other
    /// code at the same addresses, has no part in what is counted of them.
    in_guest: Cell<bool>,
    phase: Cell<Option<u64>>,
    guest: Cell<u64>,
    host: Cell<u64>,
    /// Where the host goes on after VMRUN, while the guest runs.
    exit: Cell<Option<u64>>,
    host_calls: RefCell<Calls>,
    guest_calls: RefCell<Calls>,
}

impl Machine {
    /// A processor whose counts go to a file.
    pub fn new(path: &str) -> io::Result<Self> {
        Ok(Self {
            out: RefCell::new(BufWriter::new(File::create(path)?)),
            blocks: RefCell::default(),
            modules: RefCell::default(),
            entries: RefCell::new(0..0),
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
        let place = self.place(block.start, guest);
        let calls = if guest {
            &self.guest_calls
        } else {
            &self.host_calls
        };
        let inside = calls.borrow_mut().step(block, place);
        let count = |cell: &Cell<u64>| cell.set(cell.get().wrapping_add(block.instructions));
        count(&block.total);
        count(if guest { &self.guest } else { &self.host });
        if place == Place::Module {
            count(&block.exclusive);
        }
        if inside {
            count(&block.inclusive);
        }
    }

    /// What an address of a guest, or of the host, belongs to.
    fn place(&self, address: u64, guest: bool) -> Place {
        if guest != self.in_guest.get() {
            return Place::Other;
        }
        if self
            .modules
            .borrow()
            .iter()
            .any(|module| module.contains(&address))
        {
            return Place::Module;
        }
        if self.entries.borrow().contains(&address) {
            return Place::Entry;
        }
        Place::Other
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
                self.modules.borrow_mut().push(value..value);
                self.in_guest.set(self.exit.get().is_some());
            }
            3 => {
                if let Some(module) = self.modules.borrow_mut().last_mut() {
                    module.end = module.start.saturating_add(value);
                }
            }
            4 => self.finish(),
            5 => *self.entries.borrow_mut() = value..value,
            6 => self.entries.borrow_mut().end = value,
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

#[cfg(test)]
mod tests {
    use super::*;

    const KERNEL: u64 = 1 << 63;

    fn block(start: u64) -> &'static Block {
        let start = KERNEL + start;
        Box::leak(Box::new(Block {
            start,
            end: start + 1,
            instructions: 1,
            ..Block::default()
        }))
    }

    #[test]
    fn the_host_has_no_part_in_a_guests_module() {
        let machine = Machine::new("/dev/null").unwrap();
        let (module, exit) = (block(100), block(1));
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

    #[test]
    fn several_modules_are_one() {
        let machine = Machine::new("/dev/null").unwrap();
        for start in [100, 300] {
            machine.mark(2, KERNEL + start);
            machine.mark(3, 10);
        }
        machine.mark(5, KERNEL + 50);
        machine.mark(6, KERNEL + 60);
        let place = |at| machine.place(KERNEL + at, false);
        assert_eq!(
            [100, 309, 310].map(place),
            [Place::Module, Place::Module, Place::Other]
        );
        assert_eq!([50, 60].map(place), [Place::Entry, Place::Other]);
        assert_eq!(machine.place(KERNEL + 100, true), Place::Other);
    }
}
