// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What a guest of Hyper-V does: to the bus by messages, to a SCSI controller by its
//! channels, and to the memory of both.
//!
//! Steps follow each other, a byte each and what it takes. Some do what a right
//! guest does, so that what is wrong comes far; others do anything.

use std::io;
use std::sync::{Arc, OnceLock};

use hospes_device::memory::GuestMemory;
use hospes_scsi::{AioMode, UnitAddress};
use hospes_vmbus::device::Signals;
use hospes_vmbus::memory::Pages;
use hospes_vmbus::server::here::BusHere;
use hospes_vmbus::storvsp::here::StorvspHere;
use hospes_vmbus::storvsp::{instance_of, Config, Kind as ControllerKind, DEFAULT_TRANSFER};
use hospes_vmbus::Synic;
use protocol::hyperv::hypercall::{PostMessage, CONNECTION_MESSAGE, POST_MESSAGE_SIZE};
use protocol::hyperv::message::KIND_CHANNEL;
use protocol::hyperv::shared::Shared as _;
use protocol::hyperv::slot::Slot;
use protocol::hyperv::VMBUS_SINT;
use protocol::storvsp::request::Address;
use protocol::storvsp::{Direction, Operation, Packet, ScsiRequest, Version as StorVersion};
use protocol::vmbus::gpa::RangeHeader;
use protocol::vmbus::gpadl::Messages;
use protocol::vmbus::message::{
    ChannelRelid, GpadlTeardown, InitiateContact, Message, ModifyChannel, Open,
};
use protocol::vmbus::packet::{Header, Kind};
use protocol::vmbus::ring::{control, Producer};
use protocol::vmbus::Version;
use vm_memory::{Bytes, GuestAddress};
use vmm_sys_util::eventfd::{EventFd, EFD_NONBLOCK};
use zerocopy::little_endian::{U32, U64};
use zerocopy::IntoBytes;

use crate::backing::target;
use crate::input::Input;
use crate::machine::memory;

/// Memory of the guest.
const LEN: usize = 0x4_0000;
const EVENT_PAGE: u64 = 0x1000;
const MESSAGE_PAGE: u64 = 0x2000;
/// Where the rings of a channel are: the one to the host, then the one to the guest.
const RINGS: [u64; 2] = [0x1_0000, 0x1_8000];
/// Pages of a ring.
const RING_PAGES: u64 = 2;
/// Where data is.
const DATA: u64 = 0x2_0000;
/// Handle of the first channel's GPADL; that of the second is the next.
const GPADL: u32 = 0xe1e10;

/// What stays from run to run.
struct Fixed {
    memory: GuestMemory,
    line: EventFd,
}

fn fixed() -> &'static Fixed {
    static FIXED: OnceLock<Fixed> = OnceLock::new();
    FIXED.get_or_init(|| Fixed {
        memory: memory(LEN),
        line: EventFd::new(EFD_NONBLOCK).expect("an eventfd"),
    })
}

/// Signals that nobody gives: the controller is served when the steps say so.
struct Nobody;

impl Signals for Nobody {
    fn bind(&self, _: u32, _: &EventFd) -> io::Result<()> {
        Ok(())
    }

    fn unbind(&self, _: u32) {}
}

struct Run<'a> {
    memory: &'a GuestMemory,
    bus: BusHere,
    device: Arc<StorvspHere>,
}

/// Runs the steps.
///
/// # Panics
///
/// If a command stays without an answer, or what is closed does not end.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let mut run = Run::new(fixed());
    while !input.is_empty() {
        run.step(&mut input);
    }
    run.serve();
    run.bus.reset();
    assert_eq!(run.device.serve(), 0, "a channel is open after the reset");
}

impl<'a> Run<'a> {
    fn new(fixed: &'a Fixed) -> Self {
        let memory = &fixed.memory;
        for page in [EVENT_PAGE, MESSAGE_PAGE, RINGS[0], RINGS[1]] {
            let zeroes = [0; 0x1000];
            memory
                .write_slice(&zeroes, GuestAddress(page))
                .expect("memory");
        }
        let line = fixed.line.try_clone().expect("an eventfd");
        let synic = Synic::new(memory.clone(), vec![line]);
        synic.changed(0, 1, EVENT_PAGE | 1, MESSAGE_PAGE | 1);
        let bus = BusHere::new(memory.clone(), Arc::new(synic), Arc::new(Nobody));
        let device = StorvspHere::new(&config(), target()).expect("a controller");
        let bus = bus.expect("a bus");
        bus.offer(device.clone());
        let mut run = Self {
            memory,
            bus,
            device,
        };
        run.serve();
        run
    }

