// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A model of the guest: its memory, one processor with a SynIC, and a bus.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use hospes_device::memory::GuestMemory;
use protocol::hyperv::event::Flags;
use protocol::hyperv::hypercall::{PostMessage, Status, CONNECTION_MESSAGE, POST_MESSAGE_SIZE};
use protocol::hyperv::message::KIND_CHANNEL;
use protocol::hyperv::slot::{Released, Slot};
use protocol::hyperv::VMBUS_SINT;
use protocol::vmbus::gpa::RangeHeader;
use protocol::vmbus::gpadl::Messages;
use protocol::vmbus::message::{
    Encoded, GpadlTeardown, InitiateContact, Kind, Message, Offer, Open,
};
use protocol::vmbus::ring::control;
use protocol::vmbus::Version;
use vm_memory::{GuestAddress, GuestMemoryMmap};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};
use zerocopy::little_endian::{U32, U64};

use crate::device::Signals;
use crate::memory::Pages;
use crate::server::{Settings, VmBus};
use crate::synic::Synic;

/// Bytes of guest memory.
pub(crate) const MEMORY_SIZE: u64 = 4 << 20;
/// Pages of the SynIC.
const EVENT_PAGE: u64 = 0x1000;
const MESSAGE_PAGE: u64 = 0x2000;
/// A long time, for what is going to happen.
const LIMIT: Duration = Duration::from_secs(60);

/// Memory from address 0 on.
pub(crate) fn memory() -> GuestMemory {
    let ranges = [(GuestAddress(0), MEMORY_SIZE as usize)];
    Arc::new(GuestMemoryMmap::from_ranges(&ranges).unwrap())
}

/// Waits until something is there.
pub(crate) fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "it does not happen");
        thread::sleep(Duration::from_micros(200));
    }
}

/// The connections that are bound.
#[derive(Default)]
pub(crate) struct Connections(Mutex<BTreeMap<u32, EventFd>>);

impl Signals for Connections {
    fn bind(&self, connection: u32, event: &EventFd) -> io::Result<()> {
        let before = self
            .0
            .lock()
            .unwrap()
            .insert(connection, event.try_clone()?);
        assert!(before.is_none());
        Ok(())
    }

    fn unbind(&self, connection: u32) {
        self.0.lock().unwrap().remove(&connection).unwrap();
    }
}

/// The guest.
pub(crate) struct Guest {
    pub(crate) memory: GuestMemory,
    pub(crate) bus: VmBus,
    connections: Arc<Connections>,
    /// The interrupt line of its only processor.
    pub(crate) line: EventFd,
    /// What the guest writes to when it has emptied a slot for which more waits.
    end: EventFd,
    next_gpadl: u32,
}

impl Guest {
    /// A guest that has not made contact.
    pub(crate) fn new(settings: Settings) -> Self {
        let memory = memory();
        let line = EventFd::new(EFD_NONBLOCK).unwrap();
        let end = EventFd::new(EFD_NONBLOCK).unwrap();
        let synic = Synic::new(memory.clone(), vec![line.try_clone().unwrap()])
            .with_end_of_message(end.try_clone().unwrap());
        synic.changed(0, 1, EVENT_PAGE | 1, MESSAGE_PAGE | 1);
        let connections = Arc::<Connections>::default();
        let bus = VmBus::start(
            settings,
            memory.clone(),
            Arc::new(synic),
            connections.clone(),
        );
        Self {
            memory,
            bus: bus.unwrap(),
            connections,
            line,
            end,
            next_gpadl: 0xe1e10,
        }
    }

    /// A guest that has agreed on the newest version and knows all offers; `prepare`
    /// puts devices on the bus.
    pub(crate) fn connected_to(prepare: impl FnOnce(&VmBus)) -> (Self, Vec<Offer>) {
        let guest = Self::new(Settings::default());
        prepare(&guest.bus);
        assert!(guest.contact(Version::V5_3));
        let offers = guest.offers();
        (guest, offers)
    }

    /// Posts bytes.
    pub(crate) fn post(&self, payload: &[u8]) -> Status {
        let mut input = [0; POST_MESSAGE_SIZE];
        let call = PostMessage {
            connection: CONNECTION_MESSAGE,
            kind: KIND_CHANNEL,
            payload,
        };
        let len = call.encode(&mut input).unwrap();
        self.bus.post(&input[..len])
    }

    pub(crate) fn send(&self, message: &Message<'_>) {
        self.send_encoded(&message.encode().unwrap());
    }

    fn send_encoded(&self, message: &Encoded) {
        assert_eq!(self.post(message.as_slice()), Status::SUCCESS);
    }

    /// The next message of the host.
    pub(crate) fn receive(&self) -> Vec<u8> {
        let page = Pages::new(&self.memory, [MESSAGE_PAGE]).unwrap();
        let slot = Slot::new(&page, VMBUS_SINT).unwrap();
        wait_for(|| {
            let message = slot.peek().unwrap()?;
            assert_eq!(message.kind(), KIND_CHANNEL);
            if slot.release(KIND_CHANNEL) == Released::EndOfMessage {
                self.end.write(1).unwrap();
            }
            Some(message.payload().to_vec())
        })
    }

