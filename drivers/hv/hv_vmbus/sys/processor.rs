// SPDX-License-Identifier: GPL-2.0

//! What each processor has: its SynIC's pages, and the tasklet for its messages.
//!
//! Pages are allocated for all processors that are present before any is set up. Where a paravisor
//! or the root partition has pages there already, those are mapped when a processor comes.

use super::{
    bindings,
    interrupt::{
        on_message_tasklet,
        SOURCE,
        VECTOR, //
    }, //
};
use core::{
    cell::UnsafeCell,
    mem::size_of,
    ptr, //
};
use guest::hyperv::{
    cpus,
    page::{
        Memory,
        SharedPage, //
    },
    platform,
    synic::{
        mask,
        pass_vector,
        register,
        unmask,
        Owner, //
    }, //
};
use kernel::prelude::*;
use protocol::hyperv::{
    event::{
        FLAGS_SIZE,
        FLAG_COUNT, //
    },
    shared::Shared,
    PAGE_SIZE, //
};

/// The processor that is told of messages.
const CONNECT_CPU: u32 = 0;

/// `struct hv_per_cpu_context`.
#[repr(C)]
pub(crate) struct Context {
    pub(super) hyp_synic_message_page: *mut u8,
    pub(super) hyp_synic_event_page: *mut u8,
    pub(super) para_synic_message_page: *mut u8,
    pub(super) para_synic_event_page: *mut u8,
    post_msg_page: *mut u8,
    pub(super) msg_dpc: bindings::tasklet_struct,
}

/// `struct hv_context`.
#[repr(C)]
struct Contexts {
    guestid: u64,
    cpu_context: UnsafeCell<*mut Context>,
    hv_numa_map: *mut bindings::cpumask,
}

// SAFETY: The pointer is set before anybody is interrupted.
unsafe impl Sync for Contexts {}

#[no_mangle]
static hv_context: Contexts = Contexts {
    guestid: 0,
    cpu_context: UnsafeCell::new(ptr::null_mut()),
    hv_numa_map: ptr::null_mut(),
};

fn base() -> *mut Context {
    // SAFETY: Set while a `Processors` is there, which is when the rest of this is called.
    unsafe { hv_context.cpu_context.get().read() }
}

/// That of this processor. The caller must stay on it.
#[inline]
pub(super) fn this() -> *mut Context {
    // SAFETY: A per-CPU allocation.
    unsafe { bindings::this_cpu_ptr(base().cast()) }.cast()
}

/// That of a processor.
fn of(cpu: u32) -> *mut Context {
    // SAFETY: A per-CPU allocation, and a processor that is present.
    unsafe { bindings::per_cpu_ptr(base().cast(), cpu as c_int) }.cast()
}

/// The pages of one processor that are ours.
#[derive(Default)]
struct Pages {
    hypervisor: Option<(SharedPage, SharedPage)>,
    paravisor: Option<(SharedPage, SharedPage)>,
    post: Option<SharedPage>,
}

impl Pages {
    fn new(confidential: bool) -> Result<Self> {
        let pair = |shared| Ok::<_, Error>((SharedPage::new(shared)?, SharedPage::new(shared)?));
        let mut pages = Self::default();
        if !adopts_pages() {
            pages.hypervisor = Some(pair(!confidential)?);
        }
        if confidential {
            pages.paravisor = Some(pair(false)?);
        }
        if platform::has_paravisor() && platform::is_tdx() {
            pages.post = Some(SharedPage::new(!confidential)?);
        }
        Ok(pages)
    }
}

/// Whether the hypervisor's pages are there already.
fn adopts_pages() -> bool {
    platform::has_paravisor() || platform::is_root_partition()
}

/// All processors, ready to be set up.
///
/// # Invariants
///
/// The allocation is there, with the contexts initialised, until this is dropped.
pub(crate) struct Processors {
    pages: KVec<Option<Pages>>,
    confidential: bool,
}

