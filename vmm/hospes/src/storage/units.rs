// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Unit numbers of one controller: those that were asked for, and free ones
//! for the rest.

use std::collections::{BTreeMap, BTreeSet};

use hospes_scsi::UnitAddress;

/// Highest logical unit number that a target can have.
pub const MAX_LUN: u16 = 0x3fff;

/// Where one or more units are to be.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Target number.
    pub target: u8,
    /// First logical unit number, or the next free ones.
    pub lun: Option<u16>,
    /// How many.
    pub count: u16,
}

/// The numbers that are taken.
#[derive(Default)]
pub struct Units {
    taken: BTreeSet<UnitAddress>,
    /// Where the search for a free number goes on, by target.
    next: BTreeMap<u8, u16>,
    /// Each unit has a target of its own: several at a place are on targets that
    /// follow each other.
    own_targets: bool,
}

impl Units {
    /// With these taken.
    pub fn new(taken: impl IntoIterator<Item = UnitAddress>) -> Self {
        Self {
            taken: taken.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The same, for units that have a target each.
    pub fn one_a_target(taken: impl IntoIterator<Item = UnitAddress>) -> Self {
        Self {
            own_targets: true,
            ..Self::new(taken)
        }
    }

    /// Takes the numbers of a place that has some; the text names one that is
    /// taken already.
    pub fn reserve(&mut self, place: Place) -> Result<(), String> {
        let Some(first) = place.lun.filter(|_| !self.own_targets) else {
            return Ok(());
        };
        let target = place.target;
        for lun in (first..=MAX_LUN).take(usize::from(place.count)) {
            if !self.taken.insert(UnitAddress { target, lun }) {
                return Err(format!(
                    "target={target},lun={lun} is taken; give another lun or none"
                ));
            }
        }
        Ok(())
    }

    /// The address of number `index` of a place whose numbers are reserved.
    pub fn unit(&mut self, place: Place, index: u16) -> Result<UnitAddress, String> {
        if self.own_targets {
            return self.own_target(place, index);
        }
        let target = place.target;
        let full = || format!("target={target}: no unit number up to {MAX_LUN} is left");
        let lun = match place.lun {
            Some(first) => first.checked_add(index).ok_or_else(full)?,
            None => self.next_free(target).ok_or_else(full)?,
        };
        if lun > MAX_LUN {
            return Err(format!("lun={lun}: give 0 to {MAX_LUN}"));
        }
        Ok(UnitAddress { target, lun })
    }

    fn own_target(&mut self, place: Place, index: u16) -> Result<UnitAddress, String> {
        let target = u16::from(place.target).checked_add(index);
        let target = target.and_then(|target| u8::try_from(target).ok());
        let target = target.ok_or_else(|| "no target is left up to 255".to_owned())?;
        let lun = place.lun.unwrap_or(0);
        let at = UnitAddress { target, lun };
        if !self.taken.insert(at) {
            return Err(format!("target={target} is taken; give another one"));
        }
        Ok(at)
    }

    fn next_free(&mut self, target: u8) -> Option<u16> {
        let first = self.next.get(&target).copied().unwrap_or(0);
        let free = |lun: &u16| !self.taken.contains(&UnitAddress { target, lun: *lun });
        let lun = (first..=MAX_LUN).find(free)?;
        self.taken.insert(UnitAddress { target, lun });
        self.next.insert(target, lun.saturating_add(1));
        Some(lun)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(lun: Option<u16>, count: u16) -> Place {
        let target = 0;
        Place { target, lun, count }
    }

    fn luns(places: &[Place]) -> Result<Vec<u16>, String> {
        let mut units = Units::default();
        for place in places {
            units.reserve(*place)?;
        }
        let mut luns = Vec::new();
        for place in places {
            for index in 0..place.count {
                luns.push(units.unit(*place, index)?.lun);
            }
        }
        Ok(luns)
    }

    #[test]
    fn free_numbers_go_around_given_ones() {
        assert_eq!(
            luns(&[place(None, 3), place(Some(1), 2)]).unwrap(),
            [0, 3, 4, 1, 2]
        );
        assert_eq!(
            luns(&[place(None, 1024)]).unwrap(),
            (0..1024).collect::<Vec<_>>()
        );
    }

    #[test]
    fn units_may_have_a_target_each() {
        let taken = UnitAddress { target: 3, lun: 0 };
        let mut units = Units::one_a_target([taken]);
        let at = |target| {
            let (lun, count) = (None, 4);
            Place { target, lun, count }
        };
        assert_eq!(
            units.unit(at(1), 1).unwrap(),
            UnitAddress { target: 2, lun: 0 }
        );
        assert!(units.unit(at(1), 2).unwrap_err().contains("target=3"));
        assert!(units.unit(at(254), 2).unwrap_err().contains("255"));
    }

    #[test]
    fn a_number_is_given_once() {
        assert!(luns(&[place(Some(3), 1), place(Some(2), 2)])
            .unwrap_err()
            .contains("lun=3"));
        assert!(luns(&[place(Some(MAX_LUN), 2)])
            .unwrap_err()
            .contains("16384"));
        assert!(luns(&[place(Some(u16::MAX), 1)])
            .unwrap_err()
            .contains("65535"));
    }

    #[test]
    fn what_is_there_is_not_given_again() {
        let mut units = Units::new([0, 1, 3].map(|lun| UnitAddress { target: 0, lun }));
        assert_eq!(units.unit(place(None, 1), 0).unwrap().lun, 2);
        assert_eq!(units.unit(place(None, 1), 0).unwrap().lun, 4);
        assert!(units.reserve(place(Some(3), 1)).is_err());
    }
}
