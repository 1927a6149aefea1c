// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads, each with a seccomp filter of its role.
//!
//! - [`spawn`] starts a thread with a [`Role`];
//! - [`confine`] puts the role's filter on the main thread, once all is set up;
//! - [`start`] says what the filters do, before any of this.
//!
//! A thread inherits the filters of the one that makes it, and can only add to
//! them. A vCPU, which does very little, has to be able to start the threads of
//! a device, which do I/O. So threads are made by one more thread, the launcher:
//! it permits what any role may do, does nothing but making threads, and reads
//! nothing of a guest's. What a role may do is in `roles.rs`.
//!
//! A system call that its filter does not permit ends the process with a message
//! that names thread and call.
//!
//! Where [`start`] was not called, as in tests, threads are ordinary ones.

mod launcher;
mod roles;
mod sys;

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use launcher::Launcher;
pub use roles::Role;

/// What a system call outside its filter does.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// There are no filters.
    Off,
    /// It is carried out, and told to the host's audit log.
    Log,
    /// It ends the process.
    #[default]
    On,
}

/// Why there are no filters.
#[derive(Debug, Error)]
pub enum FilterError {
    /// The kernel does not take them.
    #[error("the seccomp filter of {role:?} threads cannot be used: {reason}; --seccomp=off does without")]
    Refused {
        /// Whose filter.
        role: Role,
        /// What the kernel said.
        reason: String,
    },
    /// The launcher cannot be started.
    #[error("the thread that starts threads cannot be started: {0}")]
    Launcher(io::Error),
    /// It was called twice.
    #[error("threads have been set up already")]
    Again,
}

/// What [`start`] set up.
struct Confinement {
    mode: Mode,
    launcher: Launcher,
}

static CONFINEMENT: OnceLock<Confinement> = OnceLock::new();

/// Has all threads that are spawned from now on confined as `mode` says; to be
/// called once, by the main thread.
///
/// # Errors
///
/// [`FilterError`] if the kernel does not take filters.
pub fn start(mode: Mode) -> Result<(), FilterError> {
    if mode == Mode::On {
        sys::report_violations().map_err(|reason| FilterError::Refused {
            role: Role::Main,
            reason: reason.to_string(),
        })?;
    }
    let launcher = Launcher::start(mode)?;
    let confinement = Confinement { mode, launcher };
    CONFINEMENT.set(confinement).map_err(|_| FilterError::Again)
}

/// Puts the filter of `role` on the calling thread.
///
/// # Errors
///
/// [`FilterError`] if the kernel does not take it.
pub fn confine(role: Role) -> Result<(), FilterError> {
    match CONFINEMENT.get() {
        Some(confinement) => roles::apply(role, confinement.mode),
        None => Ok(()),
    }
}

/// Runs `body` on a thread called `name` with the filter of `role`.
///
/// # Errors
///
/// If there can be no such thread.
pub fn spawn(
    role: Role,
    name: impl Into<String>,
    body: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let name = name.into();
    match CONFINEMENT.get() {
        Some(confinement) => confinement.launcher.spawn(role, name, Box::new(body)),
        None => Builder::new().name(name).spawn(body),
    }
}
