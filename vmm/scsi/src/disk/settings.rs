// SPDX-License-Identifier: GPL-2.0 OR MIT

//! MODE SENSE and MODE SELECT.
//!
//! Three settings can be changed: WCE (whether writes may stay in the volatile
//! cache), D_SENSE (which format sense data has) and SWP (whether the medium is
//! write-protected by software). None of them is saved: after a reset, WCE
//! alone is set.

use std::sync::atomic::{AtomicBool, Ordering};

use protocol::scsi::cdb::{ModeSelect, ModeSense, PageControl};
use protocol::scsi::mode::{
    self, CachingPage, ControlPage, Header10, Header6, InformationalExceptionsPage, LongDescriptor,
    SelectList, SelectedBlocks, SelectedPage, ShortDescriptor,
};
use protocol::scsi::sense::{asc, Format, Sense};
use zerocopy::big_endian::{U16, U32, U64};
use zerocopy::IntoBytes;

use super::media::check_room;
use super::Disk;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

/// The pages that there are, in order.
const PAGES: [u8; 3] = [mode::CACHING, mode::CONTROL, mode::INFORMATIONAL_EXCEPTIONS];

/// What can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Values {
    write_cache: bool,
    descriptor_sense: bool,
    software_protect: bool,
}

impl Values {
    const DEFAULT: Self = Self {
        write_cache: true,
        descriptor_sense: false,
        software_protect: false,
    };
    /// Where all of it can be changed.
    const MASK: Self = Self {
        write_cache: true,
        descriptor_sense: true,
        software_protect: true,
    };

    /// The same after a page that was found to be right.
    fn select(&mut self, page: &[u8]) {
        match page {
            [mode::CACHING, _, flags, ..] => self.write_cache = flags & mode::WCE != 0,
            [mode::CONTROL, _, task_set, _, protection, ..] => {
                self.descriptor_sense = task_set & mode::D_SENSE != 0;
                self.software_protect = protection & mode::SWP != 0;
            }
            _ => {}
        }
    }
}

/// The settings of a disk, as commands read them without a lock.
#[derive(Debug)]
pub(super) struct Settings {
    write_cache: AtomicBool,
    descriptor_sense: AtomicBool,
    software_protect: AtomicBool,
}

impl Default for Settings {
    fn default() -> Self {
        let Values {
            write_cache,
            descriptor_sense,
            software_protect,
        } = Values::DEFAULT;
        Self {
            write_cache: write_cache.into(),
            descriptor_sense: descriptor_sense.into(),
            software_protect: software_protect.into(),
        }
    }
}

impl Settings {
    /// WCE: writes may end in a volatile cache.
    pub(super) fn write_cache(&self) -> bool {
        self.write_cache.load(Ordering::Relaxed)
    }

    /// SWP: nothing may be written.
    pub(super) fn software_protect(&self) -> bool {
        self.software_protect.load(Ordering::Relaxed)
    }

    /// D_SENSE: the format of sense data.
    pub(super) fn sense_format(&self) -> Format {
        if self.descriptor_sense.load(Ordering::Relaxed) {
            Format::Descriptor
        } else {
            Format::Fixed
        }
    }

    /// As after power on.
    pub(super) fn reset(&self) {
        self.store(Values::DEFAULT);
    }

    fn load(&self) -> Values {
        Values {
            write_cache: self.write_cache(),
            descriptor_sense: self.sense_format() == Format::Descriptor,
            software_protect: self.software_protect(),
        }
    }

    fn store(&self, values: Values) {
        let set = |setting: &AtomicBool, value| setting.store(value, Ordering::Relaxed);
        set(&self.write_cache, values.write_cache);
        set(&self.descriptor_sense, values.descriptor_sense);
        set(&self.software_protect, values.software_protect);
    }
}

impl Disk {
    /// MODE SENSE.
    pub(super) fn mode_sense(&self, task: &Task<'_>, command: ModeSense) -> Result<u64, Failure> {
        if command.control == PageControl::Saved {
            return Err(Sense::illegal(asc::SAVING_PARAMETERS_NOT_SUPPORTED).into());
        }
        let pages = self.selected_pages(command)?;
        let descriptor = match (command.block_descriptor, command.long_lba) {
            (false, _) => Vec::new(),
            (true, true) => self.long_descriptor().as_bytes().to_vec(),
            (true, false) => self.short_descriptor().as_bytes().to_vec(),
        };
        let header = self.header(command, descriptor.len(), pages.len());
        let mut data = DataIn::new(task.data_in, command.allocation);
        data.put(header.as_slice()).put(descriptor.as_slice());
        Ok(data.finish(pages.as_slice()))
    }

    fn selected_pages(&self, command: ModeSense) -> Result<Vec<u8>, Sense> {
        let is_subpage_known = matches!(command.subpage, 0 | mode::ALL_SUBPAGES);
        if !is_subpage_known {
            return Err(Sense::invalid_cdb(3, None));
        }
        let pages: Vec<u8> = PAGES
            .into_iter()
            .filter(|page| command.page == mode::ALL_PAGES || command.page == *page)
            .flat_map(|page| self.page(page, command.control))
            .collect();
        if pages.is_empty() {
            return Err(Sense::invalid_cdb(2, Some(5)));
        }
        Ok(pages)
    }

