// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Operation codes, and which bits of each command may be set.
//!
//! [`COMMANDS`] is the one list of commands: [`super::cdb`] refuses a bit that
//! is not in a command's usage map, and REPORT SUPPORTED OPERATION CODES
//! returns these very maps. Not in any map, on purpose: NACA, ANCHOR, power
//! conditions, obsolete fields.

mod commands;
mod report;

pub use commands::{CommandInfo, COMMANDS, PROTECT_MASK};
pub use report::*;

/// TEST UNIT READY (SPC-5, section 6.44).
pub const TEST_UNIT_READY: u8 = 0x00;
/// REQUEST SENSE (SPC-5, section 6.38).
pub const REQUEST_SENSE: u8 = 0x03;
/// READ (6), which SBC-4 calls obsolete and firmware still uses (SBC-3, section 5.7).
pub const READ_6: u8 = 0x08;
/// WRITE (6) (SBC-3, section 5.30).
pub const WRITE_6: u8 = 0x0a;
/// INQUIRY (SPC-5, section 6.6).
pub const INQUIRY: u8 = 0x12;
/// MODE SELECT (6) (SPC-5, section 6.11).
pub const MODE_SELECT_6: u8 = 0x15;
/// RESERVE (6), which SPC-3 made obsolete and clusters still use (SPC-2, section 7.21).
pub const RESERVE_6: u8 = 0x16;
/// RELEASE (6) (SPC-2, section 7.17).
pub const RELEASE_6: u8 = 0x17;
/// MODE SENSE (6) (SPC-5, section 6.13).
pub const MODE_SENSE_6: u8 = 0x1a;
/// START STOP UNIT (SBC-4, section 5.31).
pub const START_STOP_UNIT: u8 = 0x1b;
/// SEND DIAGNOSTIC (SPC-5, section 6.43).
pub const SEND_DIAGNOSTIC: u8 = 0x1d;
/// READ CAPACITY (10) (SBC-4, section 5.20).
pub const READ_CAPACITY_10: u8 = 0x25;
/// READ (10) (SBC-4, section 5.16).
pub const READ_10: u8 = 0x28;
/// WRITE (10) (SBC-4, section 5.41).
pub const WRITE_10: u8 = 0x2a;
/// WRITE AND VERIFY (10) (SBC-4, section 5.45).
pub const WRITE_AND_VERIFY_10: u8 = 0x2e;
/// VERIFY (10) (SBC-4, section 5.36).
pub const VERIFY_10: u8 = 0x2f;
/// SYNCHRONIZE CACHE (10) (SBC-4, section 5.33).
pub const SYNCHRONIZE_CACHE_10: u8 = 0x35;
/// WRITE SAME (10) (SBC-4, section 5.52).
pub const WRITE_SAME_10: u8 = 0x41;
/// UNMAP (SBC-4, section 5.35).
pub const UNMAP: u8 = 0x42;
/// LOG SENSE (SPC-5, section 6.8).
pub const LOG_SENSE: u8 = 0x4d;
/// MODE SELECT (10) (SPC-5, section 6.12).
pub const MODE_SELECT_10: u8 = 0x55;
/// RESERVE (10) (SPC-2, section 7.22).
pub const RESERVE_10: u8 = 0x56;
/// RELEASE (10) (SPC-2, section 7.18).
pub const RELEASE_10: u8 = 0x57;
/// MODE SENSE (10) (SPC-5, section 6.14).
pub const MODE_SENSE_10: u8 = 0x5a;
/// PERSISTENT RESERVE IN (SPC-5, section 6.16).
pub const PERSISTENT_RESERVE_IN: u8 = 0x5e;
/// PERSISTENT RESERVE OUT (SPC-5, section 6.17).
pub const PERSISTENT_RESERVE_OUT: u8 = 0x5f;
/// READ (16) (SBC-4, section 5.18).
pub const READ_16: u8 = 0x88;
/// COMPARE AND WRITE (SBC-4, section 5.3).
pub const COMPARE_AND_WRITE: u8 = 0x89;
/// WRITE (16) (SBC-4, section 5.43).
pub const WRITE_16: u8 = 0x8a;
/// WRITE AND VERIFY (16) (SBC-4, section 5.47).
pub const WRITE_AND_VERIFY_16: u8 = 0x8e;
/// VERIFY (16) (SBC-4, section 5.38).
pub const VERIFY_16: u8 = 0x8f;
/// SYNCHRONIZE CACHE (16) (SBC-4, section 5.34).
pub const SYNCHRONIZE_CACHE_16: u8 = 0x91;
/// WRITE SAME (16) (SBC-4, section 5.53).
pub const WRITE_SAME_16: u8 = 0x93;
/// SERVICE ACTION IN (16): READ CAPACITY (16) and others.
pub const SERVICE_ACTION_IN_16: u8 = 0x9e;
/// REPORT LUNS (SPC-5, section 6.32).
pub const REPORT_LUNS: u8 = 0xa0;
/// MAINTENANCE IN: REPORT SUPPORTED OPERATION CODES and others.
pub const MAINTENANCE_IN: u8 = 0xa3;
/// READ (12) (SBC-4, section 5.17).
pub const READ_12: u8 = 0xa8;
/// WRITE (12) (SBC-4, section 5.42).
pub const WRITE_12: u8 = 0xaa;
/// WRITE AND VERIFY (12) (SBC-4, section 5.46).
pub const WRITE_AND_VERIFY_12: u8 = 0xae;
/// VERIFY (12) (SBC-4, section 5.37).
pub const VERIFY_12: u8 = 0xaf;

