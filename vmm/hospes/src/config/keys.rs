// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The keys of options that take `key=value` lists.

mod control;
mod fault;

pub use control::{CHANGE, CLEAR, CONTROLLER, EJECT, REMOVE, RESIZE, TARGET_SIZE, UNIT};
pub use fault::FAULT;

/// What a value looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text without a comma.
    Text,
    /// A whole number, decimal or with 0x.
    Number,
    /// `on` or `off`; the key alone means `on`.
    Switch,
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// How the value is shown in the help.
    pub value: &'static str,
    /// What it is without being given; empty if it must be given.
    pub default: &'static str,
    /// What it does, with its unit.
    pub help: &'static str,
}

const fn key(
    name: &'static str,
    kind: Kind,
    value: &'static str,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key {
        name,
        kind,
        value,
        default,
        help,
    }
}

/// An option with keys.
#[derive(Clone, Copy, Debug)]
pub struct Object {
    /// Name of the option and of its JSON key.
    pub name: &'static str,
    /// Key of a first word without `=`, if there may be one.
    pub head: Option<&'static str>,
    /// The keys.
    pub keys: &'static [Key],
}

/// `--serial`.
pub const SERIAL: Object = Object {
    name: "serial",
    head: None,
    keys: &[
        key(
            "stdout",
            Kind::Switch,
            "on|off",
            "off",
            "write what the guest prints to standard output",
        ),
        key(
            "file",
            Kind::Text,
            "PATH",
            "none",
            "write what the guest prints to a file",
        ),
        key(
            "stdin",
            Kind::Switch,
            "on|off",
            "off",
            "pass standard input on to the guest",
        ),
    ],
};

/// `--control`.
pub const CONTROL: Object = Object {
    name: "control",
    head: Some("path"),
    keys: &[key(
        "path",
        Kind::Text,
        "PATH",
        "",
        "where the control socket is made; path= may be left out",
    )],
};

/// `--balloon`.
pub const BALLOON: Object = Object {
    name: "balloon",
    head: Some("type"),
    keys: &[
        key(
            "type",
            Kind::Text,
            "vmware",
            "",
            "protocol; the first word may do without type=",
        ),
        key(
            "target",
            Kind::Text,
            "SIZE",
            "0",
            "bytes that the guest is to give back, with K, M or G",
        ),
        key(
            "caps",
            Kind::Text,
            "CAPS",
            "all",
            "what the guest is offered: all, legacy, or basic, batched, batched-2m, \
             signalled and 64-bit-target with + between them",
        ),
    ],
};

/// `--scsi`.
pub const SCSI: Object = Object {
    name: "scsi",
    head: Some("type"),
    keys: &[
        key(
            "type",
            Kind::Text,
            "virtio|vmbus|pvscsi",
            "",
            "kind of controller; the first word may do without type=",
        ),
        key(
            "id",
            Kind::Text,
            "NAME",
            "",
            "name by which disks refer to it",
        ),
        key(
            "kind",
            Kind::Text,
            "scsi|fc|ide",
            "scsi",
            "SCSI, Fibre Channel, or an IDE disk (vmbus)",
        ),
        key(
            "wwpn",
            Kind::Text,
            "NAME",
            "made of the id",
            "name of the port, 16 hexadecimal digits (kind=fc)",
        ),
        key(
            "wwnn",
            Kind::Text,
            "NAME",
            "made of the id",
            "name of its node, 16 hexadecimal digits (kind=fc)",
        ),
        key(
            "position",
            Kind::Number,
            "N",
            "0",
            "which disk of its cable it is, 0 or 1 (kind=ide)",
        ),
        key(
            "queues",
            Kind::Number,
            "N",
            "one per vCPU",
            "request queues, 1 to 256 (virtio)",
        ),
        key(
            "channels",
            Kind::Number,
            "N",
            "one per vCPU",
            "channels, 1 to 64 (vmbus but kind=ide)",
        ),
        key(
            "queue_size",
            Kind::Number,
            "N",
            "256",
            "entries of each queue, a power of two from 4 to 1024 (virtio)",
        ),
        key(
            "seg_max",
            Kind::Number,
            "N",
            "queue_size - 2",
            "most segments of a request (virtio)",
        ),
        key(
            "max_sectors",
            Kind::Number,
            "N",
            "65535; vmbus 2048",
            "most 512-byte sectors of a request (virtio, vmbus)",
        ),
        key(
            "cmd_per_lun",
            Kind::Number,
            "N",
            "128",
            "commands that a unit takes at once (virtio)",
        ),
        key(
            "max_target",
            Kind::Number,
            "N",
            "255; pvscsi 63",
            "highest target number, at most 255 (virtio, pvscsi)",
        ),
        key(
            "aio",
            Kind::Text,
            "MODE",
            "auto",
            "how I/O is done: auto, io_uring, threads or sync",
        ),
        key(
            "protection",
            Kind::Switch,
            "on|off",
            "off",
            "offer protection information (T10-PI) to the driver (virtio)",
        ),
    ],
};

