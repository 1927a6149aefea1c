// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory that host and guest both read and write.
//!
//! The lock-free protocols of this crate ([`super::slot`], [`super::event`] and
//! the ring buffer of VMBus) are functions of a [`Shared`]. The guest implements
//! it over mapped pages, the VMM over a list of guest pages, and the tests over
//! the atomics of `loom`, which tries every order in which the two sides can
//! see each other's stores.
//!
//! Not obvious: every protocol is about two sides that each store one word and
//! then look at another. That is the one pattern that acquire and release do
//! not order, on x86 neither, so each has a [`Shared::fence`] in between, on
//! both sides. Without it a signal is lost once in a long while.

/// Words and bytes that the other side may change at any moment.
///
/// Words are 32 bits, little-endian and aligned. Code of this crate never asks
/// for anything beyond [`Shared::size`]; an implementation that is asked all the
/// same must not touch memory and may return anything.
///
/// Memory has to stay there as long as the value does: nothing here can fail.
pub trait Shared {
    /// Number of bytes.
    fn size(&self) -> u32;

    /// Loads a word, in no order with other accesses.
    fn load(&self, offset: u32) -> u32;

    /// Loads a word; what follows in the program is not done before.
    fn load_acquire(&self, offset: u32) -> u32;

    /// Stores a word, in no order with other accesses.
    fn store(&self, offset: u32, value: u32);

    /// Stores a word; what precedes in the program is done before.
    fn store_release(&self, offset: u32, value: u32);

    /// Orders all accesses before it with all after it (a sequentially consistent fence).
    fn fence(&self);

    /// Copies bytes out. They may be torn if the other side does not keep to the protocol.
    fn read(&self, offset: u32, into: &mut [u8]);

    /// Copies bytes in.
    fn write(&self, offset: u32, from: &[u8]);
}

/// [`Shared`] with read-modify-write operations, each of which is sequentially consistent.
pub trait SharedExchange: Shared {
    /// Stores `new` if the word is `current`, and says whether it did.
    fn compare_exchange(&self, offset: u32, current: u32, new: u32) -> bool;

    /// Sets bits of a word and returns what it was.
    fn fetch_or(&self, offset: u32, bits: u32) -> u32;

    /// Keeps only these bits of a word and returns what it was.
    fn fetch_and(&self, offset: u32, bits: u32) -> u32;
}

impl<T: Shared + ?Sized> Shared for &T {
    fn size(&self) -> u32 {
        (**self).size()
    }

    fn load(&self, offset: u32) -> u32 {
        (**self).load(offset)
    }

    fn load_acquire(&self, offset: u32) -> u32 {
        (**self).load_acquire(offset)
    }

    fn store(&self, offset: u32, value: u32) {
        (**self).store(offset, value);
    }

    fn store_release(&self, offset: u32, value: u32) {
        (**self).store_release(offset, value);
    }

    fn fence(&self) {
        (**self).fence();
    }

    fn read(&self, offset: u32, into: &mut [u8]) {
        (**self).read(offset, into);
    }

    fn write(&self, offset: u32, from: &[u8]) {
        (**self).write(offset, from);
    }
}

impl<T: SharedExchange + ?Sized> SharedExchange for &T {
    fn compare_exchange(&self, offset: u32, current: u32, new: u32) -> bool {
        (**self).compare_exchange(offset, current, new)
    }

    fn fetch_or(&self, offset: u32, bits: u32) -> u32 {
        (**self).fetch_or(offset, bits)
    }

    fn fetch_and(&self, offset: u32, bits: u32) -> u32 {
        (**self).fetch_and(offset, bits)
    }
}
