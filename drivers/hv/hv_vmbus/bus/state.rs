// SPDX-License-Identifier: GPL-2.0

//! What the bus consists of, and how it begins and ends.

use super::{
    cpus::Processing,
    table::Table,
    waiters::Waiters, //
};
use crate::sys::{
    interrupt,
    set_pages,
    Global,
    Processors, //
};
use core::sync::atomic::{
    AtomicBool,
    AtomicU32,
    Ordering, //
};
use guest::{
    completion::Completion,
    hyperv::{
        cpus::Registration,
        page::SharedPage,
        platform,
        queue::OwnQueue, //
    },
    lock::IrqLock,
    new_irq_lock,
    ratelimit::RateLimit, //
};
use kernel::{
    new_mutex,
    prelude::*,
    sync::Mutex,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};

/// The number of the first GPADL.
const FIRST_GPADL: u32 = 0xe1e10;
/// How long the host may take to offer what there is at first.
const OFFERS_MS: u32 = 60_000;
/// How long devices may take to go.
const DEVICES_MS: i64 = 60_000;

/// Where work is done that may sleep.
pub(crate) struct Queues {
    /// Offers and rescinds, in the order in which they came.
    pub(super) arrivals: OwnQueue,
    /// Devices that come: their drivers' probes.
    pub(super) primaries: OwnQueue,
    /// Sub-channels that come: they are opened.
    pub(super) subs: OwnQueue,
    /// Channels that go.
    pub(super) rescinds: OwnQueue,
}

impl Queues {
    fn new() -> Result<Self> {
        Ok(Self {
            arrivals: OwnQueue::ordered(c"hv_vmbus_con")?,
            primaries: OwnQueue::ordered(c"hv_pri_chan")?,
            subs: OwnQueue::ordered(c"hv_sub_chan")?,
            rescinds: OwnQueue::parallel(c"hv_vmbus_rescind")?,
        })
    }

    /// Waits until there is nothing left to do. Sleeps.
    pub(super) fn drain(&self) {
        self.arrivals.drain();
        self.primaries.drain();
        self.subs.drain();
        self.rescinds.drain();
    }
}

/// The pages that the host is told of when a connection is made.
pub(crate) struct Pages {
    pub(super) interrupts: SharedPage,
    pub(super) monitors: [SharedPage; 2],
}

impl Pages {
    fn new() -> Result<Self> {
        let pages = Self {
            interrupts: SharedPage::new(false)?,
            monitors: [SharedPage::new(true)?, SharedPage::new(true)?],
        };
        set_pages(Some((&pages.interrupts, &pages.monitors)));
        Ok(pages)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        set_pages(None);
    }
}

/// The bus.
#[pin_data]
pub(crate) struct Bus {
    /// Dropped first: whatever runs there uses the rest.
    pub(super) queues: Queues,
    pub(super) processors: Processors,
    pub(super) pages: Pages,
    pub(super) confidential: bool,
    /// Whether the host knows us.
    pub(super) connected: AtomicBool,
    /// Whether offers are ignored, before a sleep.
    pub(super) deaf: AtomicBool,
    /// Where messages go to.
    pub(super) connection: AtomicU32,
    pub(super) next_gpadl: AtomicU32,
    #[pin]
    pub(super) waiters: IrqLock<Waiters>,
    #[pin]
    pub(super) table: Mutex<Table>,
    #[pin]
    pub(super) hotplug: Mutex<Option<Registration>>,
    #[pin]
    pub(super) all_offered: Completion,
    #[pin]
    pub(super) unloaded: Completion,
    #[pin]
    complaints: RateLimit,
}

static BUS: Global<Bus> = Global::new();

/// The bus, if it has begun.
#[inline]
pub(crate) fn bus() -> Option<&'static Bus> {
    BUS.get()
}

/// Calls `f`, which prints, unless that happens too often.
#[cold]
pub(crate) fn complain(f: impl FnOnce()) {
    if bus().is_some_and(|bus| bus.complaints.allows()) {
        f();
    }
}