impl Processors {
    /// Allocates what processors need.
    ///
    /// # Errors
    ///
    /// `ENOMEM`.
    pub(crate) fn new(confidential: bool) -> Result<Self> {
        // SAFETY: Memory of zeros for each processor.
        let base = unsafe { bindings::alloc_percpu(size_of::<Context>(), 8) }.cast::<Context>();
        if base.is_null() {
            return Err(ENOMEM);
        }
        // SAFETY: Nobody is interrupted yet.
        unsafe { hv_context.cpu_context.get().write(base) };
        // INVARIANT: Contexts are initialised one after the other; zeros are no pages.
        let mut all = Self {
            pages: KVec::new(),
            confidential,
        };
        for cpu in 0..cpus::limit() {
            let pages = if cpus::is_present(cpu) {
                Some(Pages::new(confidential)?)
            } else {
                None
            };
            all.pages.push(pages, GFP_KERNEL)?;
            all.init_context(cpu);
        }
        Ok(all)
    }

    fn pages(&self, cpu: u32) -> Option<&Pages> {
        self.pages.get(cpu as usize)?.as_ref()
    }

    fn init_context(&self, cpu: u32) {
        let Some(pages) = self.pages(cpu) else {
            return;
        };
        let (context, address) = (of(cpu), |page: &SharedPage| page.as_ptr());
        // SAFETY: The context is that of a present processor, and is not used yet.
        unsafe {
            if let Some((messages, events)) = &pages.hypervisor {
                (*context).hyp_synic_message_page = address(messages);
                (*context).hyp_synic_event_page = address(events);
            }
            if let Some((messages, events)) = &pages.paravisor {
                (*context).para_synic_message_page = address(messages);
                (*context).para_synic_event_page = address(events);
            }
            (*context).post_msg_page = pages.post.as_ref().map_or(ptr::null_mut(), address);
            bindings::tasklet_init(
                &raw mut (*context).msg_dpc,
                Some(on_message_tasklet),
                context as c_ulong,
            );
        }
    }

    /// Where this processor has to put the input of a hypercall, if not where all others do.
    pub(crate) fn post_page(&self) -> Option<&SharedPage> {
        // SAFETY: No requirements. If the caller moves on, the page is another processor's, which
        // is why callers turn interrupts off.
        let cpu = unsafe { bindings::raw_smp_processor_id() };
        self.pages(cpu)?.post.as_ref()
    }

    /// Sets this processor up: messages and interrupts arrive.
    pub(crate) fn online(&self, cpu: u32) -> Result {
        let pages = self.pages(cpu).ok_or(ENOMEM)?;
        if let Some((messages, events)) = &pages.paravisor {
            Owner::Paravisor.set_pages(messages, events);
        }
        self.enable_registers(cpu)?;
        self.controller().enable(true);
        Ok(())
    }

    /// Sets the hypervisor's registers of this processor.
    pub(crate) fn enable_registers(&self, cpu: u32) -> Result {
        match self.pages(cpu).and_then(|pages| pages.hypervisor.as_ref()) {
            Some((messages, events)) => Owner::Hypervisor.set_pages(messages, events),
            None => adopt(of(cpu))?,
        }
        pass_vector(cpu, VECTOR, true);
        unmask(SOURCE, VECTOR);
        Ok(())
    }

    /// Undoes [`Processors::online`].
    pub(crate) fn offline(&self, cpu: u32) {
        self.disable_registers(cpu);
        if self.confidential {
            Owner::Paravisor.clear_pages();
        }
        self.controller().enable(false);
    }

    /// Undoes [`Processors::enable_registers`].
    pub(crate) fn disable_registers(&self, cpu: u32) {
        mask(SOURCE);
        pass_vector(cpu, VECTOR, false);
        match self.pages(cpu).and_then(|pages| pages.hypervisor.as_ref()) {
            Some(_) => Owner::Hypervisor.clear_pages(),
            None => disown(of(cpu)),
        }
    }