    /// The bus and the controller do what there is to do.
    fn serve(&mut self) {
        self.bus.serve();
        assert_eq!(self.device.serve(), 0, "a command has no answer");
        // More channels may have been asked for.
        self.bus.serve();
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let step = input.u8();
        let which = step >> 7;
        match step & 31 {
            0 => self.anything(input),
            1 => self.some_message(input),
            2 => self.contact(),
            3 => self.send(&Message::RequestOffers),
            4 => self.gpadl(which),
            5 => self.open(which),
            6 => self.handshake(which, input.u8()),
            7 => self.command(which, input),
            8 => self.packet(which, input),
            9 => self.bytes(which, input),
            10 => self.poke(input),
            11 => self.serve(),
            12 => self.read_message(),
            13 => self.read_all(which),
            14 => self.bus.rescind(instance_of("s0")),
            15 => self.bus.offer(self.device.clone()),
            16 => self.close(which),
            17 => self.teardown(which),
            18 => self.release(which),
            19 => self.modify(which, input.u8().into()),
            20 => self.send(&Message::Unload),
            21 => self
                .device
                .device()
                .unit_added(UnitAddress { target: 0, lun: 0 }),
            22 => self.bus.reset(),
            _ => self.begin(),
        }
    }

    /// All that a right guest does before its first command.
    fn begin(&mut self) {
        self.contact();
        self.send(&Message::RequestOffers);
        self.serve();
        self.gpadl(0);
        self.open(0);
        self.serve();
        for step in 0..5 {
            self.handshake(0, step);
        }
        for _ in 0..8 {
            self.read_message();
            self.serve();
        }
    }

    fn send(&self, message: &Message<'_>) {
        if let Some(encoded) = message.encode() {
            self.post(encoded.as_slice());
        }
    }

    fn post(&self, payload: &[u8]) {
        let mut bytes = [0; POST_MESSAGE_SIZE];
        let call = PostMessage {
            connection: CONNECTION_MESSAGE,
            kind: KIND_CHANNEL,
            payload,
        };
        if let Some(len) = call.encode(&mut bytes) {
            let _ = self.bus.post(&bytes[..len]);
        }
    }

    /// Any input of the hypercall.
    fn anything(&self, input: &mut Input<'_>) {
        let len = usize::from(input.u8());
        let _ = self.bus.post(input.take(len));
    }

    /// A message of any type with anything in it.
    fn some_message(&self, input: &mut Input<'_>) {
        let (kind, len) = (u32::from(input.u8()), usize::from(input.u8() & 0x3f));
        let mut bytes = vec![0; 8];
        bytes[..4].copy_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(input.take(len));
        bytes.resize(8 + len, 0);
        self.post(&bytes);
    }

    fn contact(&self) {
        self.send(&Message::InitiateContact(&InitiateContact {
            version: U32::new(Version::V5_3.0),
            target_vp: U32::ZERO,
            target: U64::new(VMBUS_SINT.into()),
            monitor_page1: U64::ZERO,
            monitor_page2: U64::ZERO,
        }));
    }

    fn gpadl(&self, which: u8) {
        let (pages, at) = (2 * RING_PAGES, RINGS[usize::from(which)]);
        for ring in 0..2 {
            control::format(&self.ring(which, ring));
        }
        let range = RangeHeader::new((pages << 12) as u32, 0);
        let pfns = ((at >> 12)..).take(pages as usize);
        let relid = 1 + u32::from(which);
        let handle = GPADL + u32::from(which);
        if let Ok(messages) = Messages::new(relid, handle, range, pfns) {
            for message in messages {
                self.post(message.as_slice());
            }
        }
    }

    fn open(&self, which: u8) {
        self.send(&Message::Open(&Open {
            relid: relid(which),
            open_id: relid(which),
            ring_gpadl: U32::new(GPADL + u32::from(which)),
            target_vp: U32::ZERO,
            downstream_page: U32::new(RING_PAGES as u32),
            user_data: [0; 120],
        }));
    }

    fn close(&self, which: u8) {
        let relid = relid(which);
        self.send(&Message::Close(&ChannelRelid { relid }));
    }

    fn teardown(&self, which: u8) {
        let (relid, gpadl) = (relid(which), U32::new(GPADL + u32::from(which)));
        self.send(&Message::GpadlTeardown(&GpadlTeardown { relid, gpadl }));
    }

    fn release(&self, which: u8) {
        let relid = relid(which);
        self.send(&Message::RelidReleased(&ChannelRelid { relid }));
    }

    fn modify(&self, which: u8, vp: u32) {
        let (relid, target_vp) = (relid(which), U32::new(vp));
        self.send(&Message::ModifyChannel(&ModifyChannel { relid, target_vp }));
    }

    /// Empties the message slot.
    fn read_message(&self) {
        let page = self.pages(MESSAGE_PAGE, 1);
        if let Some(slot) = Slot::new(&page, VMBUS_SINT) {
            let _ = slot.release(KIND_CHANNEL);
        }
    }