    /// One page; none if there is no such page.
    fn page(&self, page: u8, control: PageControl) -> Vec<u8> {
        let values = match control {
            PageControl::Current | PageControl::Saved => self.settings.load(),
            PageControl::Changeable => Values::MASK,
            PageControl::Default => Values::DEFAULT,
        };
        let is_mask = control == PageControl::Changeable;
        match page {
            mode::CACHING => caching_page(values).as_bytes().to_vec(),
            mode::CONTROL => control_page(values, is_mask).as_bytes().to_vec(),
            mode::INFORMATIONAL_EXCEPTIONS => {
                let method = if is_mask { 0 } else { mode::MRIE_ON_REQUEST };
                InformationalExceptionsPage::new(method).as_bytes().to_vec()
            }
            _ => Vec::new(),
        }
    }

    /// The header, whose lengths are all far below their limits.
    fn header(&self, command: ModeSense, descriptor_len: usize, pages_len: usize) -> Vec<u8> {
        let protected = if self.is_protected() {
            mode::WRITE_PROTECTED
        } else {
            0
        };
        let device_specific = mode::DPOFUA | protected;
        let rest = descriptor_len.saturating_add(pages_len);
        let byte = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
        let word = |len: usize| U16::new(u16::try_from(len).unwrap_or(u16::MAX));
        if command.long_header {
            let header = Header10 {
                data_len: word(rest.saturating_add(6)),
                medium_type: 0,
                device_specific,
                long_lba: u8::from(command.long_lba && descriptor_len > 0),
                reserved: 0,
                descriptor_len: word(descriptor_len),
            };
            header.as_bytes().to_vec()
        } else {
            let header = Header6 {
                data_len: byte(rest.saturating_add(3)),
                medium_type: 0,
                device_specific,
                descriptor_len: byte(descriptor_len),
            };
            header.as_bytes().to_vec()
        }
    }

    fn short_descriptor(&self) -> ShortDescriptor {
        let blocks = u32::try_from(self.blocks()).unwrap_or(u32::MAX);
        ShortDescriptor {
            blocks: U32::new(blocks),
            block_len: U32::new(self.block_size.bytes()),
        }
    }

    fn long_descriptor(&self) -> LongDescriptor {
        LongDescriptor {
            blocks: U64::new(self.blocks()),
            reserved: [0; 4],
            block_len: U32::new(self.block_size.bytes()),
        }
    }

    /// MODE SELECT. Nothing is changed unless everything in the list is right.
    pub(super) fn mode_select(&self, task: &Task<'_>, command: ModeSelect) -> Result<u64, Failure> {
        let ModeSelect {
            page_format,
            save,
            long_header,
            parameter_len,
        } = command;
        if !page_format {
            return Err(Sense::invalid_cdb(1, Some(4)).into());
        }
        if save {
            return Err(Sense::invalid_cdb(1, Some(0)).into());
        }
        check_room(task.data_out.len(), parameter_len.into())?;
        if parameter_len == 0 {
            return Ok(0);
        }
        let mut list = vec![0; parameter_len as usize];
        task.data_out.read_at(0, &mut list);

        let list = SelectList::parse(&list, long_header)?;
        list.blocks
            .map_or(Ok(()), |blocks| self.check_blocks(blocks))?;
        let mut values = self.settings.load();
        for page in list.pages() {
            let page = page?;
            self.check_page(page)?;
            values.select(page.bytes);
        }
        self.change_settings(task, values)?;
        Ok(parameter_len.into())
    }

    /// The block descriptor must ask for what there is.
    fn check_blocks(&self, selected: SelectedBlocks) -> Result<(), Sense> {
        let is_len_right = [0, self.block_size.bytes()].contains(&selected.block_len);
        // All ones stand for as many as there are, in both lengths.
        let counts = [0, self.blocks(), u32::MAX.into(), u64::MAX];
        if is_len_right && counts.contains(&selected.blocks) {
            return Ok(());
        }
        Err(Sense::invalid_parameter(selected.at, None))
    }

    /// A page must be one of ours, and change nothing but what can be changed.
    fn check_page(&self, page: SelectedPage<'_>) -> Result<(), Sense> {
        let code = page.bytes.first().copied().unwrap_or(0);
        let current = self.page(code, PageControl::Current);
        let mask = self.page(code, PageControl::Changeable);
        if current.is_empty() {
            return Err(Sense::invalid_parameter(page.at, None));
        }
        if current.len() != page.bytes.len() {
            return Err(Sense::invalid_parameter(page.at.saturating_add(1), None));
        }
        let differences = current.iter().zip(page.bytes).zip(mask).zip(page.at..);
        for (((current, new), mask), at) in differences.skip(2) {
            let wrong = (current ^ new) & !mask;
            if wrong != 0 {
                let bit = 7_u32.saturating_sub(wrong.leading_zeros());
                return Err(Sense::invalid_parameter(at, u8::try_from(bit).ok()));
            }
        }
        Ok(())
    }

    /// What is in the cache when it is turned off has to leave it.
    fn change_settings(&self, task: &Task<'_>, values: Values) -> Result<(), Failure> {
        let was_enabled = self.settings.write_cache();
        self.settings.store(values);
        if was_enabled && !values.write_cache {
            self.flush(task)?;
        }
        Ok(())
    }
}

fn caching_page(values: Values) -> CachingPage {
    CachingPage::new(flag(values.write_cache, mode::WCE))
}

fn control_page(values: Values, is_mask: bool) -> ControlPage {
    let (fixed, queueing) = if is_mask {
        (0, 0)
    } else {
        (mode::TST_PER_NEXUS, mode::UNRESTRICTED_REORDERING)
    };
    let task_set = fixed | flag(values.descriptor_sense, mode::D_SENSE);
    ControlPage {
        protection: flag(values.software_protect, mode::SWP),
        ..ControlPage::new(task_set, queueing)
    }
}

fn flag(is_set: bool, flag: u8) -> u8 {
    if is_set {
        flag
    } else {
        0
    }
}