    fn controller(&self) -> Owner {
        if self.confidential {
            Owner::Paravisor
        } else {
            Owner::Hypervisor
        }
    }

    /// Whether an event that no channel has seen is there for a processor.
    pub(crate) fn has_event(&self, cpu: u32) -> bool {
        let context = of(cpu);
        // SAFETY: The context of a present processor.
        let pages = unsafe {
            [
                (*context).hyp_synic_event_page,
                (*context).para_synic_event_page,
            ]
        };
        let first = u32::from(SOURCE) * FLAGS_SIZE;
        pages.into_iter().filter_map(ptr::NonNull::new).any(|page| {
            // SAFETY: The page stays as long as the processor is set up.
            let memory = unsafe { Memory::new(page, PAGE_SIZE) };
            // Bit 0 is that of messages.
            (0..u32::from(FLAG_COUNT) / 32).any(|word| {
                let bits = memory.load(first + word * 4);
                bits & if word == 0 { !1 } else { !0 } != 0
            })
        })
    }

    /// Calls `f` with the page for messages of each processor that has one.
    pub(crate) fn each_message_page(&self, mut f: impl FnMut(Memory<'_>)) {
        for cpu in (0..cpus::limit()).filter(|cpu| cpus::is_present(*cpu)) {
            // SAFETY: The context of a present processor, and its page stays while it is set up.
            unsafe {
                if let Some(page) = ptr::NonNull::new((*of(cpu)).hyp_synic_message_page) {
                    f(Memory::new(page, PAGE_SIZE));
                }
            }
        }
    }

    /// Keeps the processor that is told of messages from handling any, during `f`. Sleeps.
    pub(crate) fn without_messages(&self, f: impl FnOnce()) {
        let context = of(CONNECT_CPU);
        // SAFETY: The context of the first processor.
        unsafe { bindings::tasklet_disable(&raw mut (*context).msg_dpc) };
        f();
        // SAFETY: As above.
        unsafe { bindings::tasklet_enable(&raw mut (*context).msg_dpc) };
    }
}

impl Drop for Processors {
    fn drop(&mut self) {
        for cpu in (0..cpus::limit()).filter(|cpu| self.pages(*cpu).is_some()) {
            // SAFETY: Initialised; no processor is set up any more, so that nothing schedules it.
            unsafe { bindings::tasklet_kill(&raw mut (*of(cpu)).msg_dpc) };
        }
        // SAFETY: By the type invariant.
        unsafe {
            bindings::free_percpu(base().cast());
            hv_context.cpu_context.get().write(ptr::null_mut());
        }
    }
}

fn map(register: u32) -> Result<*mut u8> {
    let address = Owner::Hypervisor.adopt_page(register);
    let flags = bindings::MEMREMAP_WB | bindings::MEMREMAP_DEC;
    // SAFETY: The page is there, as the register names it.
    let page = unsafe { bindings::memremap(address, PAGE_SIZE as usize, flags as c_ulong) };
    if page.is_null() {
        return Err(ENOMEM);
    }
    Ok(page.cast())
}

fn adopt(context: *mut Context) -> Result {
    // SAFETY: The context of the processor that is set up now.
    unsafe {
        (*context).hyp_synic_message_page = map(register::SIMP)?;
        (*context).hyp_synic_event_page = map(register::SIEFP)?;
    }
    Ok(())
}

fn disown(context: *mut Context) {
    Owner::Hypervisor.disown_page(register::SIMP);
    Owner::Hypervisor.disown_page(register::SIEFP);
    // SAFETY: The context of the processor that goes now; nobody is interrupted on it any more.
    unsafe {
        for page in [
            &raw mut (*context).hyp_synic_message_page,
            &raw mut (*context).hyp_synic_event_page,
        ] {
            let page = page.replace(ptr::null_mut());
            if !page.is_null() {
                bindings::memunmap(page.cast());
            }
        }
    }
}
