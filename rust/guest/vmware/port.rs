// SPDX-License-Identifier: GPL-2.0

//! The balloon port: pages that are given and taken back.
//!
//! Which pages a command is about is up to the types of [`balloon`](crate::balloon): a page is named
//! to the host only while it is of a type that says so, and becomes one of the next type by the
//! host's word, which is checked first.
//!
//! C header: none; see [`protocol::vmballoon`].

use crate::{
    balloon::{
        store::Outcome,
        Lent,
        Migration,
        Moved,
        Offered,
        Pages,
        Refused,
        Returned, //
    },
    bindings, //
};
use core::{
    arch::asm,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    time::{
        delay::fsleep,
        Delta, //
    }, //
};
use protocol::{
    vmballoon::{
        batch::ENTRIES,
        policy::{
            ends_run,
            Answer,
            Fate, //
        },
        Call,
        Capabilities,
        Command,
        Entry,
        Operation,
        PageSize,
        Reply,
        Status, //
    },
    vmci::Handle, //
};

/// How a page is named here.
type Page = NonNull<bindings::page>;

/// The host was told to forget the balloon: no page is its any more.
///
/// It has no way to keep one. If it does not say that it has done so, it was asked several times.
pub struct Forgotten(pub(crate) ());

/// How often a host that is busy is told to forget the balloon, and how long it is left alone after
/// each time.
const ENDS: usize = 10;
const BETWEEN_ENDS: Delta = Delta::from_millis(10);

/// What became of a command.
#[derive(Clone, Copy)]
pub struct Report {
    /// The command, and the host's word on it. Without, there was none.
    pub said: Option<(Command, Reply)>,
    /// How many pages it was about.
    pub pages: usize,
    /// How many of them are not where they should go.
    pub refused: usize,
    /// Whether the host wants no more pages.
    pub is_enough: bool,
    /// A page that the host named and was not asked about. What became of the one in whose place it
    /// was is not known: it is the host's until that has forgotten all.
    pub stray: Option<u64>,
}

impl Report {
    fn new(said: Option<(Command, Reply)>, pages: usize) -> Self {
        Self {
            said,
            pages,
            refused: 0,
            is_enough: false,
            stray: None,
        }
    }

    /// Takes the host's word on one page into account. Whose it is now.
    #[inline]
    fn note(&mut self, answer: Answer, operation: Operation) -> Fate {
        let fate = answer.fate(operation);
        if fate != Fate::Done {
            self.note_failure(answer, fate);
        }
        fate
    }

    #[cold]
    fn note_failure(&mut self, answer: Answer, fate: Fate) {
        self.is_enough |= answer.is_enough();
        match answer {
            Answer::Other(page) => self.stray = Some(page),
            Answer::Status(_) => (),
        }
        if fate == Fate::Refused {
            self.refused = self.refused.saturating_add(1);
        }
    }

    /// Whether the host did as told.
    pub fn is_success(&self) -> bool {
        self.said
            .is_some_and(|(_, reply)| reply.status.is_success())
    }

    fn is_busy(&self) -> bool {
        self.said
            .is_some_and(|(_, reply)| reply.status == Status::BUSY)
    }

    /// Whether no more pages are to be given, or taken.
    pub fn ends_run(&self) -> bool {
        let failed = |(command, reply): (Command, Reply)| ends_run(command, reply.status);
        self.is_enough || self.stray.is_some() || self.said.is_some_and(failed)
    }
}

/// The port, and the page by which many pages are named at once.
///
/// # Invariants
///
/// `batch` is a page that is ours until this is dropped, and has room for as many entries as a page
/// has; the host knows it by `number`, and accesses it only during a command that names it.
pub struct Port {
    batch: NonNull<Entry>,
    number: u64,
    capabilities: Capabilities,
}

// SAFETY: All accesses are through a reference that is unique; the page belongs to no thread.
unsafe impl Send for Port {}

