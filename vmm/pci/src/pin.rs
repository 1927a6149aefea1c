// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Interrupt pins (PCI 3.0, sections 2.2.6 and 6.2.4), for who can do neither MSI-X nor MSI.
//!
//! A pin has a level, which is the device's to say ([`Pin::update`]). The bus ties it to one
//! of its [`Lines`], by the device number; functions share a line, which is active as long as
//! any of them wants it to be. The command register can keep a function off its line.
//!
//! All functions use pin A. A line's machine is told of changes only, in their order: the
//! lock of a line is held meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many lines a bus has.
pub const LINES: u8 = 8;

/// Sets the level of a line of the machine, 0 to [`LINES`] - 1.
pub type SetLevel = Box<dyn Fn(u8, bool) + Send + Sync>;

/// The lines of a bus.
pub struct Lines {
    set_level: SetLevel,
    /// By line: how many functions have it active.
    active: [Mutex<u32>; LINES as usize],
}

impl Lines {
    /// Lines of a machine.
    pub fn new(set_level: SetLevel) -> Arc<Self> {
        Arc::new(Self {
            set_level,
            active: Default::default(),
        })
    }

    /// Lines that lead nowhere.
    pub fn nowhere() -> Arc<Self> {
        Self::new(Box::new(|_, _| {}))
    }

    /// The number of the line of all functions of a device.
    pub const fn of_device(device: u8) -> u8 {
        device & (LINES - 1)
    }

    /// The end of a line, for a function of that device.
    pub(crate) fn end(self: &Arc<Self>, device: u8) -> Line {
        Line {
            lines: self.clone(),
            number: Self::of_device(device),
            is_active: false,
        }
    }

    fn change(&self, number: u8, is_active: bool) {
        let Some(count) = self.active.get(usize::from(number)) else {
            return;
        };
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *count;
        *count = if is_active {
            before.saturating_add(1)
        } else {
            before.saturating_sub(1)
        };
        if (before > 0) != (*count > 0) {
            (self.set_level)(number, *count > 0);
        }
    }
}

/// A function's end of a line. Dropping it leaves the line to others.
pub(crate) struct Line {
    lines: Arc<Lines>,
    number: u8,
    is_active: bool,
}

impl Line {
    fn set(&mut self, is_active: bool) {
        if self.is_active != is_active {
            self.is_active = is_active;
            self.lines.change(self.number, is_active);
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// The pin of a function. The device makes it and keeps a clone; the core ties it to a line.
#[derive(Default)]
pub struct Pin {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    line: Option<Line>,
    is_active: bool,
    /// The command register says that the function is to leave the line alone.
    is_disabled: bool,
}

impl State {
    fn settle(&mut self) {
        let is_active = self.is_active && !self.is_disabled;
        if let Some(line) = &mut self.line {
            line.set(is_active);
        }
    }
}

impl Pin {
    /// A pin that is tied to nothing.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sets the level to what `is_active` says. That is asked under the lock of the pin: of
    /// two who change something and then come here, the second one sees both changes.
    pub fn update(&self, is_active: impl FnOnce() -> bool) {
        let mut state = self.lock();
        state.is_active = is_active();
        state.settle();
    }

    /// The level, whether or not the command register lets it through.
    pub fn is_active(&self) -> bool {
        self.lock().is_active
    }

    /// Ties the pin to a line, or to none any more.
    pub(crate) fn connect(&self, line: Option<Line>) {
        let mut state = self.lock();
        state.line = line;
        state.settle();
    }

    /// Takes what the command register says.
    pub(crate) fn set_disabled(&self, is_disabled: bool) {
        let mut state = self.lock();
        state.is_disabled = is_disabled;
        state.settle();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Changes = Arc<Mutex<Vec<(u8, bool)>>>;

    fn lines() -> (Arc<Lines>, Changes) {
        let changes = Changes::default();
        let seen = changes.clone();
        let set = move |line, active| seen.lock().unwrap().push((line, active));
        (Lines::new(Box::new(set)), changes)
    }

    fn take(changes: &Changes) -> Vec<(u8, bool)> {
        std::mem::take(&mut *changes.lock().unwrap())
    }

    #[test]
    fn a_line_is_active_while_any_function_wants_it() {
        let (lines, changes) = lines();
        let pins = [Pin::new(), Pin::new(), Pin::new()];
        for (pin, device) in pins.iter().zip([3, 11, 4]) {
            pin.connect(Some(lines.end(device)));
        }
        pins[0].update(|| true);
        pins[0].update(|| true);
        pins[1].update(|| true);
        pins[0].update(|| false);
        assert_eq!(take(&changes), [(3, true)]);
        pins[2].update(|| true);
        pins[1].update(|| false);
        assert_eq!(take(&changes), [(4, true), (3, false)]);
        pins[2].connect(None);
        assert_eq!(take(&changes), [(4, false)]);
        pins[2].update(|| true);
        assert!(take(&changes).is_empty());
    }

    #[test]
    fn the_command_register_keeps_a_function_off_its_line() {
        let (lines, changes) = lines();
        let pin = Pin::new();
        pin.set_disabled(true);
        pin.update(|| true);
        pin.connect(Some(lines.end(1)));
        assert!(pin.is_active());
        assert!(take(&changes).is_empty());
        pin.set_disabled(false);
        pin.set_disabled(true);
        assert_eq!(take(&changes), [(1, true), (1, false)]);
    }
}