/// Whether there are channels that the host knows nothing of.
pub(crate) fn is_confidential() -> bool {
    bus().is_some_and(|bus| bus.confidential)
}

impl Bus {
    fn new(confidential: bool) -> Result<Pin<KBox<Self>>> {
        let (queues, pages) = (Queues::new()?, Pages::new()?);
        let (processors, table) = (Processors::new(confidential)?, Table::new()?);
        KBox::pin_init(
            pin_init!(Self {
                queues,
                processors,
                pages,
                confidential,
                connected: AtomicBool::new(false),
                deaf: AtomicBool::new(false),
                connection: AtomicU32::new(0),
                next_gpadl: AtomicU32::new(FIRST_GPADL),
                waiters <- new_irq_lock!(Waiters::new(), "hv_vmbus::Bus::waiters"),
                table <- new_mutex!(table, "hv_vmbus::Bus::table"),
                hotplug <- new_mutex!(None, "hv_vmbus::Bus::hotplug"),
                all_offered <- Completion::new(),
                unloaded <- Completion::new(),
                complaints <- RateLimit::new(),
            }),
            GFP_KERNEL,
        )
    }

    #[inline]
    pub(super) fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Acquire)
    }

    /// Asks for all offers, and waits until those that were there at first are devices.
    pub(super) fn request_offers(&self) -> Result {
        self.all_offered.reset();
        self.post(&protocol::vmbus::message::Message::RequestOffers)?;
        if self.all_offered.wait_timeout(OFFERS_MS).is_err() {
            pr_warn!("timed out waiting for all boot-time offers to be delivered.\n");
        }
        self.queues.arrivals.flush();
        self.queues.primaries.flush();
        Ok(())
    }

    fn begin(&self) -> Result {
        *self.hotplug.lock() = Some(Registration::new::<Processing>(c"hyperv/vmbus:online")?);
        self.connect()
            .inspect_err(|_| pr_err!("Unable to connect to host\n"))?;
        self.request_offers()
            .inspect_err(|error| pr_err!("Unable to request offers - {}\n", error.to_errno()))
    }

    /// Takes all devices away, and says whether they have gone. Sleeps.
    fn remove_devices(&self) -> bool {
        let next = || self.table.lock().claim_next();
        while let Some(held) = next() {
            let channel = held.channel();
            channel.set_rescinded();
            match self.device_of(channel) {
                Some(device) => crate::device::unregister(device.device()),
                None => self.remove(channel),
            }
        }
        for _ in 0..DEVICES_MS / 10 {
            if self.table.lock().is_empty() {
                return true;
            }
            fsleep(Delta::from_millis(10));
        }
        pr_err!("devices are still in use; their memory is lost\n");
        false
    }
}

/// Sets the processors up, connects to the host, and waits for what it offers at first.
///
/// # Errors
///
/// `ENOMEM`, or why there is no connection.
pub(crate) fn start() -> Result {
    let confidential = platform::has_confidential_vmbus();
    if confidential {
        pr_info!("Establishing connection to the confidential VMBus\n");
    }
    platform::set_interrupt_proxy(!confidential);
    BUS.set(Bus::new(confidential)?);
    interrupt::set_handler();
    let result = bus().map_or(Err(ENODEV), |bus| bus.begin());
    if result.is_err() {
        stop();
    }
    result
}

/// Undoes [`start`]: no device is left, and the host knows nothing of us. Sleeps.
pub(crate) fn stop() {
    let Some(bus) = bus() else {
        return;
    };
    super::unload(false);
    bus.queues.drain();
    let is_empty = bus.remove_devices();
    let hotplug = bus.hotplug.lock().take();
    drop(hotplug);
    interrupt::clear_handler();
    bus.queues.drain();
    crate::sys::set_version(None);
    if is_empty {
        crate::sys::forget(&BUS);
    }
}
