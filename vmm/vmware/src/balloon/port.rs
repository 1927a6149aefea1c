// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The commands of the port.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hospes_device::balloon::{self, Balloon, PageError, Pages, PAGE_SIZE};
use hospes_device::counters::Counted;
use hospes_device::fault::Faults;
use hospes_device::memory::GuestMemory;
use protocol::vmballoon::batch::{self, Entry};
use protocol::vmballoon::{
    Call, Capabilities, Command, Operation, PageSize, Reply, Request, Status, PAGE_SHIFT,
};
use protocol::vmci::Handle;
use serde_json::{json, Value};
use vm_memory::{Bytes, GuestAddress};
use zerocopy::IntoBytes;

use super::commands::Commands;
use super::fault::FaultKind;

/// What a guest is offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// These capabilities, as far as it asks for them.
    Capabilities(Capabilities),
    /// Nothing is said of capabilities: what the first hosts with a balloon did.
    Legacy,
}

/// Who rings a guest's doorbells.
pub trait Ringer: Send + Sync {
    /// Rings one, if it is tied to something.
    fn ring(&self, doorbell: Handle);
}

/// Whether a guest takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has not begun, or has ended.
    Off,
    /// It has begun, and may use these capabilities.
    On(Capabilities),
    /// It has to begin anew.
    Reset,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    doorbell: Option<Handle>,
    /// In pages.
    target: u64,
    /// What the guest says of its memory, in pages.
    guest_pages: Option<u64>,
    guest_id: Option<u64>,
}

/// The port.
pub struct Port {
    balloon: Balloon,
    memory: GuestMemory,
    offer: Offer,
    ringer: Option<Arc<dyn Ringer>>,
    state: Mutex<State>,
    commands: Commands,
    pub(super) faults: Faults<FaultKind>,
}

impl Port {
    /// A port for a guest with this memory; `ringer` is there if there are doorbells.
    pub fn new(memory: &GuestMemory, offer: Offer, ringer: Option<Arc<dyn Ringer>>) -> Self {
        Self {
            balloon: Balloon::new(memory.clone()),
            memory: memory.clone(),
            offer,
            ringer,
            state: Mutex::new(State {
                phase: Phase::Off,
                doorbell: None,
                target: 0,
                guest_pages: None,
                guest_id: None,
            }),
            commands: Commands::default(),
            faults: Faults::default(),
        }
    }

    /// Answers a call.
    pub fn serve(&self, call: Call) -> Reply {
        let mut refused = 0;
        let reply = match self.failure(call.command) {
            Some(status) => Reply::of(status),
            None => self.carry_out(call, &mut refused),
        };
        self.commands.note(call.command, reply.status, refused);
        reply
    }

    /// Has the guest begin anew.
    pub fn order_reset(&self) {
        let mut state = self.lock();
        if matches!(state.phase, Phase::On(_)) {
            state.phase = Phase::Reset;
        }
        self.ring(state);
    }

    /// The status that a fault has the command end with.
    fn failure(&self, command: Command) -> Option<Status> {
        let asked = |kind: &FaultKind| matches!(kind, FaultKind::Command { .. });
        let mut effects = self.faults.pick(&command, asked).into_iter();
        effects.find_map(|(kind, _)| match kind {
            FaultKind::Command { code } => Some(Status(code)),
            _ => None,
        })
    }

    /// Carries a command out. Nobody else does until it is over: a guest that begins anew on
    /// another vCPU has not given pages by what it was granted before.
    fn carry_out(&self, call: Call, refused: &mut u64) -> Reply {
        let mut state = self.lock();
        let request = Request::from(call);
        if let Request::Start(wanted) = request {
            return self.start(&mut state, wanted);
        }
        let Phase::On(granted) = state.phase else {
            return Reply::of(Status::RESET);
        };
        if !is_granted(&request, granted) {
            return Reply::of(Status::COMMAND_INVALID);
        }
        let target = state.told_target(granted);
        match request {
            Request::GetTarget(pages) => {
                state.guest_pages = Some(pages);
                return Reply::with_target(target);
            }
            Request::GuestId(id) => state.guest_id = Some(id),
            Request::DoorbellSet(doorbell) => state.doorbell = doorbell,
            Request::Single(operation, page) => {
                return self.single(&state, call.command, operation, page, target);
            }
            Request::Batch { .. } => {
                let Some(failed) = self.batch(&state, &request, call.command) else {
                    return Reply::of(Status::PAGE_INVALID);
                };
                *refused = failed;
                return Reply::with_target(target);
            }
            Request::Start(_) | Request::Unknown(_) => {
                return Reply::of(Status::COMMAND_INVALID);
            }
        }
        Reply::of(Status::SUCCESS)
    }

