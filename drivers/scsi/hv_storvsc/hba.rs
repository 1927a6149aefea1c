// SPDX-License-Identifier: GPL-2.0

//! A controller, and what its host says.

use crate::{
    command,
    follow_up::{
        self,
        FollowUps, //
    },
    mailbox::Mailbox,
    probe::in_use,
    reset,
    settings::Kind, //
};
use guest::{
    ratelimit::RateLimit,
    scsi::{
        HostByte,
        Status, //
    },
    vmbus,
    vmbus_scsi::Lent, //
};
use kernel::{
    device::{
        self,
        Core, //
    },
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        ArcBorrow,
        Mutex,
        SpinLockIrq, //
    },
    workqueue::{
        impl_has_work,
        new_work,
        Work, //
    }, //
};
use protocol::storvsp::{
    Notice,
    Operation,
    Packet,
    Version,
    TRANSACTION_INIT,
    TRANSACTION_RESET,
    TRANSACTION_UNSOLICITED, //
};

/// In place of an answer that is none: of an operation that no answer has.
const NO_ANSWER: Packet = Packet::new(Operation(0));

/// The number of an error, for messages.
pub(crate) fn errno(error: Error) -> u64 {
    error.to_errno().unsigned_abs().into()
}

/// A controller as its driver has it.
#[pin_data]
pub(crate) struct Hba {
    pub(crate) dev: ARef<device::Device>,
    pub(crate) channels: Arc<vmbus::Channels<Hba>>,
    pub(crate) kind: Kind,
    /// The version that was agreed on.
    version: Atomic<i32>,
    /// Whether the driver is being unbound.
    leaving: Atomic<i32>,
    #[pin]
    pub(crate) init: Mailbox,
    #[pin]
    pub(crate) reset: Mailbox,
    /// Held by who resets the controller.
    #[pin]
    pub(crate) resetting: Mutex<()>,
    #[pin]
    pub(crate) follow_ups: FollowUps,
    #[pin]
    pub(crate) work: Work<Hba, { follow_up::NOTES }>,
    #[pin]
    cut_off: Work<Hba, { reset::CUT_OFF }>,
    /// Whether that work item may be queued.
    #[pin]
    pub(crate) breakable: SpinLockIrq<bool>,
    #[pin]
    complaints: RateLimit,
}

impl_has_work! {
    impl HasWork<Self, { follow_up::NOTES }> for Hba { self.work }
    impl HasWork<Self, { reset::CUT_OFF }> for Hba { self.cut_off }
}

impl Hba {
    /// A controller whose channels are not open yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(
        dev: &device::Device<Core<'_>>,
        channels: &Arc<vmbus::Channels<Self>>,
        kind: Kind,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                dev: dev.into(),
                channels: channels.clone(),
                kind,
                version: Atomic::new(0),
                leaving: Atomic::new(0),
                init <- Mailbox::new(TRANSACTION_INIT),
                reset <- Mailbox::new(TRANSACTION_RESET),
                resetting <- new_mutex!((), "hv_storvsc::Hba::resetting"),
                follow_ups <- FollowUps::new(),
                work <- new_work!("hv_storvsc::Hba::work"),
                cut_off <- new_work!("hv_storvsc::Hba::cut_off"),
                breakable <- new_spinlock_irq!(false, "hv_storvsc::Hba::breakable"),
                complaints <- RateLimit::new(),
            }),
            GFP_KERNEL,
        )
    }

    /// The version that was agreed on.
    pub(crate) fn version(&self) -> Version {
        Version(self.version.load(Relaxed) as u16)
    }

    /// Guest and host have agreed on a version.
    pub(crate) fn set_version(&self, version: Version) {
        self.version.store(version.0.into(), Relaxed);
    }

    /// From here on a command is not waited for without end: the device is to be left.
    pub(crate) fn leave(&self) {
        self.leaving.store(1, Relaxed);
    }

    /// Whether the driver is being unbound.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Relaxed) != 0
    }

    /// Whether messages are not too many: those that the host can cause are limited.
    pub(crate) fn may_complain(&self) -> bool {
        self.complaints.allows()
    }

    /// Says what is wrong with the host, but not too often.
    #[cold]
    #[inline(never)]
    pub(crate) fn complain(&self, what: &str, value: u64) {
        if self.may_complain() {
            dev_err!(self.dev, "{}: {:#x}\n", what, value);
        }
    }

    /// Takes what the host sends by itself.
    fn notice(self: ArcBorrow<'_, Self>, packet: &[u8]) {
        match Packet::parse_notice(packet) {
            Some(Notice::Units) => self.look_at_all(),
            Some(Notice::Names(names)) if self.kind == Kind::FibreChannel => {
                self.rename(in_use(names));
            }
            Some(Notice::Names(_)) => self.complain("names of a port, which it is not", 0),
            Some(Notice::Unknown(Operation(other))) => {
                self.complain("notice that nobody knows", other.into())
            }
            None => self.complain("notice that is none, of length", packet.len() as u64),
        }
    }
}

impl vmbus::Handler for Hba {
    type Request = Lent<Hba>;

    #[inline]
    fn answered(self: ArcBorrow<'_, Self>, request: Lent<Hba>, packet: &[u8]) {
        command::finish(self, request.into_command(), packet);
    }

    #[cold]
    #[inline(never)]
    fn received(self: ArcBorrow<'_, Self>, id: u64, packet: &[u8]) {
        let mailbox = match id {
            TRANSACTION_UNSOLICITED => return self.notice(packet),
            TRANSACTION_INIT => &self.init,
            TRANSACTION_RESET => &self.reset,
            _ => return self.complain("answer to what it was not asked", id),
        };
        let answer = Packet::parse(packet).unwrap_or_else(|| {
            self.complain("answer is too short", packet.len() as u64);
            // There is no other to wait for.
            NO_ANSWER
        });
        mailbox.deliver(answer);
    }

    #[cold]
    #[inline(never)]
    fn broken(self: ArcBorrow<'_, Self>) {
        self.complain(
            "ring is broken, requests in flight",
            self.channels.in_flight() as u64,
        );
        reset::stop_later(self);
    }

    fn lost(self: ArcBorrow<'_, Self>, request: Lent<Hba>) {
        request
            .into_command()
            .complete(HostByte::NO_CONNECT, Status::GOOD);
    }
}
