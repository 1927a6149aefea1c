// SPDX-License-Identifier: GPL-2.0 OR MIT

//! PCI: configuration space, BARs, MSI-X, the host bridge.

pub mod device;
