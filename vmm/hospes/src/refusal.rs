// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Why a running machine does not do what its user asks for.

use thiserror::Error;

use crate::config::ConfigError;

/// What kind of refusal; each is a status of its own on the control socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The request makes no sense, whatever the machine is like.
    Invalid,
    /// It is about something that does not exist.
    Unknown,
    /// The machine is not in a state for it.
    Conflict,
    /// The host failed.
    Failed,
}

/// A refusal; the text names what is wrong and what would help.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{text}")]
pub struct Refusal {
    /// Its kind.
    pub reason: Reason,
    /// For the user.
    pub text: String,
}

impl Refusal {
    /// A request that makes no sense.
    pub fn invalid(text: impl ToString) -> Self {
        Self::new(Reason::Invalid, text)
    }

    /// A request about something that does not exist.
    pub fn unknown(text: impl ToString) -> Self {
        Self::new(Reason::Unknown, text)
    }

    /// A request at the wrong time.
    pub fn conflict(text: impl ToString) -> Self {
        Self::new(Reason::Conflict, text)
    }

    /// A failure of the host.
    pub fn failed(text: impl ToString) -> Self {
        Self::new(Reason::Failed, text)
    }

    fn new(reason: Reason, text: impl ToString) -> Self {
        Self {
            reason,
            text: text.to_string(),
        }
    }
}

impl From<ConfigError> for Refusal {
    fn from(error: ConfigError) -> Self {
        Self::invalid(error)
    }
}