    /// A guest begins, or ends: whatever it had given it has again.
    fn start(&self, state: &mut State, wanted: Capabilities) -> Reply {
        self.balloon.forget();
        state.doorbell = None;
        state.guest_pages = None;
        let (granted, reply) = match self.offer {
            Offer::Capabilities(offered) => {
                let granted = offered & wanted;
                // Linux heeds the answer even where it ends: told that it may use nothing
                // it would look for its pages of 2 MiB no more, and for its pages for ever.
                let told = if wanted.is_empty() { offered } else { granted };
                (granted, Reply::started(told))
            }
            Offer::Legacy => (Capabilities::BASIC & wanted, Reply::of(Status::SUCCESS)),
        };
        state.phase = if granted.is_empty() {
            Phase::Off
        } else {
            Phase::On(granted)
        };
        reply
    }

    /// Gives or takes one page.
    fn single(
        &self,
        state: &State,
        command: Command,
        operation: Operation,
        page: u64,
        target: u64,
    ) -> Reply {
        let entry = Entry::new(page);
        if entry.page() != page {
            return Reply::of(Status::PAGE_INVALID);
        }
        let mut entries = [entry];
        self.move_pages(state, command, operation, PageSize::Small, &mut entries);
        match entries.map(|entry| entry.status()) {
            [Status::SUCCESS] => Reply::with_target(target),
            [status] => Reply::of(status),
        }
    }

    /// Carries a batch out, and writes to its page what became of each entry. Says how many
    /// were refused; `None` if there is no such batch.
    fn batch(&self, state: &State, request: &Request, command: Command) -> Option<u64> {
        let Request::Batch {
            operation,
            size,
            page,
            count,
        } = *request
        else {
            return None;
        };
        let count = usize::try_from(count).ok()?;
        let address = GuestAddress(page.checked_mul(PAGE_SIZE)?);
        if count == 0 || count > batch::ENTRIES {
            return None;
        }
        // The guest may change the page meanwhile. It is read once and written once.
        let mut entries = [Entry::default(); batch::ENTRIES];
        let entries = entries.get_mut(..count)?;
        self.memory
            .read_slice(entries.as_mut_bytes(), address)
            .ok()?;
        self.move_pages(state, command, operation, size, entries);
        if self.faults.is_armed() {
            self.lead_astray(command, size, entries);
        }
        self.memory.write_slice(entries.as_bytes(), address).ok()?;
        let failed = entries.iter().filter(|entry| !entry.status().is_success());
        Some(failed.count() as u64)
    }

    /// Gives or takes pages, and notes with each entry what became of it. Who may do that has
    /// the state locked in which it was allowed.
    fn move_pages(
        &self,
        _state: &State,
        command: Command,
        operation: Operation,
        size: PageSize,
        entries: &mut [Entry],
    ) {
        for entry in entries.iter_mut() {
            let status = match self.page_fault(command) {
                Some(status) => status,
                None if entry.page().checked_rem(size.pages()) != Some(0) => Status::PAGE_INVALID,
                None => Status::SUCCESS,
            };
            *entry = entry.with_status(status);
        }
        let is_good = |entry: &Entry| entry.status() == Status::SUCCESS;
        let good = entries.iter().filter(|entry| is_good(entry));
        let pages: Vec<_> = good
            .map(|entry| Pages {
                first: entry.page(),
                count: size.pages(),
            })
            .collect();
        let results = match operation {
            Operation::Lock => self.balloon.give(&pages),
            Operation::Unlock => self.balloon.take_back(&pages),
        };
        let good = entries.iter_mut().filter(|entry| is_good(entry));
        for (entry, result) in good.zip(results) {
            *entry = entry.with_status(status_of(result));
        }
    }

    /// The status that a fault has a page end with.
    fn page_fault(&self, command: Command) -> Option<Status> {
        let asked = |kind: &FaultKind| matches!(kind, FaultKind::Page { .. });
        let mut effects = self.faults.pick(&command, asked).into_iter();
        effects.find_map(|(kind, _)| match kind {
            FaultKind::Page { code } => Some(Status(code)),
            _ => None,
        })
    }

