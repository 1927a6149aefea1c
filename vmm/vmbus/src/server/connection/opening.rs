// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Memory of channels, and channels that are opened, moved and closed.

use std::sync::Arc;

use protocol::vmbus::message::body::STATUS_SUCCESS;
use protocol::vmbus::message::{
    ChannelRelid, GpadlBody, GpadlCreated, GpadlHeader, GpadlTeardown, GpadlTorndown, Kind,
    Message, ModifyChannel, ModifyChannelResponse, Open, OpenResult,
};
use protocol::vmbus::Version;
use zerocopy::little_endian::{U32, U64};

use super::super::channels::{Opened, Presence};
use super::super::gpadls::GpadlError;
use super::Connection;
use crate::channel::{Channel, Interrupt, MoreChannels};
use crate::device::Opening;

/// Status of what failed (Windows' `STATUS_UNSUCCESSFUL`).
const STATUS_FAILURE: u32 = 0xc000_0001;

impl Connection {
    pub(super) fn gpadl(&mut self, body: &GpadlHeader, words: &[U64]) {
        let (relid, gpadl) = (body.relid, body.gpadl);
        let result = match self.channels.known(relid.get()) {
            Some(_) => self.gpadls.begin(body, words),
            None => Err(GpadlError::Missing),
        };
        match result {
            Ok(None) => {}
            Ok(Some(_)) => self.gpadl_created(relid, gpadl, STATUS_SUCCESS),
            Err(error) => {
                self.refuse(&format!("GPADL {:#x}: {error}", gpadl.get()));
                self.gpadl_created(relid, gpadl, STATUS_FAILURE);
            }
        }
    }

    pub(super) fn gpadl_body(&mut self, body: &GpadlBody, words: &[U64]) {
        match self.gpadls.proceed(body, words) {
            Ok(None) => {}
            Ok(Some(relid)) => self.gpadl_created(U32::new(relid), body.gpadl, STATUS_SUCCESS),
            Err((relid, error)) => {
                self.refuse(&format!("GPADL {:#x}: {error}", body.gpadl.get()));
                if let Some(relid) = relid {
                    self.gpadl_created(U32::new(relid), body.gpadl, STATUS_FAILURE);
                }
            }
        }
    }

    fn gpadl_created(&mut self, relid: U32, gpadl: U32, mut status: u32) {
        let fate = self.faulty.fate(Kind::GPADL_HEADER);
        if let (STATUS_SUCCESS, Some(code)) = (status, fate.refusal) {
            status = code;
            self.gpadls.remove(gpadl.get());
        }
        if status == STATUS_SUCCESS {
            self.counters.gpadls.inc();
        }
        let status = U32::new(status);
        let answer = GpadlCreated {
            relid,
            gpadl,
            status,
        };
        self.answer(fate, &Message::GpadlCreated(&answer));
    }

    /// The guest waits for the answer, so it gets one whatever it asked for.
    pub(super) fn gpadl_teardown(&mut self, body: &GpadlTeardown) {
        let handle = body.gpadl.get();
        for relid in self.channels.using(handle) {
            self.refuse(&format!("GPADL {handle:#x} goes with channel {relid} open"));
            self.close(relid);
        }
        if self.gpadls.remove(handle) {
            self.counters.gpadls_torn_down.inc();
        }
        let gpadl = body.gpadl;
        let fate = self.faulty.fate(Kind::GPADL_TEARDOWN);
        self.answer(fate, &Message::GpadlTorndown(&GpadlTorndown { gpadl }));
    }

    /// What the device of a channel says of its opening, and what its first channel is.
    fn opening(&mut self, relid: u32) -> Option<(Opening, u16)> {
        let (_, entry) = self.channels.known(relid)?;
        let opening = entry.device.opening(entry.index);
        let instance = entry.device.identity().instance;
        Some((opening, *self.channels.of(instance).last()?))
    }

