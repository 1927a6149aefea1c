# SPDX-License-Identifier: GPL-2.0
"""Measurements: our drivers against their C twins, our VMM against QEMU.

`virtio_scsi`, `vmw_pvscsi`, `hv_storvsc`, `vmw_balloon` and `vmm` are what can be measured;
`emulated` measures a driver on QEMU's controller, `nested` starts guests under KVM;
`guests` and `load` are what is started, `counts` reads what was counted, `marks`
makes the programs by which a guest says what it is doing, `rows` is the result.
"""

from __future__ import annotations

from . import hv_storvsc, rows, virtio_scsi, vmm, vmw_balloon, vmw_pvscsi

WHAT = {
    "virtio_scsi": virtio_scsi.run,
    # The parts of that, for whoever changes the driver.
    "virtio_scsi_instructions": virtio_scsi.INSTRUCTIONS,
    "virtio_scsi_exits": virtio_scsi.EXITS,
    "vmm": vmm.run,
    "hv_storvsc": hv_storvsc.run,
    # Both modules are measured at once.
    "hv_vmbus": hv_storvsc.run,
    "vmw_pvscsi": vmw_pvscsi.run,
    "vmw_balloon": vmw_balloon.run,
}

__all__ = ["WHAT", "rows"]