    /// The next message of the host, which is of this type.
    pub(crate) fn expect(&self, kind: Kind) -> Vec<u8> {
        let bytes = self.receive();
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.kind(), kind, "{message:?}");
        bytes
    }

    /// Makes contact, and says whether the host speaks the version.
    pub(crate) fn contact(&self, version: Version) -> bool {
        self.send(&Message::InitiateContact(&InitiateContact {
            version: U32::new(version.0),
            target_vp: U32::ZERO,
            target: U64::new(u64::from(VMBUS_SINT)),
            monitor_page1: U64::ZERO,
            monitor_page2: U64::ZERO,
        }));
        let bytes = self.expect(Kind::VERSION_RESPONSE);
        match Message::parse(&bytes).unwrap() {
            Message::VersionResponse(body) => body.supported != 0,
            _ => unreachable!(),
        }
    }

    /// Asks for offers.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        self.send(&Message::RequestOffers);
        let mut offers = Vec::new();
        loop {
            let bytes = self.receive();
            match Message::parse(&bytes).unwrap() {
                Message::Offer(offer) => offers.push(*offer),
                Message::AllOffersDelivered => return offers,
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message, which is an offer.
    pub(crate) fn offer(&self) -> Offer {
        let bytes = self.expect(Kind::OFFER);
        match Message::parse(&bytes).unwrap() {
            Message::Offer(offer) => *offer,
            _ => unreachable!(),
        }
    }

    /// Tells the host about pages, and returns the handle and whether it took them.
    pub(crate) fn gpadl(&mut self, relid: u32, first: u64, count: u32) -> (u32, bool) {
        let handle = self.next_gpadl;
        self.next_gpadl += 1;
        let range = RangeHeader::new(count * 4096, 0);
        let pfns = (first >> 12)..;
        for message in Messages::new(relid, handle, range, pfns.take(count as usize)).unwrap() {
            self.send_encoded(&message);
        }
        let bytes = self.expect(Kind::GPADL_CREATED);
        match Message::parse(&bytes).unwrap() {
            Message::GpadlCreated(body) => {
                assert_eq!((body.relid.get(), body.gpadl.get()), (relid, handle));
                (handle, body.status.get() == 0)
            }
            _ => unreachable!(),
        }
    }

    pub(crate) fn teardown(&self, relid: u32, gpadl: u32) {
        self.send(&Message::GpadlTeardown(&GpadlTeardown {
            relid: U32::new(relid),
            gpadl: U32::new(gpadl),
        }));
        self.expect(Kind::GPADL_TORNDOWN);
    }

    /// Opens a channel with rings of `pages` pages each at `address`. The rings are
    /// the one to the host and the one to the guest.
    pub(crate) fn open(&mut self, offer: &Offer, address: u64, pages: u32) -> Option<[Pages; 2]> {
        let bytes = u64::from(pages) << 12;
        let ring = |at: u64| {
            let ring = Pages::new(&self.memory, (at..at + bytes).step_by(4096)).unwrap();
            control::format(&ring);
            ring
        };
        let rings = [ring(address), ring(address + bytes)];
        let (gpadl, is_taken) = self.gpadl(offer.relid.get(), address, 2 * pages);
        assert!(is_taken);
        self.send(&Message::Open(&Open {
            relid: offer.relid,
            open_id: offer.relid,
            ring_gpadl: U32::new(gpadl),
            target_vp: U32::ZERO,
            downstream_page: U32::new(pages),
            user_data: [0; 120],
        }));
        let bytes = self.expect(Kind::OPEN_RESULT);
        match Message::parse(&bytes).unwrap() {
            Message::OpenResult(body) => (body.status.get() == 0).then_some(rings),
            _ => unreachable!(),
        }
    }

    /// Signals a channel.
    pub(crate) fn signal(&self, offer: &Offer) {
        let connections = self.connections.0.lock().unwrap();
        connections[&offer.connection_id.get()].write(1).unwrap();
    }

    /// Number of connections that are bound.
    pub(crate) fn connections(&self) -> usize {
        self.connections.0.lock().unwrap().len()
    }

    /// Whether the channel's flag is raised; it is cleared.
    pub(crate) fn take_flag(&self, offer: &Offer) -> bool {
        let page = Pages::new(&self.memory, [EVENT_PAGE]).unwrap();
        let flags = Flags::new(&page, VMBUS_SINT).unwrap();
        flags.take(offer.relid.get() as u16)
    }

    /// Moves the SynIC's pages away, as a processor that goes offline does.
    pub(crate) fn take_synic_away(&self) {
        self.bus.synic().changed(0, 0, 0, 0);
    }

    /// Undoes that.
    pub(crate) fn give_synic_back(&self) {
        (self.bus.synic()).changed(0, 1, EVENT_PAGE | 1, MESSAGE_PAGE | 1);
    }

    /// Looks into the slot.
    pub(crate) fn peek(&self) -> Option<(u32, Vec<u8>)> {
        let page = Pages::new(&self.memory, [MESSAGE_PAGE]).unwrap();
        let message = Slot::new(&page, VMBUS_SINT).unwrap().peek().unwrap()?;
        Some((message.kind(), message.payload().to_vec()))
    }

    /// Empties the slot, whatever is in it.
    pub(crate) fn skip(&self) {
        let page = Pages::new(&self.memory, [MESSAGE_PAGE]).unwrap();
        let (kind, _) = wait_for(|| self.peek());
        if Slot::new(&page, VMBUS_SINT).unwrap().release(kind) == Released::EndOfMessage {
            self.end.write(1).unwrap();
        }
    }
}
