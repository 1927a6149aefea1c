// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A running host, and a driver that tests can make do anything.

use super::*;

/// A unit that reads as its own command, byte 5 everywhere.
pub(super) struct FakeUnit(Duration);

impl DeviceServer for FakeUnit {
    fn execute(&self, task: &Task<'_>) -> Result<u64, Failure> {
        match task.cdb[0] {
            TEST_UNIT_READY => Ok(0),
            READ_10 => Ok(task
                .data_in
                .write_at(0, &vec![task.cdb[5]; task.data_in.len() as usize])
                as u64),
            WRITE_10 => Ok(task.data_out.len()),
            _ => Err(Sense::illegal(asc::INVALID_COMMAND_OPERATION_CODE).into()),
        }
    }

    fn latency(&self) -> Duration {
        self.0
    }

    fn reset(&self) {}

    fn refresh(&self) -> io::Result<bool> {
        Ok(true)
    }
}

/// Units at target 0: LUN 0 answers at once, LUN 300 after an hour.
pub(super) fn target() -> Arc<Target> {
    let target = Target::new();
    for (lun, latency) in [(0, 0), (300, 3600)] {
        let unit = FakeUnit(Duration::from_secs(latency));
        target
            .add(UnitAddress { target: 0, lun }, Box::new(unit))
            .unwrap();
    }
    target
}

pub(super) struct Rig {
    pub(super) memory: GuestMemory,
    pub(super) host: Arc<ScsiHost>,
    pub(super) guests: Vec<GuestQueue>,
    pub(super) queues: Vec<Arc<VirtQueue>>,
    pub(super) state: Arc<DeviceState>,
}

/// A running host with one request queue, with LUN 0's unit attention out of the way.
pub(super) fn rig() -> Rig {
    let mut rig = stopped_rig();
    rig.start();
    rig.command(TEST_UNIT_READY, 0, 1, &[]);
    rig
}

pub(super) fn stopped_rig() -> Rig {
    let config = ScsiConfig {
        queue_size: SIZE,
        ..ScsiConfig::default()
    };
    let host = ScsiHost::new(&config, target()).unwrap();
    Rig {
        memory: testing::memory(),
        host,
        guests: Vec::new(),
        queues: Vec::new(),
        state: DeviceState::new(Interrupts::new()),
    }
}

impl Rig {
    pub(super) fn start(&mut self) {
        let base = |index: u16| 0x1000 + u64::from(index) * GuestQueue::SPACE;
        let state = DeviceState::new(Interrupts::new());
        state.add_status(DRIVER_OK);
        self.guests = (0..3)
            .map(|i| GuestQueue::new(&self.memory, base(i), SIZE))
            .collect();
        self.queues = (0..)
            .zip(&self.guests)
            .map(|(index, guest)| {
                let parts = QueueParts {
                    index,
                    memory: self.memory.clone(),
                    kick: Arc::new(EventFd::new(EFD_NONBLOCK).unwrap()),
                    vector: index,
                    state: state.clone(),
                    counters: Arc::<QueueCounters>::default(),
                    warnings: Arc::default(),
                };
                VirtQueue::new(&guest.setup(true), parts).unwrap()
            })
            .collect();
        let queues = self.queues.iter().cloned().map(Some).collect();
        self.state = state.clone();
        let features = self.host.features();
        self.host
            .activate(Activation {
                features,
                queues,
                state,
            })
            .unwrap();
    }

    pub(super) fn kick(&self, queue: u16) {
        self.queues[usize::from(queue)].kick().write(1).unwrap();
    }

    /// Offers the chain at a head of a queue and kicks.
    pub(super) fn offer(&mut self, queue: u16, head: u16, buffers: &[(u64, u32, u16)]) {
        self.offer_silently(queue, head, buffers);
        self.kick(queue);
    }

    pub(super) fn offer_silently(&mut self, queue: u16, head: u16, buffers: &[(u64, u32, u16)]) {
        let guest = &mut self.guests[usize::from(queue)];
        guest.describe_chain(head, buffers);
        guest.offer(head);
    }

