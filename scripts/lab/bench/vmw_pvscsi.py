# SPDX-License-Identifier: GPL-2.0
"""Our vmw_pvscsi against its C twin, and our adapter against QEMU's."""

from __future__ import annotations

from . import vmm
from .emulated import PVSCSI, exits, instructions


def run(*how):
    """Measures everything."""
    return [*instructions(PVSCSI, *how), *exits(PVSCSI, *how), *vmm.requests("vmw_pvscsi", *how)]
