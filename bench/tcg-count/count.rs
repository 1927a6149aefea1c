// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A QEMU plugin that counts the instructions an emulated processor executes.
//!
//! QEMU translates a guest in blocks and calls this plugin for every block that
//! it executes. The guest says what it is doing by *marks*: a no-operation that
//! nothing else uses, followed by a load of a 64-bit constant, which carries a
//! command in its top byte and a value below:
//!
//! | command | value |
//! |---|---|
//! | 1 | a phase begins: all counts go to that number from here on |
//! | 2, 3 | first address, size of the code of a module that is looked at; it is one with those before |
//! | 4 | no phase: nothing is counted |
//! | 5, 6 | first address, end of that kernel's entry code |
//!
//! At the end of every phase its counts are appended to the file named by the
//! argument `out=FILE`:
//!
//! ```text
//! phase NUMBER guest TOTAL host TOTAL
//! ADDRESS INCLUSIVE EXCLUSIVE TOTAL          one line a block, hexadecimal address
//! ```
//!
//! *Exclusive* counts are of the module's own code, *inclusive* ones of that and of
//! whatever runs until the module returns to its caller, but for interrupts, which
//! nobody calls: they come through the entry code. Where a processor runs
//! guests itself (SVM), what is between VMRUN and the exit is *guest*, the rest
//! *host*; elsewhere all is host. The module belongs to the side that said where
//! it is.
//!
//! The processor must be the only one: nothing here is locked.

mod calls;
mod instruction;
mod machine;
mod sys;

use machine::{Block, Machine};

/// Reads `out=FILE` among the plugin's arguments.
fn output(arguments: &[String]) -> Option<&str> {
    arguments.iter().find_map(|word| word.strip_prefix("out="))
}

/// Makes the counts, or says why not.
fn start(arguments: &[String]) -> Result<Machine, String> {
    let path = output(arguments).ok_or("say where counts go: out=FILE")?;
    Machine::new(path).map_err(|error| format!("{path}: {error}"))
}
