// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PCI: configuration space, BARs, MSI-X, the root bus.
//!
//! A device implements [`device::PciDevice`] and says what it looks like; the
//! core makes a [`function::Function`] of it, which owns
//!
//! - [`config`]: 256 bytes with a mask of what the guest may write, and the
//!   list of capabilities;
//! - [`bars`]: where the guest put the base address registers, and whether it
//!   lets them decode;
//! - [`msix`]: the vector table, its masks and its pending bits;
//! - [`pin`]: the interrupt pin, and the line that it shares.
//!
//! [`root::RootBus`] is bus 0: up to 32 devices of up to 8 functions, reached
//! through ports CF8/CFC and through ECAM. What only the machine can do
//! (claiming addresses, having KVM watch a doorbell) it does through
//! [`address_space::AddressSpaces`].
//!
//! Everything here takes `&self` and may be called by all vCPUs at once. A
//! function's lock is held while its configuration changes and never while its
//! device is called from a BAR access.

// A test that overflows fails, which is what it is for.
#![cfg_attr(test, allow(clippy::arithmetic_side_effects))]

pub mod address_space;
pub mod bars;
pub mod config;
pub mod device;
pub mod function;
pub mod host_bridge;
pub mod msix;
pub mod pin;
pub mod root;
#[cfg(any(test, feature = "testing"))]
pub mod stand_in;

#[cfg(test)]
mod testing;
