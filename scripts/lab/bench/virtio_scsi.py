# SPDX-License-Identifier: GPL-2.0
"""Our virtio_scsi against its C twin."""

from __future__ import annotations

from functools import partial

from .emulated import VIRTIO_SCSI, exits, instructions

INSTRUCTIONS = partial(instructions, VIRTIO_SCSI)
EXITS = partial(exits, VIRTIO_SCSI)


def run(*how):
    """Measures everything."""
    return [*INSTRUCTIONS(*how), *EXITS(*how)]
