// SPDX-License-Identifier: GPL-2.0

//! Which processor is interrupted for which channel.
//!
//! Channels of fast devices go to one memory node after the other, and in a node to the first
//! processor that has none, until all have one; then it begins anew. Channels of one device get
//! processors of their own as long as there are any. All others go to the processor that gets
//! messages.

use super::connect::CONNECT_CPU;
use guest::hyperv::cpus;
use kernel::prelude::*;

/// What is known of a processor.
#[derive(Clone, Copy, Default)]
struct Place {
    /// Whether some channel has it.
    is_taken: bool,
    /// The memory node, if it may be interrupted now.
    node: Option<i32>,
}

/// The processors, and where the next channel goes.
pub(crate) struct Spread {
    places: KVec<Place>,
    last_node: i32,
}

impl Spread {
    pub(super) fn new() -> Result<Self> {
        Self::of(cpus::limit())
    }

    fn of(count: u32) -> Result<Self> {
        let mut places = KVec::with_capacity(count as usize, GFP_KERNEL)?;
        for _ in 0..count {
            places.push(Place::default(), GFP_KERNEL)?;
        }
        Ok(Self {
            places,
            last_node: -1,
        })
    }

    /// Looks which processors there are now.
    pub(super) fn look(&mut self) {
        for (cpu, place) in (0..).zip(self.places.iter_mut()) {
            let is_usable = cpus::is_online(cpu) && cpus::takes_interrupts(cpu);
            place.node = is_usable.then(|| cpus::node(cpu));
        }
    }

    /// Chooses a processor for a channel. `is_own` says whether another channel of the same device
    /// has it.
    pub(super) fn choose(&mut self, is_own: impl Fn(u32) -> bool) -> u32 {
        let usable = self
            .places
            .iter()
            .filter(|place| place.node.is_some())
            .count();
        let mut chosen = None;
        for _ in 0..=usable {
            let Some(cpu) = self.next_node().and_then(|node| self.next_in(node)) else {
                break;
            };
            chosen = Some(cpu);
            if !is_own(cpu) {
                break;
            }
        }
        chosen.unwrap_or_else(|| {
            self.take(CONNECT_CPU);
            CONNECT_CPU
        })
    }

    /// The node after the last one, of those that have processors.
    fn next_node(&mut self) -> Option<i32> {
        let nodes = || self.places.iter().filter_map(|place| place.node);
        let after = nodes().filter(|node| *node > self.last_node).min();
        self.last_node = after.or_else(|| nodes().min())?;
        Some(self.last_node)
    }

    fn next_in(&mut self, node: i32) -> Option<u32> {
        let is_in = |place: &&mut Place| place.node == Some(node);
        if self.free_in(node).is_none() {
            self.places
                .iter_mut()
                .filter(is_in)
                .for_each(|place| place.is_taken = false);
        }
        let cpu = self.free_in(node)?;
        self.take(cpu);
        Some(cpu)
    }

    fn free_in(&self, node: i32) -> Option<u32> {
        let is_free = |place: &Place| place.node == Some(node) && !place.is_taken;
        let at = self.places.iter().position(is_free)?;
        u32::try_from(at).ok()
    }

    /// A channel has this processor now.
    pub(super) fn take(&mut self, cpu: u32) {
        if let Some(place) = self.places.get_mut(cpu as usize) {
            place.is_taken = true;
        }
    }

    /// No channel has this processor any more.
    pub(super) fn give_back(&mut self, cpu: u32) {
        if let Some(place) = self.places.get_mut(cpu as usize) {
            place.is_taken = false;
        }
    }
}

#[kernel::macros::kunit_tests(hv_vmbus_spread)]
mod tests {
    use super::*;

    fn spread(nodes: &[i32]) -> Result<Spread> {
        let mut spread = Spread::of(nodes.len() as u32)?;
        for (place, node) in spread.places.iter_mut().zip(nodes) {
            place.node = Some(*node);
        }
        Ok(spread)
    }

    #[test]
    fn nodes_take_turns() -> Result {
        let mut spread = spread(&[0, 0, 1, 1])?;
        let mut chosen = [0; 6];
        for cpu in &mut chosen {
            *cpu = spread.choose(|_| false);
        }
        assert_eq!(chosen, [0, 2, 1, 3, 0, 2]);
        Ok(())
    }

    #[test]
    fn a_device_does_not_get_a_processor_twice() -> Result {
        let mut spread = spread(&[0, 0, 0, 0])?;
        spread.take(1);
        assert_eq!(spread.choose(|cpu| cpu < 3), 3);
        assert_eq!(spread.choose(|cpu| cpu == 0), 1);
        // There is no other: better one twice than none.
        assert!(spread.choose(|_| true) < 4);
        spread.give_back(0);
        Ok(())
    }

    #[test]
    fn without_processors_there_is_the_first() -> Result {
        let mut spread = Spread::of(2)?;
        assert_eq!(spread.choose(|_| false), CONNECT_CPU);
        Ok(())
    }
}
