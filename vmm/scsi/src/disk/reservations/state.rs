// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Who is registered, and who holds the reservation (SPC-5, section 5.14).
//!
//! These are the rules for any number of nexuses, as most of them make no
//! sense for one alone. What other nexuses would have to be told by unit
//! attention conditions is not here: none but the guest has a way in.

use protocol::scsi::reservation::Kind;
use protocol::scsi::sense::{asc, Sense, SenseBytes};
use protocol::scsi::status;

use crate::command::Failure;

/// An initiator port together with a target port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Nexus(pub(super) u32);

/// A nexus with its key, which is not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    pub(super) nexus: Nexus,
    pub(super) key: u64,
}

/// A reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    kind: Kind,
    /// Who made it, and alone holds it, unless its kind is of all registrants.
    holder: Nexus,
}

/// What a command does, as reservations see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Allowed whoever has reserved the unit, in any way.
    Nothing,
    /// Allowed whatever persistent reservation there is.
    Status,
    /// It reads data, or settings.
    Read,
    /// It writes data, or changes settings.
    Write,
}

/// All registrations and reservations of a unit.
#[derive(Debug, Default)]
pub(super) struct State {
    /// PRGENERATION.
    generation: u32,
    registrations: Vec<Registration>,
    held: Option<Held>,
    /// Who holds a reservation by the RESERVE of SPC-2.
    legacy: Option<Nexus>,
}

/// RESERVATION CONFLICT.
pub(super) fn conflict() -> Failure {
    Failure::Status {
        status: status::RESERVATION_CONFLICT,
        sense: SenseBytes::default(),
        transferred: 0,
    }
}

impl State {
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    pub(super) fn registrations(&self) -> &[Registration] {
        &self.registrations
    }

    /// The reservation, with the key of its holder: 0 if all hold it.
    pub(super) fn reservation(&self) -> Option<(Kind, u64)> {
        let held = self.held?;
        let key = if held.kind.is_of_all_registrants() {
            0
        } else {
            self.key_of(held.holder).unwrap_or(0)
        };
        Some((held.kind, key))
    }

    /// The reservation that a nexus holds, alone or with others.
    pub(super) fn held_by(&self, nexus: Nexus) -> Option<Kind> {
        let held = self.held?;
        let holds = if held.kind.is_of_all_registrants() {
            self.key_of(nexus).is_some()
        } else {
            held.holder == nexus
        };
        holds.then_some(held.kind)
    }

    /// Whether any command may be refused because of a reservation.
    pub(super) fn is_reserved(&self) -> bool {
        self.held.is_some() || self.legacy.is_some()
    }

    /// Whether a nexus may do that.
    pub(super) fn admits(&self, nexus: Nexus, need: Need) -> bool {
        self.legacy_admits(nexus, need) && self.persistent_admits(nexus, need)
    }

    fn legacy_admits(&self, nexus: Nexus, need: Need) -> bool {
        need == Need::Nothing || self.legacy.is_none_or(|holder| holder == nexus)
    }

    fn persistent_admits(&self, nexus: Nexus, need: Need) -> bool {
        let Some(held) = self.held else { return true };
        let is_admitted = held.kind.admits_registrants() && self.key_of(nexus).is_some();
        match need {
            Need::Nothing | Need::Status => true,
            _ if is_admitted || self.held_by(nexus).is_some() => true,
            Need::Read => held.kind.admits_reads(),
            Need::Write => false,
        }
    }

    /// Neither form of persistent reservation works beside one of SPC-2.
    pub(super) fn check_no_legacy(&self) -> Result<(), Failure> {
        self.legacy.map_or(Ok(()), |_| Err(conflict()))
    }

    /// RESERVE of SPC-2.
    pub(super) fn reserve_legacy(&mut self, nexus: Nexus) -> Result<(), Failure> {
        if !self.registrations.is_empty() || self.legacy.is_some_and(|holder| holder != nexus) {
            return Err(conflict());
        }
        self.legacy = Some(nexus);
        Ok(())
    }

    /// RELEASE of SPC-2, which does nothing for who holds nothing.
    pub(super) fn release_legacy(&mut self, nexus: Nexus) -> Result<(), Failure> {
        if !self.registrations.is_empty() {
            return Err(conflict());
        }
        if self.legacy == Some(nexus) {
            self.legacy = None;
        }
        Ok(())
    }

    /// A reset, or the loss of the nexus, ends a reservation of SPC-2 only.
    pub(super) fn drop_legacy(&mut self) {
        self.legacy = None;
    }