const ON: Key = key("on", Kind::Text, "ID", "", "controller that it is on");
const TARGET: Key = key("target", Kind::Number, "N", "0", "target number, 0 to 255");
const LUN: Key = key(
    "lun",
    Kind::Number,
    "N",
    "next free",
    "logical unit number, 0 to 16383",
);

/// `--disk`.
pub const DISK: Object = Object {
    name: "disk",
    head: None,
    keys: &[
        key("path", Kind::Text, "PATH", "", "raw image or block device"),
        ON,
        TARGET,
        LUN,
        key("readonly", Kind::Switch, "on|off", "off", "refuse writes"),
        key("serial", Kind::Text, "TEXT", "none", "serial number"),
        key(
            "latency_ms",
            Kind::Number,
            "MS",
            "0",
            "milliseconds that every command takes at least",
        ),
        key(
            "block_size",
            Kind::Number,
            "512|4096",
            "512",
            "bytes of a logical block",
        ),
        key(
            "thin",
            Kind::Switch,
            "on|off",
            "on",
            "give unmapped blocks back to the host",
        ),
        key(
            "protection",
            Kind::Number,
            "1|3",
            "none",
            "type of protection information (T10-PI)",
        ),
        key(
            "pi",
            Kind::Text,
            "PATH",
            "path with .pi",
            "file for the protection information",
        ),
        key(
            "count",
            Kind::Number,
            "N",
            "1",
            "that many disks; %d in path, pi and serial is 0, 1, ...",
        ),
    ],
};

/// `--cdrom`.
pub const CDROM: Object = Object {
    name: "cdrom",
    head: None,
    keys: &[
        key(
            "path",
            Kind::Text,
            "PATH|empty",
            "empty",
            "disc image, or a drive without a disc",
        ),
        ON,
        TARGET,
        LUN,
        key(
            "serial",
            Kind::Text,
            "TEXT",
            "made of the address",
            "serial number",
        ),
    ],
};

/// `--passthrough`.
pub const PASSTHROUGH: Object = Object {
    name: "passthrough",
    head: None,
    keys: &[
        key(
            "path",
            Kind::Text,
            "PATH",
            "",
            "SCSI device of the host: /dev/sgN or a block device",
        ),
        ON,
        TARGET,
        LUN,
        key(
            "timeout_s",
            Kind::Number,
            "SECONDS",
            "60",
            "seconds after which the host gives a command up",
        ),
    ],
};

impl Object {
    /// The key called `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }

    /// All names, for error messages.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.keys.iter().map(|key| key.name).collect();
        names.join(", ")
    }

    /// The keys of an option, as `--help` lists them.
    pub fn help(&self) -> String {
        self.help_as(&format!("--{}", self.name))
    }

    /// The keys of `what`, as `--help` lists them.
    pub fn help_as(&self, what: &str) -> String {
        let mut text = format!("Keys of {what}:\n");
        for key in self.keys {
            let left = format!("{}={}", key.name, key.value);
            let default = match key.default {
                "" => "must be given".to_owned(),
                default => format!("default {default}"),
            };
            text.push_str(&format!("  {left:<22} {} [{default}]\n", key.help));
        }
        text
    }
}
