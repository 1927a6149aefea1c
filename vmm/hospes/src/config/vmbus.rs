// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Controllers of Hyper-V: which of its three kinds, and what only one of them has.

use hospes_vmbus::storvsp::{self, instance_of};
use protocol::storvsp::packet::{PortNames, WorldWideNames};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ConfigError, Scsi, ScsiKind};

/// What kind of controller on VMBus.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum VmbusKind {
    /// SCSI.
    #[default]
    Scsi,
    /// Fibre Channel.
    Fc,
    /// A disk or drive of an IDE controller.
    Ide,
}

/// Most places of an IDE cable.
const IDE_PLACES: u8 = 2;

/// A world wide name: 16 hexadecimal digits, perhaps with a colon after each two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorldWideName(pub u64);

impl std::str::FromStr for WorldWideName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let has_colons = text.len() == 23;
        let is_colon = |at: usize| has_colons && at % 3 == 2;
        let is_formed = (text.bytes().enumerate()).all(|(at, byte)| {
            (byte == b':') == is_colon(at) && (byte == b':' || byte.is_ascii_hexdigit())
        });
        let digits = text.replace(':', "");
        let value = (is_formed && digits.len() == 16).then(|| u64::from_str_radix(&digits, 16));
        match value {
            Some(Ok(value)) if value != 0 => Ok(Self(value)),
            _ => Err(format!(
                "{text}: give a world wide name of 16 hexadecimal digits such as 5000c500a0b1c2d3"
            )),
        }
    }
}

impl Serialize for WorldWideName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:016x}", self.0))
    }
}

impl<'de> Deserialize<'de> for WorldWideName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Scsi {
    /// The kind of a controller on VMBus; none if it is elsewhere.
    pub fn vmbus(&self) -> Option<VmbusKind> {
        (self.kind == ScsiKind::Vmbus).then(|| self.vmbus_kind.unwrap_or_default())
    }

    /// Whether it is one that the machine is built with, and that has one unit for good.
    pub fn is_ide(&self) -> bool {
        self.vmbus() == Some(VmbusKind::Ide)
    }

    /// What the device of a controller on VMBus is.
    pub fn vmbus_device(&self) -> storvsp::Kind {
        match self.vmbus_kind.unwrap_or_default() {
            VmbusKind::Scsi => storvsp::Kind::Scsi,
            VmbusKind::Fc => storvsp::Kind::FibreChannel(self.names()),
            VmbusKind::Ide => storvsp::Kind::Ide(self.position.unwrap_or(0)),
        }
    }

    /// The names of both ports. As on Hyper-V there is a second one, for a machine that
    /// moves; its names differ in the last bit.
    fn names(&self) -> WorldWideNames {
        let (node, port) = names_of(&self.id);
        let primary = PortNames {
            port: self.wwpn.map_or(port, |name| name.0),
            node: self.wwnn.map_or(node, |name| name.0),
        };
        let secondary = PortNames {
            port: primary.port ^ 1,
            node: primary.node ^ 1,
        };
        WorldWideNames::new(primary, secondary)
    }

    /// Keys that it has not, and whether they are given.
    pub(super) fn keys_of_other_vmbus_kinds(&self) -> Vec<(&'static str, bool)> {
        let wwnn = ("wwnn", self.wwnn.is_some());
        let wwpn = ("wwpn", self.wwpn.is_some());
        let position = ("position", self.position.is_some());
        match self.vmbus() {
            None => {
                let kind = ("kind", self.vmbus_kind.is_some());
                vec![kind, wwnn, wwpn, position]
            }
            Some(VmbusKind::Scsi) => vec![wwnn, wwpn, position],
            Some(VmbusKind::Fc) => vec![position],
            Some(VmbusKind::Ide) => vec![("channels", self.channels.is_some()), wwnn, wwpn],
        }
    }

    /// Checks what only one kind has.
    pub(super) fn check_vmbus(&self) -> Result<(), ConfigError> {
        match self.position {
            Some(other) if other >= IDE_PLACES => Err(ConfigError(format!(
                "scsi: {}: position={other}: give 0 or 1, or leave it out",
                self.id
            ))),
            _ => Ok(()),
        }
    }
}

/// Names of a node and of a port that are made of an id, in the format for what
/// somebody has chosen himself (NAA 3).
fn names_of(id: &str) -> (u64, u64) {
    const LOCAL: u64 = 3 << 60;
    let hash = instance_of(id).to_u128();
    let name = |value: u128| LOCAL | (value as u64 & 0x0fff_ffff_ffff_fffe);
    (name(hash >> 64), name(hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{json, Value};

    fn scsi(more: Value) -> Scsi {
        let mut value = json!({"type": "vmbus", "id": "c0"});
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn names_are_sixteen_digits() {
        let name = Ok(WorldWideName(0x5000_c500_a0b1_c2d3));
        assert_eq!("5000c500a0b1c2d3".parse(), name);
        assert_eq!("50:00:c5:00:A0:b1:c2:d3".parse(), name);
        for text in [
            "",
            "5000c500a0b1c2d",
            "5000c500a0b1c2d3f",
            "0000000000000000",
            "+000c500a0b1c2d3",
            "50:00:c5:00:a0:b1:c2:d",
            "50:00:c5:00:a0:b1:c2d3:",
            "é000c500a0b1c2d",
        ] {
            assert!(text.parse::<WorldWideName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_is_called_as_is_said_or_by_its_id() {
        let named = scsi(json!({"kind": "fc", "wwpn": "5000000000000001"}));
        named.check().unwrap();
        let storvsp::Kind::FibreChannel(names) = named.vmbus_device() else {
            panic!("{named:?}");
        };
        assert_eq!(names.port(), 0x5000_0000_0000_0001);
        assert_eq!(names.node() >> 60, 3);
        let unnamed = scsi(json!({"kind": "fc"}));
        assert_eq!(unnamed.vmbus_device(), unnamed.vmbus_device());
        assert_ne!(unnamed.vmbus_device(), named.vmbus_device());
        assert_ne!(names_of("a"), names_of("b"));
    }

    #[test]
    fn keys_go_with_their_kind() {
        for (more, key) in [
            (json!({"wwpn": "5000000000000001"}), "no wwpn"),
            (json!({"kind": "scsi", "position": 1}), "no position"),
            (json!({"kind": "fc", "position": 0}), "no position"),
            (json!({"kind": "fc", "queues": 1}), "no queues"),
            (json!({"kind": "ide", "channels": 1}), "no channels"),
            (
                json!({"kind": "ide", "wwnn": "5000000000000001"}),
                "no wwnn",
            ),
            (json!({"kind": "ide", "position": 2}), "position=2"),
            (json!({"type": "virtio", "kind": "scsi"}), "no kind"),
            (json!({"type": "pvscsi", "position": 1}), "no position"),
        ] {
            let error = scsi(more).check().unwrap_err();
            assert!(error.0.contains(key), "{error} does not name {key}");
        }
        for more in [
            json!({"kind": "scsi", "channels": 2}),
            json!({"kind": "fc", "channels": 2}),
            json!({"kind": "ide", "position": 1, "max_sectors": 128}),
        ] {
            scsi(more).check().unwrap();
        }
    }

    proptest! {
        #[test]
        fn names_are_read_back(value in 1_u64..) {
            let text = serde_json::to_string(&WorldWideName(value)).unwrap();
            let read: WorldWideName = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(read.0, value);
        }

        #[test]
        fn any_text_is_a_name_or_not(text in ".{0,25}") {
            let _ = text.parse::<WorldWideName>();
        }
    }
}