    /// REGISTER, and without a `key` to check REGISTER AND IGNORE EXISTING KEY.
    pub(super) fn register(
        &mut self,
        nexus: Nexus,
        key: Option<u64>,
        new: u64,
    ) -> Result<(), Failure> {
        let registered = self.key_of(nexus);
        if key.is_some_and(|key| key != registered.unwrap_or(0)) {
            return Err(conflict());
        }
        match (registered, new) {
            (None, 0) => return Ok(()),
            (None, key) => self.registrations.push(Registration { nexus, key }),
            (Some(_), 0) => self.unregister(nexus),
            (Some(_), new) => self.change_key(nexus, new),
        }
        self.count();
        Ok(())
    }

    /// RESERVE.
    pub(super) fn reserve(&mut self, nexus: Nexus, key: u64, kind: Kind) -> Result<(), Failure> {
        self.authorize(nexus, key)?;
        match self.held {
            None => {
                self.held = Some(Held {
                    kind,
                    holder: nexus,
                });
                Ok(())
            }
            Some(_) if self.held_by(nexus) == Some(kind) => Ok(()),
            Some(_) => Err(conflict()),
        }
    }

    /// RELEASE, which does nothing for who holds nothing.
    pub(super) fn release(
        &mut self,
        nexus: Nexus,
        key: u64,
        kind: Option<Kind>,
    ) -> Result<(), Failure> {
        self.authorize(nexus, key)?;
        match self.held_by(nexus) {
            None => Ok(()),
            held if held == kind => {
                self.held = None;
                Ok(())
            }
            Some(_) => {
                let why = asc::INVALID_RELEASE_OF_PERSISTENT_RESERVATION;
                Err(Sense::illegal(why).into())
            }
        }
    }

    /// CLEAR.
    pub(super) fn clear(&mut self, nexus: Nexus, key: u64) -> Result<(), Failure> {
        self.authorize(nexus, key)?;
        self.registrations.clear();
        self.held = None;
        self.count();
        Ok(())
    }

    /// PREEMPT: takes registrations with the key `victim` away, and the
    /// reservation if it is theirs. For a reservation of all registrants,
    /// `victim` 0 stands for all of them.
    pub(super) fn preempt(
        &mut self,
        nexus: Nexus,
        key: u64,
        victim: u64,
        kind: Option<Kind>,
    ) -> Result<(), Failure> {
        self.authorize(nexus, key)?;
        match self.reservation() {
            // The key of the holder: 0 with all registrants.
            Some((_, holder_key)) if holder_key == victim => {
                let kind = kind.ok_or(Sense::invalid_cdb(2, None))?;
                let is_kept = |each: &Registration| {
                    each.nexus == nexus || (victim != 0 && each.key != victim)
                };
                self.registrations.retain(is_kept);
                self.held = Some(Held {
                    kind,
                    holder: nexus,
                });
            }
            _ => self.remove_registrations(victim)?,
        }
        self.count();
        Ok(())
    }

    fn remove_registrations(&mut self, victim: u64) -> Result<(), Failure> {
        if victim == 0 {
            return Err(Sense::invalid_parameter(8, None).into());
        }
        let victims: Vec<Nexus> = self
            .registrations
            .iter()
            .filter(|each| each.key == victim)
            .map(|each| each.nexus)
            .collect();
        if victims.is_empty() {
            return Err(conflict());
        }
        victims.into_iter().for_each(|nexus| self.unregister(nexus));
        Ok(())
    }

    /// Removes a registration, and the reservation with its last holder.
    fn unregister(&mut self, nexus: Nexus) {
        self.registrations.retain(|each| each.nexus != nexus);
        let is_left = match self.held {
            Some(held) if held.kind.is_of_all_registrants() => !self.registrations.is_empty(),
            Some(held) => held.holder != nexus,
            None => true,
        };
        if !is_left {
            self.held = None;
        }
    }

    fn change_key(&mut self, nexus: Nexus, new: u64) {
        let own = self.registrations.iter_mut();
        for registration in own.filter(|each| each.nexus == nexus) {
            registration.key = new;
        }
    }

    fn key_of(&self, nexus: Nexus) -> Option<u64> {
        let mut registrations = self.registrations.iter();
        let registration = registrations.find(|each| each.nexus == nexus)?;
        Some(registration.key)
    }

    /// Who is not registered with that key has no say.
    fn authorize(&self, nexus: Nexus, key: u64) -> Result<(), Failure> {
        if self.key_of(nexus) == Some(key) {
            Ok(())
        } else {
            Err(conflict())
        }
    }

    fn count(&mut self) {
        self.generation = self.generation.wrapping_add(1);
    }
}

#[cfg(test)]
mod tests;
