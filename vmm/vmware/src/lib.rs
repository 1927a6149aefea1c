// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What VMware's machines have beside their controllers.
//!
//! | module | what |
//! |---|---|
//! | [`balloon`] | the port by which a guest gives memory back |
//! | [`vmci`] | the device that tells it of a new target |
//!
//! Both are given memory and vectors. How a guest reaches the port, by an instruction whose
//! answer is in several registers, is the machine's.

#![cfg_attr(
    test,
    allow(clippy::arithmetic_side_effects, reason = "a test may fail")
)]

pub mod balloon;
pub mod vmci;
