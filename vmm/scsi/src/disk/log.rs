// SPDX-License-Identifier: GPL-2.0 OR MIT

//! LOG SENSE.
//!
//! There are the pages whose content the disk really knows: errors and bytes
//! that it counted since it was opened. It has no temperature and does not
//! start or stop anything, so there are no pages about that. Nothing of it can
//! be reset, so there is no LOG SELECT.

use protocol::scsi::cdb::LogSense;
use protocol::scsi::log::{self, errors, InformationalException, PageHeader, ParameterHeader};
use protocol::scsi::sense::Sense;
use zerocopy::big_endian::U16;
use zerocopy::IntoBytes;

use super::Disk;
use crate::command::Failure;
use crate::data_in::DataIn;
use crate::unit::Task;

/// The pages that there are, in order.
const PAGES: [u8; 6] = [
    log::SUPPORTED_PAGES,
    log::WRITE_ERRORS,
    log::READ_ERRORS,
    log::VERIFY_ERRORS,
    log::NON_MEDIUM_ERRORS,
    log::INFORMATIONAL_EXCEPTIONS,
];
/// PC: the values counted so far.
const CUMULATIVE: u8 = 1;

/// A parameter: its code and its value.
struct Parameter {
    code: u16,
    control: u8,
    value: Vec<u8>,
}

impl Disk {
    /// LOG SENSE.
    pub(super) fn log_sense(&self, task: &Task<'_>, command: LogSense) -> Result<u64, Failure> {
        if command.control != CUMULATIVE {
            return Err(Sense::invalid_cdb(2, Some(7)).into());
        }
        let body = self.log_page(task, command)?;
        let is_subpage = command.subpage != 0;
        let mut data = DataIn::new(task.data_in, command.allocation);
        data.put(&PageHeader {
            page: command.page | log::DS | if is_subpage { log::SPF } else { 0 },
            subpage: command.subpage,
            // Each page is much shorter than that.
            len: U16::new(u16::try_from(body.len()).unwrap_or(u16::MAX)),
        });
        Ok(data.finish(body.as_slice()))
    }

    fn log_page(&self, task: &Task<'_>, command: LogSense) -> Result<Vec<u8>, Sense> {
        match (command.page, command.subpage) {
            (log::SUPPORTED_PAGES, 0) => list_pages(command, PAGES.to_vec()),
            (log::SUPPORTED_PAGES, log::ALL_SUBPAGES) => list_pages(command, subpages()),
            (page, 0) => {
                let parameters = self.log_parameters(task, page);
                select(command, &parameters.ok_or(Sense::invalid_cdb(2, Some(5)))?)
            }
            _ => Err(Sense::invalid_cdb(3, None)),
        }
    }

    /// The parameters of a page, in the order of their codes.
    fn log_parameters(&self, task: &Task<'_>, page: u8) -> Option<Vec<Parameter>> {
        let (counters, health) = (task.counters, &self.health);
        Some(match page {
            log::WRITE_ERRORS => {
                error_counters(counters.bytes_written.get(), health.write_errors.get())
            }
            log::READ_ERRORS => error_counters(counters.bytes_read.get(), health.read_errors.get()),
            log::VERIFY_ERRORS => {
                error_counters(health.verified_bytes.get(), health.verify_errors.get())
            }
            log::NON_MEDIUM_ERRORS => vec![counter(0, health.other_errors.get())],
            log::INFORMATIONAL_EXCEPTIONS => vec![no_exception()],
            _ => return None,
        })
    }
}

/// A page that is a list of pages, and has no parameters to begin with.
fn list_pages(command: LogSense, list: Vec<u8>) -> Result<Vec<u8>, Sense> {
    match command.first_parameter {
        0 => Ok(list),
        _ => Err(wrong_pointer()),
    }
}

/// Every page with its subpage, of which only the list of pages has one.
fn subpages() -> Vec<u8> {
    let lists = [
        log::SUPPORTED_PAGES,
        0,
        log::SUPPORTED_PAGES,
        log::ALL_SUBPAGES,
    ];
    let others = PAGES.into_iter().skip(1).flat_map(|page| [page, 0]);
    lists.into_iter().chain(others).collect()
}

/// The parameters from the one on that the command points to.
fn select(command: LogSense, parameters: &[Parameter]) -> Result<Vec<u8>, Sense> {
    let is_wanted = |each: &&Parameter| each.code >= command.first_parameter;
    if !parameters.iter().any(|each| is_wanted(&each)) {
        return Err(wrong_pointer());
    }
    let wanted = parameters.iter().filter(is_wanted);
    Ok(wanted.flat_map(Parameter::encode).collect())
}

fn wrong_pointer() -> Sense {
    Sense::invalid_cdb(5, None)
}

fn error_counters(bytes: u64, uncorrected: u64) -> Vec<Parameter> {
    vec![
        counter(errors::BYTES_PROCESSED, bytes),
        counter(errors::UNCORRECTED, uncorrected),
    ]
}

fn counter(code: u16, value: u64) -> Parameter {
    Parameter {
        code,
        control: log::TSD | log::COUNTER,
        value: value.to_be_bytes().to_vec(),
    }
}

/// That there is nothing to warn of.
fn no_exception() -> Parameter {
    let value = InformationalException {
        code: 0,
        qualifier: 0,
        temperature: log::NO_TEMPERATURE,
        threshold: log::NO_TEMPERATURE,
    };
    Parameter {
        code: 0,
        control: log::TSD | log::BINARY_LIST,
        value: value.as_bytes().to_vec(),
    }
}

impl Parameter {
    fn encode(&self) -> Vec<u8> {
        let header = ParameterHeader {
            code: U16::new(self.code),
            control: self.control,
            // Values are 4 or 8 bytes long.
            len: u8::try_from(self.value.len()).unwrap_or(u8::MAX),
        };
        [header.as_bytes(), &self.value].concat()
    }
}
