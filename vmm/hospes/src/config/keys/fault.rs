// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The keys of faults.
//!
//! Which kind has which keys, and with what defaults, is checked where faults
//! are injected.

use super::{key, Key, Kind, Object, ON};

const fn number(name: &'static str, help: &'static str) -> Key {
    key(name, Kind::Number, "N", "none", help)
}

const fn switch(name: &'static str, help: &'static str) -> Key {
    key(name, Kind::Switch, "on|off", "off", help)
}

/// `--fault`.
pub const FAULT: Object = Object {
    name: "fault",
    head: None,
    keys: &[
        ON,
        key(
            "kind",
            Kind::Text,
            "KIND",
            "",
            "delay, drop, status, response, garbage, unwritten, used-length, used-index, \
             used-twice, used-unknown, events, tmf-drop, tmf-delay, tmf-response, config or \
             needs-reset",
        ),
        number("queue", "only requests in this virtqueue"),
        number("target", "only requests for this target"),
        number("lun", "only requests for this logical unit"),
        number("opcode", "only commands with this operation code"),
        number("subtype", "only this task management function"),
        number("skip", "let that many matches alone first [default 0]"),
        number("count", "then inject that often [default until cleared]"),
        number("percent", "chance of each match, 1 to 100 [default 100]"),
        number("seed", "of chance and random content [default 0]"),
        number("ms", "delay, tmf-delay: milliseconds"),
        number("status", "status, garbage: SCSI status"),
        number("key", "status: sense key"),
        number("asc", "status: additional sense code"),
        number("ascq", "status: additional sense code qualifier"),
        number("code", "response, garbage, tmf-response: virtio code"),
        number("sense_len", "garbage: length of the sense data"),
        number("resid", "garbage: residual"),
        number("qualifier", "garbage: status qualifier"),
        number("len", "used-length: length in the used ring"),
        number("ahead", "used-index: elements ahead"),
        number("id", "used-unknown: id in the used ring"),
        number("number", "events: how many"),
        number("event", "events: event field"),
        number("reason", "events: reason field"),
        number("lun_field", "events: LUN field"),
        switch("missed", "events: say that events were lost"),
        switch("carry_out", "tmf-response: carry the function out"),
        key(
            "field",
            Kind::Text,
            "NAME",
            "none",
            "config: field of the configuration space",
        ),
        number("value", "config: what the field reads as"),
        switch("notify", "config: tell the driver"),
    ],
};
