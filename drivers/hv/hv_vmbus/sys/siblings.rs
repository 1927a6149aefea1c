// SPDX-License-Identifier: GPL-2.0

//! The list of a first channel's sub-channels (`sc_list`).
//!
//! The bus has its own table. Drivers look at this one: `uio_hv_generic` with the mutex of
//! `vmbus_connection`, `hv_storvsc` when a channel was moved, with the table locked. So who changes
//! it has both.

use super::{
    bindings,
    statics::CONNECTION,
    Channel, //
};

impl Channel {
    /// Puts a sub-channel into the list of its first channel. The table must be locked.
    pub(crate) fn join(self, primary: Self) {
        // SAFETY: Both are valid and in the table, and the lists were initialised with them; this
        // one is in no other list.
        CONNECTION.with_lists(|| unsafe {
            bindings::list_add_tail(
                &raw mut (*self.as_raw()).sc_list,
                &raw mut (*primary.as_raw()).sc_list,
            )
        });
    }

    /// Takes a sub-channel out of that list, or all others if it is the first channel, so that
    /// nobody's neighbour is freed. The table must be locked.
    pub(crate) fn part(self) {
        // SAFETY: A valid channel; what is in the list with it is in the table, too. What is alone
        // stays so.
        CONNECTION.with_lists(|| unsafe {
            let list = &raw mut (*self.as_raw()).sc_list;
            if self.primary().is_some() {
                bindings::list_del_init(list);
                return;
            }
            loop {
                let next = (*list).next;
                if next == list {
                    break;
                }
                bindings::list_del_init(next);
            }
        });
    }
}
