// SPDX-License-Identifier: GPL-2.0 OR MIT

//! virtio-scsi (VIRTIO 1.3, section 5.6): configuration space and requests.
