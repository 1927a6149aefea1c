// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The devices every machine has.
//!
//! Just enough of a PC for Linux to boot, keep time, print, and end the
//! machine in ways that can be told apart.

pub mod i8042;
pub mod power;
pub mod pvpanic;
pub mod rtc;
pub mod serial;
