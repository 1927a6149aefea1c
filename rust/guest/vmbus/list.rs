// SPDX-License-Identifier: GPL-2.0

//! The open channels of a device, and which of them a CPU uses.
//!
//! The host says on which CPU it answers on a channel. A CPU uses the channel that is answered on
//! it, else one that is answered on a CPU of the same NUMA node, else the first one.

use crate::{
    bindings,
    word::Word, //
};
use core::ptr;
use kernel::prelude::*;

/// A channel as the bus has it.
pub(super) type RawChannel = *mut bindings::vmbus_channel;

/// The open channels, the first one first.
///
/// # Invariants
///
/// The channels are open.
pub(super) struct List {
    channels: KVec<RawChannel>,
}

// SAFETY: The pointers are used under a lock, from any thread.
unsafe impl Send for List {}

/// Where CPUs find their channel, without a lock.
///
/// # Invariants
///
/// The channels are open, or were until the grace period of RCU that is not over yet.
pub(super) struct Routes {
    by_cpu: KVec<Word<RawChannel>>,
    first: Word<RawChannel>,
}

impl List {
    /// A list with room for a channel for each CPU.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        let channels = KVec::with_capacity(possible_cpus(), GFP_KERNEL)?;
        // INVARIANT: There are none.
        Ok(Self { channels })
    }

    /// Whether there is room for another one.
    pub(super) fn has_room(&self) -> bool {
        self.channels.len() < self.channels.capacity()
    }

    /// Adds a channel at the end, if there is room for it, and has it used.
    ///
    /// # Safety
    ///
    /// The channel must be open until a grace period after `clear`.
    pub(super) unsafe fn push(&mut self, channel: RawChannel, routes: &Routes) {
        // INVARIANT: By the safety requirement. That there is no room is no error: the channel is
        // not used.
        let _ = self.channels.push_within_capacity(channel);
        self.route(routes);
    }

    /// Takes all channels out of the list and of use.
    pub(super) fn clear(&mut self, routes: &Routes) {
        self.channels.clear();
        routes.clear();
    }

    /// Whether the host has taken any of the channels away.
    pub(super) fn has_rescinded(&self) -> bool {
        self.channels.iter().any(|channel| {
            // SAFETY: They are open by the type invariant.
            unsafe { is_rescinded(*channel) }
        })
    }

    /// A channel by its place in the list.
    pub(super) fn get(&self, at: usize) -> Option<RawChannel> {
        self.channels.get(at).copied()
    }

    /// Finds a channel for each CPU.
    pub(super) fn route(&self, routes: &Routes) {
        let target = |at: usize| {
            let channel = *self.channels.get(at)?;
            // SAFETY: They are open by the type invariant. The bus changes the field at times, of
            // which it tells us afterwards.
            Some(unsafe { ptr::read_volatile(&raw const (*channel).target_cpu) })
        };
        let Some(first) = self.channels.first() else {
            return routes.clear();
        };
        // INVARIANT: They are open.
        routes.first.store_release(*first);
        for (cpu, route) in routes.by_cpu.iter().enumerate() {
            let at = choose(cpu as u32, node, target);
            route.store_release(*self.channels.get(at).unwrap_or(first));
        }
    }
}

