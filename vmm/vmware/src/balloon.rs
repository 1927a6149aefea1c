// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The balloon port: a guest of VMware gives pages back as its host wants it.
//!
//! | module | what |
//! |---|---|
//! | [`port`] | the commands, on the record of pages that all balloons share |
//! | [`fault`] | what the port can be told to do wrong |
//! | `commands` | how often each command came and failed |
//!
//! Not obvious: a guest that has not begun, has ended, or is told to reset gets the same
//! answer to whatever it asks: it is to forget its balloon, and begin. Its pages stay on
//! record until it begins, as until then it may still own them.

mod commands;
pub mod fault;
pub mod port;
#[cfg(test)]
mod tests;

pub use fault::{Fault, FaultStatus};
pub use port::{Offer, Port};