    /// Has entries be about their neighbours, as a fault wants it. Nothing becomes of those.
    #[cold]
    fn lead_astray(&self, command: Command, size: PageSize, entries: &mut [Entry]) {
        let asked = |kind: &FaultKind| matches!(kind, FaultKind::Stray {});
        for entry in entries {
            if !self.faults.pick(&command, asked).is_empty() {
                let other = Entry::new(entry.page() ^ size.pages());
                *entry = other.with_status(entry.status());
            }
        }
    }

    /// Rings the guest's doorbell, if it has set one.
    fn ring(&self, state: MutexGuard<'_, State>) {
        let doorbell = state.doorbell;
        drop(state);
        if let (Some(ringer), Some(doorbell)) = (&self.ringer, doorbell) {
            ringer.ring(doorbell);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The target as a guest with these capabilities is told it.
    fn told_target(&self, granted: Capabilities) -> u64 {
        if granted.contains(Capabilities::TARGET_64) {
            self.target
        } else {
            self.target.min(u32::MAX.into())
        }
    }
}

/// Whether a guest may ask for that.
fn is_granted(request: &Request, granted: Capabilities) -> bool {
    let needed = match request {
        Request::Single(..) => Capabilities::BASIC,
        Request::Batch { size, .. } if *size == PageSize::Large => {
            Capabilities::BATCHED.with(Capabilities::BATCHED_2M)
        }
        Request::Batch { .. } => Capabilities::BATCHED,
        // A guest that ends takes its doorbell away, whether or not it could set one.
        Request::DoorbellSet(Some(_)) => Capabilities::SIGNALLED,
        _ => Capabilities::default(),
    };
    granted.contains(needed)
}

fn status_of(result: Result<(), PageError>) -> Status {
    match result {
        Ok(()) => Status::SUCCESS,
        Err(PageError::NoMemory) => Status::PAGE_INVALID,
        Err(PageError::Given) => Status::PAGE_LOCKED,
        Err(PageError::NotGiven) => Status::PAGE_UNLOCKED,
    }
}

/// The names of capabilities.
fn names(capabilities: Capabilities) -> Vec<&'static str> {
    let known = Capabilities::NAMES.iter();
    known
        .filter(|(one, _)| capabilities.contains(*one))
        .map(|(_, name)| *name)
        .collect()
}

impl Port {
    /// How the balloon is.
    pub fn status(&self) -> balloon::Status {
        let current = self.balloon.pages();
        let state = self.lock();
        let (phase, granted) = match state.phase {
            Phase::Off => ("off", Vec::new()),
            Phase::On(granted) => ("on", names(granted)),
            Phase::Reset => ("reset", Vec::new()),
        };
        balloon::Status {
            kind: "vmware",
            target: state.target << PAGE_SHIFT,
            current: current << PAGE_SHIFT,
            memory: self.balloon.capacity() << PAGE_SHIFT,
            guest: json!({
                "guest": phase,
                "capabilities": granted,
                "guest_memory": state.guest_pages.map(|pages| pages.saturating_mul(PAGE_SIZE)),
                "guest_id": state.guest_id,
                "doorbell": state.doorbell.is_some(),
                "commands": self.commands.to_json(),
                "pages": self.balloon.counters(),
            }),
        }
    }

    /// Sets what is wanted in it, in bytes, and rings the guest's doorbell, if it has set one.
    ///
    /// # Errors
    ///
    /// A text that names the key, if there is not that much memory.
    pub fn set_target(&self, bytes: u64) -> Result<(), String> {
        let (pages, capacity) = (bytes >> PAGE_SHIFT, self.balloon.capacity());
        if pages > capacity {
            let most = capacity << PAGE_SHIFT;
            return Err(format!("target={bytes}: give at most {most}, all memory"));
        }
        let mut state = self.lock();
        if mem::replace(&mut state.target, pages) != pages {
            self.ring(state);
        }
        Ok(())
    }
}

impl Counted for Port {
    fn counters(&self) -> Value {
        json!({
            "commands": self.commands.to_json(),
            "pages": self.balloon.counters(),
            "faults": self.faults.counters(),
        })
    }
}
