// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The keys of faults.
//!
//! Which kind of controller has which kinds of fault, and which kind has which keys
//! with what defaults, is checked where faults are injected.

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
            "any: delay, drop, status or garbage; on virtio also response, unwritten, \
             used-length, used-index, used-twice, used-unknown, events, tmf-drop, tmf-delay, \
             tmf-response, config or needs-reset; on VMBus also srb, refuse, length, \
             descriptor, write-index, read-index, unknown-id, twice, again, properties, \
             notices, rescind or open; on pvscsi also host-status, unknown-context, twice, \
             completion-index, refuse, sizes, targets, threshold, messages, message-index or \
             interrupts; on=balloon has page, command or reset; on=vmbus, the bus itself, has \
             delay, drop, twice, refuse, rescind, offer or message",
        ),
        number("queue", "virtio: only requests in this virtqueue"),
        number("channel", "VMBus: only requests on this channel"),
        number(
            "operation",
            "VMBus: requests for this operation [default 3, commands]; balloon, pvscsi: this \
             command; vmbus: this message of the guest's, or 2, a RESCIND",
        ),
        number("target", "only requests for this target"),
        number("lun", "only requests for this logical unit"),
        number("opcode", "only commands with this operation code"),
        number("subtype", "virtio: only this task management function"),
        number("skip", "let that many matches alone first [default 0]"),
        number("count", "then inject that often [default until cleared]"),
        number("percent", "chance of each match, 1 to 100 [default 100]"),
        number("seed", "of chance and random content [default 0]"),
        number("ms", "delay, tmf-delay, again: milliseconds"),
        number("relid", "rescind, offer: number of the channel"),
        number("index", "offer: which sub-channel [default 0, none]"),
        number("connection", "offer: what to signal"),
        number("monitor", "offer: bit of the monitor pages"),
        switch("stranger", "offer: of a device of its own"),
        number("slot", "message: what the slot holds [default 1]"),
        number("status", "status, garbage: SCSI status"),
        number("key", "status: sense key"),
        number("asc", "status: additional sense code"),
        number("ascq", "status: additional sense code qualifier"),
        number(
            "code",
            "response, garbage, tmf-response: virtio code; srb, garbage: SRB status; \
             host-status, garbage: host status of pvscsi; refuse, page, command: status",
        ),
        number("sense_len", "garbage: length of the sense data"),
        number("resid", "garbage: residual"),
        number("qualifier", "garbage: status qualifier"),
        number("transferred", "garbage: length of the data"),
        number("answer", "garbage: operation of the answer"),
        number(
            "len",
            "used-length: length in the used ring; length: bytes of the answer; message: of \
             the message",
        ),
        number(
            "offset8",
            "descriptor: where the payload begins, in eights of bytes",
        ),
        number(
            "len8",
            "descriptor: length of the packet, in eights of bytes",
        ),
        number(
            "ahead",
            "used-index, completion-index, message-index: elements ahead",
        ),
        number(
            "id",
            "used-unknown: id in the used ring; unknown-id: transaction id; \
             unknown-context: context; messages: target",
        ),
        number("sub_channels", "properties: most sub-channels"),
        number("max_transfer", "properties: most bytes of data"),
        number(
            "number",
            "events, notices, messages, interrupts: how many; rescind: how often",
        ),
        number(
            "notice",
            "notices: operation [default 11]; 12 puts the other port of kind=fc in use",
        ),
        switch("rescind", "open: take the device away instead"),
        number(
            "message",
            "messages: what happened [default 0, a target came]; message: its type",
        ),
        number("bus", "messages: bus"),
        number("requests", "sizes: logarithm of the entries for requests"),
        number("completions", "sizes: the same for completions"),
        number("messages", "sizes: the same for messages"),
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
        number(
            "value",
            "config: what the field reads as; write-index, read-index: the index; targets: \
             how many; threshold: requests",
        ),
        switch("notify", "config: tell the driver"),
    ],
};