impl Port {
    /// The port, at which nothing was said yet.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub fn new() -> Result<Self> {
        let flags = bindings::GFP_KERNEL | bindings::__GFP_ZERO;
        // SAFETY: A single page.
        let page = unsafe { bindings::get_free_pages_noprof(flags, 0) };
        let batch = NonNull::new(page as *mut Entry).ok_or(ENOMEM)?;
        // SAFETY: The page is mapped where all memory is.
        let page = unsafe { bindings::virt_to_page(batch.as_ptr().cast()) };
        // INVARIANT: Just allocated.
        Ok(Self {
            batch,
            number: NonNull::new(page).map(number).ok_or(ENOMEM)?,
            capabilities: Capabilities::default(),
        })
    }

    /// What both sides can do. Nothing unless begun.
    #[inline]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Begins anew. The host forgets what was before, so there must be no balloon.
    pub fn start(&mut self, wanted: Capabilities) -> Report {
        let report = say(Call::start(wanted));
        let granted = report.said.and_then(|(_, reply)| reply.granted(wanted));
        self.capabilities = granted.unwrap_or_default();
        report
    }

    /// Ends: the host forgets the balloon, or has never known of one. Sleeps.
    pub fn end(&mut self) -> (Report, Forgotten) {
        self.capabilities = Capabilities::default();
        let mut report = say(Call::start(Capabilities::default()));
        for _ in 1..ENDS {
            if !report.is_busy() {
                break;
            }
            fsleep(BETWEEN_ENDS);
            report = say(Call::start(Capabilities::default()));
        }
        (report, Forgotten(()))
    }

    /// Asks for the target, and tells how many pages the guest has.
    pub fn ask_target(&mut self, pages: u64) -> Report {
        say(Call::get_target(pages))
    }

    /// Tells what system the guest is.
    pub fn tell_guest(&mut self) -> Report {
        say(Call::guest_id())
    }

    /// Has a doorbell ring when the target changes, or none any more.
    pub fn set_doorbell(&mut self, doorbell: Option<Handle>) -> Report {
        say(Call::doorbell_set(doorbell))
    }

    /// Gives pages to the host, all that are offered. Those that it takes are in `lent` afterwards,
    /// the others in `refused`.
    pub fn give(
        &mut self,
        offered: &mut Pages<Offered>,
        lent: &mut Pages<Lent>,
        refused: &mut Pages<Refused>,
    ) -> Report {
        let size = offered.size();
        // SAFETY: The pages are owned, and whoever has them from here on is told what they are.
        let (mut report, words) = unsafe { self.name(Operation::Lock, size, offered.as_slice()) };
        offered.retain(|index, page| {
            let answer = words.on(index, page);
            match report.note(answer, Operation::Lock) {
                // SAFETY: Taken out of `offered`. If nobody knows whose it is, it may be the host's.
                Fate::Done | Fate::Unknown => unsafe { lent.push(page, size) },
                // SAFETY: Taken out of `offered`, and the host does not have it.
                Fate::Refused => unsafe { refused.push(page, size) },
            }
            false
        });
        report
    }

    /// Takes pages back from the host, all of `lent`. Those that it gives are in `returned`
    /// afterwards, the others stay.
    pub fn take_back(&mut self, lent: &mut Pages<Lent>, returned: &mut Pages<Returned>) -> Report {
        let size = lent.size();
        // SAFETY: The host gets nothing by it.
        let (mut report, words) = unsafe { self.name(Operation::Unlock, size, lent.as_slice()) };
        lent.retain(|index, page| {
            let is_done = report.note(words.on(index, page), Operation::Unlock) == Fate::Done;
            if is_done {
                // SAFETY: Taken out of `lent`, and the host does not have it any more.
                unsafe { returned.push(page, size) };
            }
            !is_done
        });
        report
    }

    /// Exchanges a page that the host has for another one: takes the old one back first, as the host
    /// may not need more than it has. The second report is that on the new page, if it came to that.
    pub fn exchange(&mut self, pages: Migration<'_>) -> (Moved, Report, Option<Report>) {
        let (old, new) = (pages.old, pages.new);
        // SAFETY: The host gets nothing by it.
        let (taken, fate) = unsafe { self.name_one(Operation::Unlock, old) };
        if fate != Fate::Done {
            return (Moved(Outcome::Refused), taken, None);
        }
        // SAFETY: The page is the caller's, and becomes the balloon's by what is returned.
        let (given, fate) = unsafe { self.name_one(Operation::Lock, new) };
        let outcome = match fate {
            Fate::Done | Fate::Unknown => Outcome::Whole,
            Fate::Refused => Outcome::OldOnly,
        };
        (Moved(outcome), taken, Some(given))
    }

    /// # Safety
    ///
    /// As that of [`name`](Self::name).
    unsafe fn name_one(&mut self, operation: Operation, page: Page) -> (Report, Fate) {
        // SAFETY: By the safety requirement.
        let (mut report, words) = unsafe { self.name(operation, PageSize::Small, &[page]) };
        let fate = report.note(words.on(0, page), operation);
        (report, fate)
    }

    /// Names pages to the host. No more than can be named at once are.
    ///
    /// # Safety
    ///
    /// If they are given, the pages must be owned by the caller and of this size, and whatever the
    /// host may have must not be used any more.
    unsafe fn name(
        &mut self,
        operation: Operation,
        size: PageSize,
        pages: &[Page],
    ) -> (Report, Words<'_>) {
        let is_batch = self.capabilities.contains(Capabilities::BATCHED);
        let count = pages.len().min(self.capabilities.batch_len());
        let call = match pages.first() {
            Some(_) if is_batch => {
                self.write(pages);
                Some(Call::batch(operation, size, self.number, count as u64))
            }
            // Without batches there are 32 bits for the number of a page.
            Some(page) if size == PageSize::Small => u32::try_from(number(*page))
                .ok()
                .map(|page| Call::single(operation, page.into())),
            _ => None,
        };
        let report = match call {
            Some(call) => say(call),
            None => Report::new(None, 0),
        };
        let status = report
            .said
            .map_or(Status::PAGE_INVALID, |(_, reply)| reply.status);
        let words = Words {
            status,
            entries: if is_batch { Some(self) } else { None },
            count,
        };
        let pages = if report.said.is_some() { count } else { 0 };
        (Report { pages, ..report }, words)
    }

    /// Writes the numbers of pages to the batch page, as far as there is room.
    fn write(&mut self, pages: &[Page]) {
        for (index, page) in pages.iter().take(ENTRIES).enumerate() {
            // SAFETY: By the type's invariants there is room for so many.
            unsafe {
                let entry = self.batch.as_ptr().add(index);
                entry.write_volatile(Entry::new(number(*page)));
            }
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // SAFETY: By the type's invariants, and no command is under way.
        unsafe { bindings::free_pages(self.batch.as_ptr() as usize, 0) };
    }
}

