# SPDX-License-Identifier: GPL-2.0
"""Of a kernel's report the lines that say most are kept."""

import unittest

from lab.gist import LINES, gist, readable

REPORT = """\
  ok 7 load
BUG: unable to handle page fault for address: ffff8880ffff0000
#PF: supervisor read access in kernel mode
PGD 2a01067 P4D 2a01067 PUD 0
Oops: Oops: 0000 [#1] SMP
CPU: 0 UID: 0 PID: 211 Comm: diskcheck Not tainted 7.3.4
RIP: 0010:scsi_done+0x1c/0x90
Code: cc cc 0f 1f
RAX: 0000000000000001 RBX: ffff8880059b4900
Call Trace:
 <IRQ>
 ? sched_tick+0xdf/0x250
 _RINvNtNtCseSLRJN2QpH8_5guest6virtio6queues13used_callbackNtNtCs6Q_4main3hba3HbaEBX_+0x4c/0x77 [a]
 vring_interrupt+0x9e/0x140
 </IRQ>
 asm_common_interrupt+0x26/0x40
RIP: 0010:iowrite16+0x10/0x60""".splitlines()


class Gist(unittest.TestCase):
    """What is kept of a text."""

    def test_report(self):
        kept = gist(REPORT)
        self.assertEqual(kept[0], "  ok 7 load")
        self.assertEqual(kept[5], "RIP: 0010:scsi_done+0x1c/0x90")
        frame = " guest::virtio::queues::used_callback::main::hba::Hba+0x4c/0x77 [a]"
        self.assertEqual(kept[7], frame)
        self.assertFalse([line for line in kept if "sched_tick" in line or "RAX" in line])

    def test_other_text_keeps_its_end(self):
        text = [f"line {number}" for number in range(100)]
        self.assertEqual(gist(text), text[-LINES:])

    def test_names(self):
        self.assertEqual(readable("_RNvCs6Qly_4main3run"), "main::run")
        self.assertEqual(readable("_R"), "_R")
