// SPDX-License-Identifier: GPL-2.0 OR MIT

//! SCSI: command descriptor blocks, sense data, mode and vital product data.
