// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How often each command came, and what became of it.

use hospes_device::counters::Counter;
use protocol::vmballoon::{Command, Status};
use serde_json::{json, Map, Value};

/// One command.
#[derive(Debug, Default)]
struct Uses {
    /// How often it came.
    calls: Counter,
    /// How often it was refused as a whole.
    failures: Counter,
    /// How many single pages were refused.
    refused: Counter,
}

/// All commands, by number, and the unknown ones.
#[derive(Debug, Default)]
pub(super) struct Commands {
    known: [Uses; Command::COUNT],
    unknown: Counter,
}

impl Commands {
    /// A command was answered so; that many of its pages were refused, with or without it.
    pub(super) fn note(&self, command: Command, status: Status, refused: u64) {
        let Some(uses) = self.known.get(command.0 as usize) else {
            return self.unknown.inc();
        };
        uses.calls.inc();
        uses.refused.add(refused);
        if !status.is_success() {
            uses.failures.inc();
        }
    }

    /// By name.
    pub(super) fn to_json(&self) -> Value {
        let known = Command::NAMES.iter().filter_map(|(command, name)| {
            let uses = self.known.get(command.0 as usize)?;
            let value = json!({
                "calls": uses.calls,
                "failures": uses.failures,
                "refused": uses.refused,
            });
            Some(((*name).to_owned(), value))
        });
        let mut map: Map<_, _> = known.collect();
        map.insert("unknown".to_owned(), json!(self.unknown));
        Value::Object(map)
    }
}