    pub(super) fn open(&mut self, body: &Open) {
        let fate = self.faulty.fate(Kind::OPEN);
        let result = match (self.opening(body.relid.get()), fate.refusal) {
            (Some((Opening::Rescinded, primary)), _) => return self.come_back(primary, 0),
            (Some((Opening::Refused, _)), _) => Err("its device does not want that".to_owned()),
            (_, Some(_)) => Err("nobody wants that".to_owned()),
            _ => self.try_open(body),
        };
        let status = match result {
            Ok(()) => STATUS_SUCCESS,
            Err(why) => {
                self.refuse(&format!(
                    "channel {} is not opened: {why}",
                    body.relid.get()
                ));
                fate.refusal.unwrap_or(STATUS_FAILURE)
            }
        };
        let answer = OpenResult {
            relid: body.relid,
            open_id: body.open_id,
            status: U32::new(status),
        };
        self.answer(fate, &Message::OpenResult(&answer));
    }

    fn try_open(&mut self, body: &Open) -> Result<(), String> {
        let target = body.target_vp.get();
        if !self.synic.has(target) {
            return Err(format!("there is no VP {target}"));
        }
        let gpadl = body.ring_gpadl.get();
        let rings = self
            .gpadls
            .rings(&self.memory, gpadl, body.downstream_page.get());
        let (relid, entry) = (self.channels.known(body.relid.get()))
            .ok_or_else(|| "there is no such channel".to_owned())?;
        if entry.opened.is_some() || entry.presence == Presence::Rescinded {
            return Err("it is open already, or rescinded".to_owned());
        }
        let [to_host, to_guest] = rings.map_err(|error| error.to_string())?;
        let interrupt = Arc::new(Interrupt::new(self.synic.clone(), relid, target));
        let channel = Channel {
            to_host,
            to_guest,
            kick: entry.kick.clone(),
            interrupt: interrupt.clone(),
            more: MoreChannels {
                inbox: self.inbox.clone(),
                primary: relid,
            },
        };
        (entry.device.open(entry.index, channel)).map_err(|error| error.to_string())?;
        entry.opened = Some(Opened { gpadl, interrupt });
        self.counters.opened.inc();
        Ok(())
    }

    pub(super) fn guest_closes(&mut self, body: &ChannelRelid) {
        let Some((relid, entry)) = self.channels.known(body.relid.get()) else {
            return self.refuse(&format!("channel {} is closed", body.relid.get()));
        };
        let (index, instance) = (entry.index, entry.device.identity().instance);
        if index != 0 {
            return self.close(relid);
        }
        // Without its first channel a device has no other.
        for relid in self.channels.of(instance) {
            self.close(relid);
            let entry = self.channels.get_mut(relid);
            if entry.is_some_and(|entry| entry.index != 0) {
                self.take_back(relid);
            }
        }
    }

    /// Closes a channel, if it is open.
    pub(super) fn close(&mut self, relid: u16) {
        let Some(entry) = self.channels.get_mut(relid) else {
            return;
        };
        if entry.shut() {
            entry.device.close(entry.index);
            self.counters.closed.inc();
        }
    }

    pub(super) fn modify(&mut self, body: &ModifyChannel, version: Version) {
        let target = body.target_vp.get();
        let fate = self.faulty.fate(Kind::MODIFY_CHANNEL);
        let is_possible =
            version.can_modify_channel() && self.synic.has(target) && fate.refusal.is_none();
        let opened = self.channels.known(body.relid.get());
        let opened = opened.and_then(|(_, entry)| entry.opened.as_ref());
        let status = match opened.filter(|_| is_possible) {
            Some(opened) => {
                opened.interrupt.retarget(target);
                STATUS_SUCCESS
            }
            None => {
                let relid = body.relid.get();
                self.refuse(&format!("channel {relid} cannot move to VP {target}"));
                fate.refusal.unwrap_or(STATUS_FAILURE)
            }
        };
        if version.acknowledges_modify_channel() {
            let answer = ModifyChannelResponse {
                relid: body.relid,
                status: U32::new(status),
            };
            self.answer(fate, &Message::ModifyChannelResponse(&answer));
        }
    }
}
