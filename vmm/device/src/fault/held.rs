// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Requests that are not answered until the device is reset.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Things whose drop answers a request, kept from being dropped.
pub struct Held<T> {
    most: usize,
    things: Mutex<Vec<T>>,
}

impl<T> Held<T> {
    /// At most so many: a driver may offer the same request again and again,
    /// and has no right to more memory than its queues have entries.
    pub fn new(most: usize) -> Self {
        let things = Mutex::default();
        Self { most, things }
    }

    /// Keeps `thing`, or gives it back if there are too many.
    ///
    /// # Errors
    ///
    /// `thing`.
    pub fn keep(&self, thing: T) -> Result<(), T> {
        let mut things = self.lock();
        if things.len() >= self.most {
            return Err(thing);
        }
        things.push(thing);
        Ok(())
    }

    /// Drops all of them.
    pub fn release(&self) {
        // Taken out first: what a drop does must not happen under the lock.
        let things = std::mem::take(&mut *self.lock());
        drop(things);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lock(&self) -> MutexGuard<'_, Vec<T>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