/// Service action of [`SERVICE_ACTION_IN_16`]: READ CAPACITY (16) (SBC-4, section 5.21).
pub const READ_CAPACITY_16: u8 = 0x10;
/// Service action of [`SERVICE_ACTION_IN_16`]: GET LBA STATUS (16) (SBC-4, section 5.5).
pub const GET_LBA_STATUS: u8 = 0x12;
/// Service action of [`MAINTENANCE_IN`]: REPORT SUPPORTED OPERATION CODES
/// (SPC-5, section 6.34).
pub const REPORT_SUPPORTED_OPERATION_CODES: u8 = 0x0c;
/// Service action of [`MAINTENANCE_IN`]: REPORT SUPPORTED TASK MANAGEMENT
/// FUNCTIONS (SPC-5, section 6.35).
pub const REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS: u8 = 0x0d;

/// Service action of [`PERSISTENT_RESERVE_IN`]: READ KEYS (SPC-5, section 6.16.2).
pub const READ_KEYS: u8 = 0x00;
/// Service action of [`PERSISTENT_RESERVE_IN`]: READ RESERVATION (SPC-5, section 6.16.3).
pub const READ_RESERVATION: u8 = 0x01;
/// Service action of [`PERSISTENT_RESERVE_IN`]: REPORT CAPABILITIES (SPC-5, section 6.16.4).
pub const REPORT_CAPABILITIES: u8 = 0x02;
/// Service action of [`PERSISTENT_RESERVE_IN`]: READ FULL STATUS (SPC-5, section 6.16.5).
pub const READ_FULL_STATUS: u8 = 0x03;

/// Service action of [`PERSISTENT_RESERVE_OUT`]: REGISTER (SPC-5, table 221).
pub const REGISTER: u8 = 0x00;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: RESERVE.
pub const RESERVE: u8 = 0x01;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: RELEASE.
pub const RELEASE: u8 = 0x02;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: CLEAR.
pub const CLEAR: u8 = 0x03;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: PREEMPT.
pub const PREEMPT: u8 = 0x04;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: PREEMPT AND ABORT.
pub const PREEMPT_AND_ABORT: u8 = 0x05;
/// Service action of [`PERSISTENT_RESERVE_OUT`]: REGISTER AND IGNORE EXISTING KEY.
pub const REGISTER_AND_IGNORE: u8 = 0x06;

/// The bits of byte 1 that hold a service action.
pub const SERVICE_ACTION_MASK: u8 = 0x1f;
