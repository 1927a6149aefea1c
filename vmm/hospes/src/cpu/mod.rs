// SPDX-License-Identifier: GPL-2.0 OR MIT

//! CPU models: which processor a guest sees.
//!
//! - [`table`]: the features that have names, and where CPUID shows them;
//! - [`features`]: sets of them;
//! - [`models`]: the models by name, as data;
//! - [`choice`]: a model with changes, as the user asks for it;
//! - [`build`]: the CPUID leaves that come of it, or what the host lacks.
//!
//! A named model is made of nothing but its table: no bit of the host's
//! processor shows in its feature registers. The exceptions are facts of KVM
//! and of the host that a guest needs as they are: the hypervisor's leaves, the
//! number of address bits, and the sizes of the extended state.

pub mod build;
pub mod choice;
mod dependencies;
pub mod features;
mod leaves;
pub mod models;
pub mod table;
mod xsave;

pub use choice::CpuModel;
