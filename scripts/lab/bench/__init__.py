# SPDX-License-Identifier: GPL-2.0
"""Measurements: our drivers against their C twins, our VMM against QEMU.

`virtio_scsi` and `vmm` are what can be measured; `machines` starts what is
measured, `counts` reads what was counted, `marks` makes the programs by which a
guest says what it is doing, `rows` is the result.
"""

from __future__ import annotations

from . import rows, virtio_scsi, vmm

WHAT = {
    "virtio_scsi": virtio_scsi.run,
    # The parts of that, for whoever changes the driver.
    "virtio_scsi_instructions": virtio_scsi.instructions,
    "virtio_scsi_exits": virtio_scsi.exits,
    "vmm": vmm.run,
}

__all__ = ["WHAT", "rows"]