/// The host's words on the pages of a command.
struct Words<'a> {
    status: Status,
    entries: Option<&'a Port>,
    count: usize,
}

impl Words<'_> {
    /// The host's word on the page that was named at this place.
    #[inline]
    fn on(&self, index: usize, page: Page) -> Answer {
        if index >= self.count.min(ENTRIES) {
            // It was not named.
            return Answer::Status(Status::BUSY);
        }
        let said = match self.entries {
            None => Answer::Status(Status::SUCCESS),
            Some(port) => {
                // SAFETY: By the invariants of `Port` there are so many entries. It is read once.
                let entry = unsafe { port.batch.as_ptr().add(index).read_volatile() };
                Answer::of(entry, number(page))
            }
        };
        said.after(self.status)
    }
}

/// How the host knows a page.
#[inline]
fn number(page: Page) -> u64 {
    // SAFETY: Arithmetic on the address.
    unsafe { bindings::page_to_pfn(page.as_ptr()) as u64 }
}

/// Says something to the host.
///
/// A call is only made in this module, and those that give pages only where they may be given.
#[inline]
fn say(call: Call) -> Report {
    let mut registers = call.registers();
    // SAFETY: The port is a VMware hypervisor's, or there is nothing behind it. Memory that the host
    // writes to is the batch page; what else it takes was given by the caller.
    unsafe {
        asm!(
            // The compiler keeps RBX to itself.
            "xchg {rbx}, rbx",
            "in eax, dx",
            "xchg {rbx}, rbx",
            rbx = inout(reg) registers.rbx,
            inout("rax") registers.rax,
            inout("rcx") registers.rcx,
            inout("rdx") registers.rdx,
            inout("rsi") registers.rsi,
            options(nostack),
        );
    }
    Report::new(Some((call.command, Reply::from_registers(&registers))), 0)
}
