// SPDX-License-Identifier: GPL-2.0 OR MIT

//! MODE SENSE and MODE SELECT. Nothing can be changed.

use protocol::scsi::cdb::{ModeSelect, ModeSense, PageControl};
use protocol::scsi::mmc::mode::{Capabilities, ErrorRecovery, CAPABILITIES, ERROR_RECOVERY};
use protocol::scsi::mmc::BLOCK_LEN;
use protocol::scsi::mode::{self, Header10, Header6, SelectList, SelectedBlocks, SelectedPage};
use protocol::scsi::sense::{asc, Sense};
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use super::CdRom;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::disk::check_room;
use crate::unit::Task;

/// The pages that there are, in order.
const PAGES: [u8; 2] = [ERROR_RECOVERY, CAPABILITIES];
/// What a page has before its parameters.
const PAGE_HEADER_LEN: usize = 2;

impl CdRom {
    /// MODE SENSE. There is no block descriptor, as MMC-6 has it.
    pub(super) fn mode_sense(&self, task: &Task<'_>, command: ModeSense) -> Result<u64, Failure> {
        if command.control == PageControl::Saved {
            return Err(Sense::illegal(asc::SAVING_PARAMETERS_NOT_SUPPORTED).into());
        }
        let pages = self.selected_pages(command)?;
        let mut data = DataIn::new(task.data_in, command.allocation);
        data.put(header(command.long_header, pages.len()).as_slice());
        Ok(data.finish(pages.as_slice()))
    }

    fn selected_pages(&self, command: ModeSense) -> Result<Vec<u8>, Sense> {
        if !matches!(command.subpage, 0 | mode::ALL_SUBPAGES) {
            return Err(Sense::invalid_cdb(3, None));
        }
        let pages: Vec<u8> = PAGES
            .into_iter()
            .filter(|page| command.page == mode::ALL_PAGES || command.page == *page)
            .filter_map(|page| self.page(page))
            .flat_map(|page| match command.control {
                PageControl::Changeable => nothing_of(page),
                _ => page,
            })
            .collect();
        if pages.is_empty() {
            return Err(Sense::invalid_cdb(2, Some(5)));
        }
        Ok(pages)
    }

    fn page(&self, page: u8) -> Option<Vec<u8>> {
        Some(match page {
            ERROR_RECOVERY => ErrorRecovery::DEFAULT.as_bytes().to_vec(),
            CAPABILITIES => Capabilities::new(self.drive.is_locked())
                .as_bytes()
                .to_vec(),
            _ => return None,
        })
    }

    /// MODE SELECT, of what is so already.
    pub(super) fn mode_select(&self, task: &Task<'_>, command: ModeSelect) -> Result<u64, Failure> {
        if !command.page_format {
            return Err(Sense::invalid_cdb(1, Some(4)).into());
        }
        if command.save {
            return Err(Sense::invalid_cdb(1, Some(0)).into());
        }
        check_room(task.data_out.len(), command.parameter_len.into())?;
        if command.parameter_len == 0 {
            return Ok(0);
        }
        let mut list = vec![0; command.parameter_len as usize];
        task.data_out.read_at(0, &mut list);
        let list = SelectList::parse(&list, command.long_header)?;
        list.blocks.map_or(Ok(()), check_blocks)?;
        for page in list.pages() {
            self.check_page(page?)?;
        }
        Ok(command.parameter_len.into())
    }

    fn check_page(&self, selected: SelectedPage<'_>) -> Result<(), Sense> {
        let code = selected.bytes.first().copied().unwrap_or(0);
        let wrong = |at| Sense::invalid_parameter(at, None);
        let current = self.page(code).ok_or(wrong(selected.at))?;
        if current.len() != selected.bytes.len() {
            return Err(wrong(selected.at.saturating_add(1)));
        }
        let bytes = current.iter().zip(selected.bytes).zip(selected.at..);
        let mut differences = bytes.filter(|((current, new), _)| current != new);
        differences.next().map_or(Ok(()), |(_, at)| Err(wrong(at)))
    }
}

/// The block descriptor must ask for the blocks that there are.
fn check_blocks(selected: SelectedBlocks) -> Result<(), Sense> {
    if selected.blocks == 0 && [0, BLOCK_LEN].contains(&selected.block_len) {
        return Ok(());
    }
    Err(Sense::invalid_parameter(selected.at, None))
}

/// The mask of what can be changed.
fn nothing_of(mut page: Vec<u8>) -> Vec<u8> {
    for byte in page.iter_mut().skip(PAGE_HEADER_LEN) {
        *byte = 0;
    }
    page
}

/// The header, whose lengths are all far below their limits.
fn header(is_long: bool, pages_len: usize) -> Vec<u8> {
    if is_long {
        let len = u16::try_from(pages_len).unwrap_or(u16::MAX);
        let header = Header10 {
            data_len: U16::new(len.saturating_add(6)),
            medium_type: 0,
            device_specific: 0,
            long_lba: 0,
            reserved: 0,
            descriptor_len: U16::ZERO,
        };
        header.as_bytes().to_vec()
    } else {
        let len = u8::try_from(pages_len).unwrap_or(u8::MAX);
        let header = Header6 {
            data_len: len.saturating_add(3),
            medium_type: 0,
            device_specific: 0,
            descriptor_len: 0,
        };
        header.as_bytes().to_vec()
    }
}
