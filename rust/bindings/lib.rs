// SPDX-License-Identifier: GPL-2.0

//! Bindings to the kernel's C interfaces: `kernel::bindings` and what it does not have.
//!
//! What is generated, and how it stays one world with `kernel::bindings`, is in
//! `bindgen_parameters`. Only the crate `guest` uses this one; a driver that
//! needs something from here needs a safe wrapper there first.
//!
//! The one-line C functions of `rust/helpers`, for what is a macro or an inline
//! function in C, are here under the name of what they wrap, without the prefix.

#![no_std]
#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    non_snake_case,
    improper_ctypes,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]
#![feature(cfi_encoding)]

#[allow(clippy::as_underscore)]
#[allow(clippy::cast_lossless)]
#[allow(clippy::ptr_as_ptr)]
#[allow(clippy::ref_as_ptr)]
#[allow(clippy::undocumented_unsafe_blocks)]
#[cfg_attr(not(CONFIG_RUSTC_HAS_UNNECESSARY_TRANSMUTES), allow(unknown_lints))]
#[allow(unnecessary_transmutes)]
mod bindings_raw {
    // What is generated here takes precedence over a glob import: so whatever the
    // kernel's crate only knows by name is whole here.
    pub use kernel::bindings::*;

    use kernel::ffi;
    use pin_init::{
        MaybeZeroable,
        Zeroable, //
    };

    // SAFETY: `__BindgenBitfieldUnit<Storage>` is a newtype around `Storage`.
    unsafe impl<Storage> Zeroable for __BindgenBitfieldUnit<Storage> where Storage: Zeroable {}

    include!(env!("GUEST_BINDINGS"));
}

#[allow(unused_imports)]
mod bindings_helper {
    use super::bindings_raw::*;
    use kernel::ffi;

    include!(env!("GUEST_BINDINGS_HELPERS"));
}

pub use bindings_helper::*;
pub use bindings_raw::*;
