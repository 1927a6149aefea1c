// SPDX-License-Identifier: GPL-2.0

//! One interrupt vector of a PCI function, and its handler.

use core::{
    mem,
    ptr, //
};
use kernel::{
    device::Bound,
    irq::{
        self,
        Flags, //
    },
    pci::{
        self,
        IrqType,
        IrqTypes,
        IrqVectorRegistration, //
    },
    prelude::*,
    sync::aref::ARef, //
};

/// A vector and its handler. Dropping it waits until the handler does not run any more.
///
/// It must be dropped before the device is unbound, as all that a driver has of it.
///
/// # Invariants
///
/// What `registration` refers to is `vectors`, in its box, and what that refers to is `_dev`.
/// Fields are dropped in that order.
pub struct Interrupt<H: irq::Handler + 'static> {
    registration: Pin<KBox<irq::Registration<'static, H>>>,
    vectors: KBox<IrqVectorRegistration<'static>>,
    _dev: ARef<pci::Device>,
}

// SAFETY: Vectors may be given back from any thread, and so may a handler that is `Send`.
unsafe impl<H: irq::Handler + Send + 'static> Send for Interrupt<H> {}

impl<H: irq::Handler + 'static> Interrupt<H> {
    /// Gets one vector of the best of `types`, and handles it by what `handler` makes for the type
    /// that was chosen. A line (INTx) may be shared with other devices.
    ///
    /// # Errors
    ///
    /// What the PCI core, the interrupt core, or `handler` say.
    pub fn new(
        dev: &pci::Device<Bound>,
        types: IrqTypes,
        name: &'static CStr,
        handler: impl FnOnce(IrqType) -> Result<H>,
    ) -> Result<Self> {
        let kept: ARef<pci::Device> = dev.into();
        let vectors = KBox::new(dev.alloc_irq_vectors(1, 1, types)?, GFP_KERNEL)?;
        // SAFETY: Only the lifetime is changed: the device is kept by `kept`, which is dropped last,
        // and bound as long by the requirement on the type.
        let vectors = unsafe {
            mem::transmute::<KBox<IrqVectorRegistration<'_>>, KBox<IrqVectorRegistration<'static>>>(
                vectors,
            )
        };
        // SAFETY: The box stays where it is as long as the registration, which is dropped first.
        let borrowed: &'static IrqVectorRegistration<'static> =
            unsafe { &*ptr::from_ref(&*vectors) };
        let handler = handler(borrowed.irq_type())?;
        let flags = match borrowed.irq_type() {
            IrqType::Intx => Flags::SHARED,
            IrqType::Msi | IrqType::MsiX => Flags::TRIGGER_NONE,
        };
        // SAFETY: What comes of it is dropped with this value.
        let registration =
            unsafe { irq::Registration::new(borrowed.index(0)?.into(), flags, name, Ok(handler)) };
        // INVARIANT: By construction.
        Ok(Self {
            registration: KBox::pin_init(registration, GFP_KERNEL)?,
            vectors,
            _dev: kept,
        })
    }

    /// The type of the vector.
    pub fn irq_type(&self) -> IrqType {
        self.vectors.irq_type()
    }

    /// Waits until the handler does not run any more, if it does.
    pub fn synchronize(&self) {
        self.registration.synchronize();
    }
}