    /// Waits for one chain of a queue.
    pub(super) fn returned(&mut self, queue: u16) -> (u32, u32) {
        let guest = &mut self.guests[usize::from(queue)];
        let used = eventually(|| Some(guest.take_used()).filter(|used| !used.is_empty()));
        assert_eq!(used.len(), 1);
        used[0]
    }

    pub(super) fn header(opcode: u8, lun: u16, tag: u64) -> CommandRequest {
        let mut request = CommandRequest {
            lun: Lun::new(0, lun).unwrap().to_flat(),
            tag: U64::new(tag),
            ..CommandRequest::default()
        };
        request.cdb[0] = opcode;
        request.cdb[5] = 0x5a;
        request
    }

    pub(super) fn submit(&mut self, request: CommandRequest, head: u16, data: &[(u64, u32, u16)]) {
        self.memory
            .write_slice(request.as_bytes(), GuestAddress(HEADER))
            .unwrap();
        let mut buffers = vec![(HEADER, request.as_bytes().len() as u32, 0)];
        buffers.extend(data.iter().filter(|buffer| buffer.2 == 0));
        buffers.push((RESPONSE, RESPONSE_LEN, WRITE));
        buffers.extend(data.iter().filter(|buffer| buffer.2 == WRITE));
        self.offer(FIRST_REQUEST_QUEUE, head, &buffers);
    }

    pub(super) fn response(&self) -> ResponseHeader {
        let mut bytes = [0; size_of::<ResponseHeader>()];
        self.memory
            .read_slice(&mut bytes, GuestAddress(RESPONSE))
            .unwrap();
        ResponseHeader::read_from_bytes(&bytes).unwrap()
    }

    /// Runs one command to its end; response and used length.
    pub(super) fn command(
        &mut self,
        opcode: u8,
        lun: u16,
        tag: u64,
        data: &[(u64, u32, u16)],
    ) -> (ResponseHeader, u32) {
        self.submit(Self::header(opcode, lun, tag), 0, data);
        let (_, len) = self.returned(FIRST_REQUEST_QUEUE);
        (self.response(), len)
    }

    pub(super) fn tmf(&mut self, subtype: TmfSubtype, lun: u16, tag: u64) -> ResponseCode {
        self.offer_function(subtype, lun, tag);
        self.returned(CONTROL_QUEUE);
        let mut answer = [0];
        self.memory
            .read_slice(&mut answer, GuestAddress(DATA))
            .unwrap();
        ResponseCode(answer[0])
    }

    /// Asks for a task management function, and waits for nothing.
    pub(super) fn offer_function(&mut self, subtype: TmfSubtype, lun: u16, tag: u64) {
        let request = TmfRequest {
            kind: U32::new(ControlType::TMF.0),
            subtype: U32::new(subtype.0),
            lun: Lun::new(0, lun).unwrap().to_flat(),
            tag: U64::new(tag),
        };
        self.offer_control(request.as_bytes(), 1);
    }

    pub(super) fn control(&mut self, request: &[u8], answer_len: u32) -> u32 {
        self.offer_control(request, answer_len);
        self.returned(CONTROL_QUEUE).1
    }

    fn offer_control(&mut self, request: &[u8], answer_len: u32) {
        self.memory
            .write_slice(request, GuestAddress(DATA + 64))
            .unwrap();
        let buffers = [
            (DATA + 64, request.len() as u32, 0),
            (DATA, answer_len, WRITE),
        ];
        self.offer(CONTROL_QUEUE, 0, &buffers);
    }

    /// Waits until a command is where task management finds it.
    pub(super) fn wait_for_task(&mut self, lun: u16, tag: u64) {
        for _ in 0..20_000 {
            if self.tmf(TmfSubtype::QUERY_TASK, lun, tag) == ResponseCode::FUNCTION_SUCCEEDED {
                return;
            }
        }
        panic!("the target never got the command");
    }

    pub(super) fn event(&mut self) -> Event {
        self.returned(EVENT_QUEUE);
        let mut bytes = [0; size_of::<Event>()];
        self.memory
            .read_slice(&mut bytes, GuestAddress(DATA))
            .unwrap();
        Event::read_from_bytes(&bytes).unwrap()
    }

    pub(super) fn post_event_buffer(&mut self) {
        self.offer(EVENT_QUEUE, 0, &[(DATA, 16, WRITE)]);
    }
}
