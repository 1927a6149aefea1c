// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a controller is to its guest: its class, and where its units are.
//!
//! Path and target of the guest are one target id here: so many targets a path.
//! That of the only unit of an IDE device is in the GUID of its instance (bytes 4
//! and 5, by which Linux looks for it), and 0 here.

use hospes_scsi::UnitAddress;
use protocol::storvsp::packet::WorldWideNames;
use protocol::storvsp::request::Address;
use protocol::storvsp::{MAX_FC_TARGETS, MAX_LUNS, MAX_PATHS, MAX_TARGETS};
use protocol::vmbus::{class, Guid};

use super::instance_of;
use crate::device::Identity;

/// What a controller is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A SCSI controller.
    Scsi,
    /// A Fibre Channel controller, with these names.
    FibreChannel(WorldWideNames),
    /// A disk or drive of an IDE controller, which has this number there.
    Ide(u8),
}

impl Kind {
    /// How the controller of this name is offered to the guest.
    pub fn identity(&self, name: &str) -> Identity {
        let instance = instance_of(name);
        match self {
            Self::Scsi => Identity {
                class: class::SCSI,
                instance,
            },
            Self::FibreChannel(_) => Identity {
                class: class::FIBRE_CHANNEL,
                instance,
            },
            Self::Ide(number) => Identity {
                class: class::IDE,
                instance: with_number(instance, *number),
            },
        }
    }

    /// How many target ids, and unit numbers of each, guests look for.
    pub fn room(&self) -> (u16, u16) {
        let luns = u16::from(MAX_LUNS);
        match self {
            Self::Scsi => (u16::from(MAX_TARGETS.saturating_mul(MAX_PATHS)), luns),
            // Of the eight paths, as many as a target id tells apart.
            Self::FibreChannel(_) => (256, luns),
            Self::Ide(_) => (1, 1),
        }
    }

    /// The unit that an address names, if guests may have one there.
    pub(super) fn unit_of(&self, address: Address) -> Option<UnitAddress> {
        let targets = match self {
            Self::Scsi => MAX_TARGETS,
            Self::FibreChannel(_) => MAX_FC_TARGETS,
            Self::Ide(number) => {
                let is_it = (address.path, address.target, address.lun) == (0, *number, 0);
                return is_it.then_some(UnitAddress { target: 0, lun: 0 });
            }
        };
        if address.path >= MAX_PATHS || address.target >= targets {
            return None;
        }
        let first = address.path.checked_mul(targets)?;
        Some(UnitAddress {
            target: first.checked_add(address.target)?,
            lun: address.lun.into(),
        })
    }
}

/// An instance that says which number the disk has.
fn with_number(instance: Guid, number: u8) -> Guid {
    let [a, b, c, d, _, _, rest @ ..] = instance.0;
    let mut bytes = [a, b, c, d, number, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    for (to, from) in bytes.iter_mut().skip(6).zip(rest) {
        *to = from;
    }
    Guid(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zerocopy::FromZeros;

    fn at(path: u8, target: u8, lun: u8) -> Address {
        let port = 5;
        Address {
            port,
            path,
            target,
            lun,
        }
    }

    fn unit(target: u8, lun: u16) -> Option<UnitAddress> {
        Some(UnitAddress { target, lun })
    }

    #[test]
    fn paths_and_targets_are_one_number() {
        let scsi = Kind::Scsi;
        assert_eq!(scsi.unit_of(at(7, 1, 254)), unit(15, 254));
        assert_eq!(scsi.unit_of(at(8, 0, 0)), None);
        assert_eq!(scsi.unit_of(at(0, 2, 0)), None);
        let port = Kind::FibreChannel(WorldWideNames::new_zeroed());
        assert_eq!(port.unit_of(at(0, 127, 3)), unit(127, 3));
        assert_eq!(port.unit_of(at(1, 127, 0)), unit(255, 0));
        assert_eq!(port.unit_of(at(0, 128, 0)), None);
        assert_eq!(port.unit_of(at(2, 0, 0)), None);
    }

    #[test]
    fn an_ide_device_has_one_unit() {
        let ide = Kind::Ide(1);
        assert_eq!(ide.unit_of(at(0, 1, 0)), unit(0, 0));
        for other in [at(0, 0, 0), at(1, 1, 0), at(0, 1, 1)] {
            assert_eq!(ide.unit_of(other), None);
        }
        assert_eq!(ide.room(), (1, 1));
    }

    #[test]
    fn an_instance_names_the_target() {
        let Identity { class, instance } = Kind::Ide(1).identity("i0");
        assert_eq!(class, class::IDE);
        assert_eq!(instance.0[4..6], [1, 0]);
        let plain = instance_of("i0");
        assert_eq!(instance.0[..4], plain.0[..4]);
        assert_eq!(instance.0[6..], plain.0[6..]);
        assert_eq!(Kind::Scsi.identity("i0").instance, plain);
    }

    #[test]
    fn units_are_where_guests_look() {
        let names = WorldWideNames::new_zeroed();
        for kind in [Kind::Scsi, Kind::FibreChannel(names), Kind::Ide(0)] {
            let (targets, luns) = kind.room();
            let mut found = std::collections::BTreeSet::new();
            for place in 0..=u16::MAX {
                let [path, target] = place.to_le_bytes();
                if let Some(unit) = kind.unit_of(at(path, target, 254)) {
                    assert!(u16::from(unit.target) < targets && unit.lun < luns);
                    assert!(found.insert(unit), "{unit:?} is in two places");
                }
            }
        }
    }
}
