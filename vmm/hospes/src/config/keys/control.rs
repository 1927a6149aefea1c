// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The keys of commands to a running machine that no option has.

use super::{key, Key, Kind, Object, ON, TARGET};

const LUN: Key = key("lun", Kind::Number, "N", "", "logical unit number");
const FORCE: Key = key(
    "force",
    Kind::Switch,
    "on|off",
    "off",
    "even if the guest holds the disc",
);

/// What is about a whole controller.
pub const CONTROLLER: Object = Object {
    name: "controller",
    head: Some("on"),
    keys: &[ON],
};

/// What is about a unit.
pub const UNIT: Object = Object {
    name: "disk remove",
    head: None,
    keys: &[ON, TARGET, LUN],
};

/// A disk's new size.
pub const RESIZE: Object = Object {
    name: "disk resize",
    head: None,
    keys: &[
        ON,
        TARGET,
        LUN,
        key(
            "size",
            Kind::Text,
            "SIZE",
            "that of the file",
            "bytes, with K, M or G",
        ),
    ],
};

/// A balloon's new target.
pub const TARGET_SIZE: Object = Object {
    name: "balloon",
    head: Some("target"),
    keys: &[key(
        "target",
        Kind::Text,
        "SIZE",
        "",
        "bytes that the guest is to give back, with K, M or G",
    )],
};

/// Another disc.
pub const CHANGE: Object = Object {
    name: "cdrom change",
    head: None,
    keys: &[
        ON,
        TARGET,
        LUN,
        key("path", Kind::Text, "PATH", "", "disc image"),
        FORCE,
    ],
};

/// No disc.
pub const EJECT: Object = Object {
    name: "cdrom eject",
    head: None,
    keys: &[ON, TARGET, LUN, FORCE],
};

/// A controller that is to go.
pub const REMOVE: Object = Object {
    name: "scsi remove",
    head: Some("id"),
    keys: &[
        key("id", Kind::Text, "NAME", "", "the controller"),
        key(
            "surprise",
            Kind::Switch,
            "on|off",
            "off",
            "do not ask the guest",
        ),
    ],
};

/// Faults that are to end.
pub const CLEAR: Object = Object {
    name: "fault clear",
    head: None,
    keys: &[
        ON,
        key("id", Kind::Number, "N", "all", "what adding it answered"),
    ],
};
