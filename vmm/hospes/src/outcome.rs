// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How a machine can end, and the exit status that tells.

use std::sync::mpsc::Sender;

/// Why a machine stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The guest switched itself off (ACPI S5).
    PowerOff,
    /// The guest reset the machine.
    Reset,
    /// A vCPU shut down because it could not deliver an exception.
    TripleFault,
    /// The guest reported a kernel panic through pvpanic.
    Panic,
    /// SIGINT or SIGTERM.
    Interrupted,
    /// The time limit passed.
    TimeLimit,
    /// The VMM or KVM failed; the text says how.
    Error(String),
}

/// Exit status of a VMM or KVM failure.
pub const STATUS_ERROR: u8 = 1;

/// Exit status of wrong options or a wrong configuration.
pub const STATUS_USAGE: u8 = 2;

impl Outcome {
    /// The exit status of the process.
    pub fn status(&self) -> u8 {
        match self {
            Self::PowerOff => 0,
            Self::Error(_) => STATUS_ERROR,
            Self::Reset => 32,
            Self::TripleFault => 33,
            Self::Panic => 34,
            Self::Interrupted => 35,
            Self::TimeLimit => 36,
        }
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::PowerOff => f.write_str("guest power-off"),
            Self::Reset => f.write_str("guest reset"),
            Self::TripleFault => f.write_str("guest triple fault"),
            Self::Panic => f.write_str("guest panic"),
            Self::Interrupted => f.write_str("interrupted by a signal"),
            Self::TimeLimit => f.write_str("time limit"),
            Self::Error(text) => write!(f, "error: {text}"),
        }
    }
}

/// The exit statuses, as `--help` prints them.
pub const STATUS_HELP: &str = "\
Exit status:
  0   the guest switched itself off
  1   the VMM or KVM failed
  2   wrong option or configuration
  32  the guest reset the machine
  33  triple fault: a vCPU shut down
  34  the guest panicked (as told by pvpanic)
  35  SIGINT or SIGTERM
  36  the time limit passed";

/// Ends the machine: held by whatever can cause its end. The first call wins.
#[derive(Clone)]
pub struct Stopper(Sender<Outcome>);

impl Stopper {
    /// A stopper that reports to the other end of `sender`.
    pub fn new(sender: Sender<Outcome>) -> Self {
        Self(sender)
    }

    /// Asks for the end of the machine.
    pub fn stop(&self, outcome: Outcome) {
        // Nobody listens once the machine is being stopped: the first outcome
        // has won.
        let _ = self.0.send(outcome);
    }
}
