// SPDX-License-Identifier: GPL-2.0

//! Addresses for the registers of devices that are behind the bus: PCI devices that are passed
//! through, and the graphics adapter.
//!
//! Firmware leaves windows to the bus. What a driver gets is claimed twice: in a window of ours,
//! and among all addresses of the machine, where `/proc/iomem` shows it. The frame buffer that
//! firmware has set up is claimed in the window from the beginning, so that only the driver that
//! knows about it gets it.

use crate::sys::{
    locks::BROKER,
    release_memory,
    Firmware,
    Window, //
};
use core::mem;
use kernel::prelude::*;
use protocol::vmbus::mmio::{
    framebuffer,
    framebuffer_sizes,
    Span,
    Wish, //
};

pub(crate) struct Broker {
    /// From the lowest on.
    windows: KVec<Window>,
    framebuffer: Option<Span>,
}

impl Broker {
    /// Has no windows.
    pub(crate) const EMPTY: Self = Self {
        windows: KVec::new(),
        framebuffer: None,
    };
}

/// Windows that were found so far.
pub(crate) struct Found(KVec<Span>);

impl Found {
    /// None yet.
    pub(crate) const fn new() -> Self {
        Self(KVec::new())
    }

    /// Whether there is any.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Firmware names a window.
    pub(crate) fn add(&mut self, window: Span) -> Result {
        let Some(window) = window.usable() else {
            return Ok(());
        };
        for known in &mut self.0 {
            if let Some(both) = known.joined(window) {
                *known = both;
                return Ok(());
            }
        }
        let place = self
            .0
            .iter()
            .take_while(|one| one.first < window.first)
            .count();
        self.0.push(window, GFP_KERNEL)?;
        if let Some(above) = self.0.get_mut(place..) {
            above.rotate_right(1);
        }
        Ok(())
    }
}

/// From now on there is something to get.
pub(crate) fn begin(found: Found) -> Result {
    let mut windows = KVec::with_capacity(found.0.len(), GFP_KERNEL)?;
    for span in found.0 {
        windows.push(Window::new(span)?, GFP_KERNEL)?;
    }
    BROKER.lock().windows = windows;
    Ok(())
}

/// From now on there is nothing to get. The drivers that had anything have gone before.
pub(crate) fn end() {
    let mut broker = BROKER.lock();
    let Broker {
        windows,
        framebuffer,
    } = mem::replace(&mut *broker, Broker::EMPTY);
    if let (Some(first), Some(framebuffer)) = (windows.first(), framebuffer) {
        first.release(framebuffer);
    }
}

/// Keeps the addresses of the frame buffer for its driver.
pub(crate) fn reserve_framebuffer(firmware: Firmware) {
    let mut broker = BROKER.lock();
    let Some(window) = broker.windows.first() else {
        return;
    };
    let (base, largest) = match firmware {
        Firmware::Uefi { base, size } => framebuffer(base, size, window.span().first),
        Firmware::Bios(Some(span)) => (span.first, span.size()),
        Firmware::Bios(None) => return,
    };
    if base == 0 {
        pr_warn!("Unexpected framebuffer mmio base of zero\n");
        return;
    }
    let reserved = framebuffer_sizes(largest)
        .filter_map(|size| Span::sized(base, size))
        .find(|span| window.claim(*span, c"fb_range"));
    if reserved.is_none() {
        pr_warn!("no framebuffer can be reserved at {base:#x}, {largest:#x} bytes or less\n");
    }
    broker.framebuffer = reserved;
}

/// Finds a place for somebody. `claim` makes it theirs among all addresses of the machine, if
/// nobody has it.
///
/// # Errors
///
/// `ENXIO`: there is none. `EINVAL`: none is asked for.
pub(crate) fn allocate<T>(
    wish: Wish,
    over_framebuffer: bool,
    mut claim: impl FnMut(Span) -> Option<T>,
) -> Result<T> {
    if wish.size == 0 || !wish.align.is_power_of_two() {
        pr_err!(
            "{:#x} addresses aligned to {:#x} cannot be\n",
            wish.size,
            wish.align
        );
        return Err(EINVAL);
    }
    let broker = BROKER.lock();
    let framebuffer = broker.framebuffer;
    if let Some(inside) = framebuffer.filter(|_| over_framebuffer) {
        // Claimed in the window already.
        if let Some(claimed) = wish.places(inside).find_map(&mut claim) {
            return Ok(claimed);
        }
    }
    let is_free = |place: &Span| framebuffer.is_none_or(|taken| !taken.meets(*place));
    for window in &broker.windows {
        for place in wish.places(window.span()).filter(is_free) {
            if !window.claim(place, c"vmbus") {
                continue;
            }
            if let Some(claimed) = claim(place) {
                return Ok(claimed);
            }
            window.release(place);
        }
    }
    Err(ENXIO)
}

/// Takes a place back.
pub(crate) fn free(place: Span) {
    let broker = BROKER.lock();
    if !broker
        .framebuffer
        .is_some_and(|framebuffer| framebuffer.holds(place))
    {
        for window in broker.windows.iter().filter(|one| one.span().meets(place)) {
            window.release(place);
        }
    }
    release_memory(place);
}