    /// Takes all that the controller has said.
    fn read_all(&self, which: u8) {
        let ring = self.ring(which, 1);
        ring.store(control::READ_INDEX, ring.load(control::WRITE_INDEX));
    }

    /// A step of the handshake.
    fn handshake(&mut self, which: u8, step: u8) {
        use protocol::storvsp::packet::{ProtocolVersion, SubChannelCount};
        let packet = match step % 5 {
            0 => Packet::new(Operation::BEGIN_INITIALIZATION),
            1 => Packet::with(
                Operation::QUERY_PROTOCOL_VERSION,
                &ProtocolVersion::new(StorVersion::V6_2),
            ),
            2 => Packet::new(Operation::QUERY_PROPERTIES),
            3 => Packet::new(Operation::END_INITIALIZATION),
            _ => {
                let count = u16::from(step / 5).max(1).into();
                Packet::with(Operation::CREATE_SUB_CHANNELS, &SubChannelCount { count })
            }
        };
        self.write(which, Kind::IN_BAND, &[], packet.as_bytes());
        self.serve();
    }

    /// A command, whose buffers may be anything.
    fn command(&mut self, which: u8, input: &mut Input<'_>) {
        let (flags, len) = (input.u8(), u32::from(input.u16()));
        let mut cdb = [0; 16];
        let bytes = input.take(usize::from(flags & 15) + 1);
        cdb[..bytes.len()].copy_from_slice(bytes);
        let address = Address {
            lun: flags >> 7,
            target: (flags >> 6) & 1,
            ..Address::default()
        };
        let direction = match (flags >> 4) & 3 {
            0 => Direction::None,
            1 => Direction::Out,
            _ => Direction::In,
        };
        let cdb = &cdb[..usize::from(flags & 15) + 1];
        let Some(request) = ScsiRequest::new(address, cdb, direction, len, true) else {
            return;
        };
        let packet = Packet::with(Operation::EXECUTE_SRB, &request);
        if len == 0 {
            return self.write(which, Kind::IN_BAND, &[], packet.as_bytes());
        }
        let mut words = vec![U64::new(1 << 32)];
        words.push(U64::from(RangeHeader::new(len, input.u8().into())));
        for page in 0..u64::from(input.u8() & 31) {
            words.push(U64::new((DATA >> 12) + page));
        }
        self.write(which, Kind::GPA_DIRECT, words.as_bytes(), packet.as_bytes());
    }

    /// A packet of any type with anything in it.
    fn packet(&mut self, which: u8, input: &mut Input<'_>) {
        let (kind, extension) = (u16::from(input.u8()), usize::from(input.u8() & 0x3f));
        let extension = input.take(extension).to_vec();
        let payload = usize::from(input.u8() & 0x7f);
        let payload = input.take(payload).to_vec();
        self.write(which, Kind(kind), &extension, &payload);
    }

    /// Writes a packet as a right guest does, whatever is in it.
    fn write(&self, which: u8, kind: Kind, extension: &[u8], payload: &[u8]) {
        if let Ok(mut producer) = Producer::new(self.ring(which, 0)) {
            let _ = producer.send(Header::request(kind, 7), &[extension], &[payload]);
        }
    }

    /// Anything where the next packet would be, and any write index.
    fn bytes(&self, which: u8, input: &mut Input<'_>) {
        let ring = self.ring(which, 0);
        let (index, len) = (input.u16(), usize::from(input.u8()));
        let at = ring.load(control::WRITE_INDEX) & 0xff8;
        ring.write(control::DATA + at, input.take(len));
        ring.store_release(control::WRITE_INDEX, index.into());
    }

    /// Any word of either ring, or of the pages of the SynIC.
    fn poke(&self, input: &mut Input<'_>) {
        let (at, value) = (u64::from(input.u16()), input.u32());
        let base = if at & 1 == 0 { RINGS[0] } else { EVENT_PAGE };
        let address = GuestAddress(base + (at & 0x3ffc));
        let _ = self.memory.write_obj(value, address);
    }

    fn ring(&self, which: u8, ring: u64) -> Pages {
        let at = RINGS[usize::from(which)] + ((ring * RING_PAGES) << 12);
        self.pages(at, RING_PAGES)
    }

    fn pages(&self, at: u64, count: u64) -> Pages {
        let pages = (0..count).map(|page| at + (page << 12));
        Pages::new(self.memory, pages).expect("guest memory")
    }
}

fn relid(which: u8) -> U32 {
    U32::new(1 + u32::from(which))
}

fn config() -> Config {
    Config {
        name: "s0".to_owned(),
        kind: ControllerKind::Scsi,
        channels: 2,
        max_transfer: DEFAULT_TRANSFER,
        aio: AioMode::Sync,
    }
}