impl Routes {
    /// Routes to nowhere.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(super) fn new() -> Result<Self> {
        let mut by_cpu = KVec::with_capacity(possible_cpus(), GFP_KERNEL)?;
        for _ in 0..possible_cpus() {
            by_cpu
                .push_within_capacity(Word::null())
                .map_err(|_| ENOMEM)?;
        }
        // INVARIANT: There are no channels.
        Ok(Self {
            by_cpu,
            first: Word::null(),
        })
    }

    /// The channel of a CPU, or null.
    #[inline]
    pub(super) fn of(&self, cpu: usize) -> RawChannel {
        self.by_cpu
            .get(cpu)
            .map_or(ptr::null_mut(), Word::load_acquire)
    }

    /// The first channel, or null.
    #[inline]
    pub(super) fn first(&self) -> RawChannel {
        self.first.load_acquire()
    }

    /// The channel of another CPU that `is_good`: of those of the same NUMA node if there is one,
    /// else of all, and of those the one of the next CPU.
    #[inline]
    pub(super) fn find_other(
        &self,
        cpu: usize,
        is_good: impl Fn(RawChannel) -> bool,
    ) -> Option<RawChannel> {
        let near = node(cpu as u32);
        let mut far = None;
        let mut other = cpu;
        for _ in 0..self.by_cpu.len() {
            other = other.wrapping_add(1);
            if other >= self.by_cpu.len() {
                other = 0;
            }
            let channel = self.of(other);
            if channel.is_null() || !is_good(channel) {
                continue;
            }
            if node(other as u32) == near {
                return Some(channel);
            }
            far = far.or(Some(channel));
        }
        far
    }

    fn clear(&self) {
        self.first.store_release(ptr::null_mut());
        for route in &self.by_cpu {
            route.store_release(ptr::null_mut());
        }
    }
}

/// Whether the host has taken the channel away.
///
/// # Safety
///
/// `channel` must be valid.
#[inline]
pub(super) unsafe fn is_rescinded(channel: RawChannel) -> bool {
    // SAFETY: By the safety requirement. The bus may set the flag at any time.
    unsafe { ptr::read_volatile(&raw const (*channel).rescind) }
}

/// Which channel a CPU uses. `target` says on which CPU a channel is answered, and nothing where
/// there is no channel any more; `node` is the NUMA node of a CPU.
fn choose(cpu: u32, node: impl Fn(u32) -> c_int, target: impl Fn(usize) -> Option<u32>) -> usize {
    let near = node(cpu);
    let mut nearby = 0usize;
    for at in 0.. {
        match target(at) {
            Some(target) if target == cpu => return at,
            Some(target) if node(target) == near => nearby = nearby.wrapping_add(1),
            Some(_) => {}
            None => break,
        }
    }
    if nearby == 0 {
        return 0;
    }
    // CPUs without a channel take turns among those nearby.
    let mut turn = cpu as usize % nearby;
    for at in 0.. {
        match target(at) {
            Some(target) if node(target) == near && turn == 0 => return at,
            Some(target) if node(target) == near => turn = turn.wrapping_sub(1),
            Some(_) => {}
            None => break,
        }
    }
    0
}

fn node(cpu: u32) -> c_int {
    // SAFETY: All CPUs here are below the highest number, and have a node.
    unsafe { bindings::cpu_to_node(cpu as c_int) }
}

/// One more than the highest number of a CPU.
fn possible_cpus() -> usize {
    // SAFETY: Set once when the kernel boots.
    unsafe { bindings::nr_cpu_ids as usize }
}

#[cfg(guest_kunit)]
#[kernel::macros::kunit_tests(guest_vmbus_list)]
mod tests {
    use super::*;

    /// What each of eight CPUs uses, four of them in a node, with channels of these CPUs.
    fn chosen(targets: &[u32]) -> [usize; 8] {
        let node = |cpu: u32| (cpu / 4) as c_int;
        core::array::from_fn(|cpu| choose(cpu as u32, node, |at| targets.get(at).copied()))
    }

    #[test]
    fn one_channel_is_for_all() {
        assert_eq!(chosen(&[5]), [0; 8]);
        assert_eq!(chosen(&[]), [0; 8]);
    }

    #[test]
    fn a_cpu_uses_its_own_channel() {
        let targets = [0, 1, 2, 3, 4, 5, 6, 7];
        assert_eq!(chosen(&targets), [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn others_take_turns_in_their_node() {
        assert_eq!(chosen(&[0, 2]), [0, 1, 1, 1, 0, 0, 0, 0]);
        assert_eq!(chosen(&[6, 1, 7]), [1, 1, 1, 1, 0, 2, 0, 2]);
    }
}
