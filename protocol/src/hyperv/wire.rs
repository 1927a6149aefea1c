// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a structure of the wire is declared: its size stands behind its name.

/// Declares a structure without padding, and asserts its size.
macro_rules! wire {
    (
        $(#[$attribute:meta])*
        pub struct $name:ident: $size:literal { $($fields:tt)* }
    ) => {
        $(#[$attribute])*
        #[derive(
            Clone,
            Copy,
            Debug,
            PartialEq,
            Eq,
            zerocopy_derive::FromBytes,
            zerocopy_derive::IntoBytes,
            zerocopy_derive::Immutable,
            zerocopy_derive::KnownLayout,
            zerocopy_derive::Unaligned,
        )]
        #[repr(C)]
        pub struct $name { $($fields)* }

        const _: () = assert!(core::mem::size_of::<$name>() == $size);
    };
}

pub(crate) use wire;
