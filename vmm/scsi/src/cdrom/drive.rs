// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The tray, its lock, and the medium in it.
//!
//! The guest opens and closes the tray and locks it. A disc that it ejects stays
//! in the tray, and is there again when it closes the tray. The host puts discs
//! in and takes them out, which a locked tray does not let it: the guest is told
//! of the request, and may unlock the tray and eject. The host can also use
//! force, as the emergency hole of a drive does.
//!
//! The lock is held for moments only, and never while a file is opened or read:
//! a command that reads has a reference to the medium that it began with.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::scsi::mmc::cdb::Motion;
use protocol::scsi::mmc::event::{self, MediaEvent, MediaEventCode};
use protocol::scsi::mmc::feature::profile;
use protocol::scsi::sense::{asc, Sense, SenseKey};
use serde::Serialize;
use thiserror::Error;

use super::medium::Medium;

/// Why the host cannot change the medium.
#[derive(Debug, Error)]
pub enum DriveError {
    /// The guest locked the tray. It was told of the request.
    #[error("the guest has locked the medium in; it was asked to eject it")]
    Locked,
    /// The image cannot be used.
    #[error("cannot open {path}")]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The image has no complete block.
    #[error("{path} is {len} bytes long, which is less than a block of 2048")]
    Empty {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
    /// The image has more blocks than addresses.
    #[error("{path} is {len} bytes long, and a disc has at most 2^32 - 1 blocks of 2048")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// Its length.
        len: u64,
    },
}

/// The state of a drive, for whoever runs the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DriveStatus {
    /// The image in it, also while the tray is open.
    pub medium: Option<PathBuf>,
    /// How many blocks of 2048 bytes that has.
    pub blocks: u32,
    /// Whether the tray is open.
    pub tray_open: bool,
    /// Whether the guest has locked the tray.
    pub locked: bool,
}

/// A drive, shared by the guest's commands and whoever runs the machine.
pub struct Drive {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    medium: Option<Arc<Medium>>,
    tray_open: bool,
    locked: bool,
    /// The medium may be another one, which is still to be told.
    changed: bool,
    /// What happened since the guest asked last.
    event: MediaEventCode,
}

impl Drive {
    pub(super) fn new(medium: Option<Medium>) -> Self {
        let state = State {
            medium: medium.map(Arc::new),
            ..State::default()
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Puts an image in, in place of the one that is there, and closes the tray.
    ///
    /// # Errors
    ///
    /// See [`DriveError`]. The medium is the same as before then.
    pub fn change_medium(&self, path: &Path, force: bool) -> Result<(), DriveError> {
        let medium = Medium::open(path)?;
        self.put(medium, force)
    }

    pub(super) fn put(&self, medium: Medium, force: bool) -> Result<(), DriveError> {
        let mut state = self.lock();
        state.check_removal(force)?;
        state.medium = Some(Arc::new(medium));
        state.close();
        Ok(())
    }

    /// Opens the tray and takes out what is in it.
    ///
    /// # Errors
    ///
    /// [`DriveError::Locked`].
    pub fn eject(&self, force: bool) -> Result<(), DriveError> {
        let mut state = self.lock();
        state.check_removal(force)?;
        state.open();
        state.medium = None;
        Ok(())
    }

    /// How things are.
    pub fn status(&self) -> DriveStatus {
        let state = self.lock();
        let medium = state.medium.as_ref();
        DriveStatus {
            medium: medium.map(|medium| medium.path().to_path_buf()),
            blocks: medium.map_or(0, |medium| medium.blocks()),
            tray_open: state.tray_open,
            locked: state.locked,
        }
    }

    /// The medium, if it can be read.
    pub(super) fn medium(&self) -> Result<Arc<Medium>, Sense> {
        let state = self.lock();
        let why = match &state.medium {
            _ if state.tray_open => asc::MEDIUM_NOT_PRESENT_TRAY_OPEN,
            Some(medium) => return Ok(Arc::clone(medium)),
            None => asc::MEDIUM_NOT_PRESENT_TRAY_CLOSED,
        };
        Err(Sense::new(SenseKey::NotReady, why))
    }

    /// The profile of the medium, if it can be read.
    pub(super) fn profile(&self) -> u16 {
        self.medium()
            .map_or(profile::NONE, |medium| medium.profile())
    }

    /// The unit attention for a change that was not told yet. It is told now.
    pub(super) fn check_unchanged(&self) -> Result<(), Sense> {
        if std::mem::take(&mut self.lock().changed) {
            let why = asc::NOT_READY_TO_READY_CHANGE_MEDIUM_MAY_HAVE_CHANGED;
            return Err(Sense::new(SenseKey::UnitAttention, why));
        }
        Ok(())
    }

    /// START STOP UNIT. A disc that was stopped starts with the next access, so
    /// that stopping it changes nothing that could be seen.
    pub(super) fn move_tray(&self, motion: Motion) -> Result<(), Sense> {
        let mut state = self.lock();
        match motion {
            Motion::Spin => {}
            Motion::Load if state.tray_open => state.close(),
            Motion::Load => {}
            Motion::Eject if state.locked => return Err(state.removal_prevented()),
            Motion::Eject => state.open(),
        }
        Ok(())
    }

    pub(super) fn set_locked(&self, locked: bool) {
        self.lock().locked = locked;
    }

    pub(super) fn is_locked(&self) -> bool {
        self.lock().locked
    }

    pub(super) fn is_open(&self) -> bool {
        self.lock().tray_open
    }

    /// What happened since the last time, and how things are.
    pub(super) fn take_event(&self) -> MediaEvent {
        let mut state = self.lock();
        let present = match state.medium {
            Some(_) if !state.tray_open => event::MEDIA_PRESENT,
            _ => 0,
        };
        let open = if state.tray_open { event::TRAY_OPEN } else { 0 };
        MediaEvent {
            event: std::mem::take(&mut state.event) as u8,
            status: present | open,
            slots: [0; 2],
        }
    }

    /// The lock does not outlive a reset. Where the tray is, and what is in it,
    /// is not changed by one; that this may be news is told by the unit attention
    /// of the reset.
    pub(super) fn reset(&self) {
        let mut state = self.lock();
        state.locked = false;
        state.changed = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before it could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether the host may take out what is in the tray. If not, the guest is
    /// asked.
    fn check_removal(&mut self, force: bool) -> Result<(), DriveError> {
        if force || !self.locked || self.medium.is_none() {
            return Ok(());
        }
        self.event = MediaEventCode::EjectRequest;
        Err(DriveError::Locked)
    }

    /// Closes the tray, with or without a medium that may be another one.
    fn close(&mut self) {
        self.tray_open = false;
        if self.medium.is_some() {
            self.changed = true;
            self.event = MediaEventCode::NewMedia;
        }
    }

    fn open(&mut self) {
        if !self.tray_open && self.medium.is_some() {
            self.event = MediaEventCode::MediaRemoval;
        }
        self.tray_open = true;
        // That there is no medium is told by every command that needs one.
        self.changed = false;
    }

    fn removal_prevented(&self) -> Sense {
        let key = match self.medium {
            Some(_) => SenseKey::IllegalRequest,
            None => SenseKey::NotReady,
        };
        Sense::new(key, asc::MEDIUM_REMOVAL_PREVENTED)
    }
}
