# SPDX-License-Identifier: GPL-2.0
"""What a guest prints is understood, also when it is cut short."""

import unittest

from lab import ktap

BOOT = """\
[    0.012000] tsc: Unable to calibrate against PIT
[    3.413474] # guest release=7.3.4 cpus=1 boot=3.44
[    3.414081] KTAP version 1
[    3.428444] 1..2
[    3.434760] # case scsi/direct limit=60
[    3.672203] sd 0:0:0:0: Power-on or device reset occurred
[    3.707010]   ok 1 written
[    3.707011]   not ok 2 read back
[    3.707012]   # diskcheck: disk 0 block 7 sector 0 generation 2: stale
[    3.707013] not ok 1 scsi/direct\r
[    3.800000] # case scsi/reload limit=90
[    3.900000][   T12]   ok 1 loads
"""


def stream(text: str) -> ktap.Stream:
    """A stream that has seen the text."""
    seen = ktap.Stream()
    for second, line in enumerate(text.splitlines()):
        seen.feed(line, float(second))
    return seen


class Console(unittest.TestCase):
    """A whole boot."""

    def test_facts_and_start(self):
        seen = stream(BOOT)
        self.assertTrue(seen.started)
        self.assertFalse(seen.ended)
        self.assertEqual(seen.facts["release"], "7.3.4")

    def test_failed_case_names_subtest_and_reason(self):
        case = stream(BOOT).cases[0]
        self.assertFalse(case.result.ok)
        self.assertEqual([one.ok for one in case.subtests], [True, False])
        self.assertIn("read back: diskcheck: disk 0 block 7", case.failure())

    def test_case_without_result_is_running(self):
        seen = stream(BOOT)
        self.assertEqual(seen.running.name, "scsi/reload")
        self.assertEqual(seen.running.limit, 90)
        self.assertEqual([one.name for one in seen.running.subtests], ["loads"])

    def test_leaves_and_end(self):
        seen = stream("# leaves disk=2 form=ext4 generation=7\n# end\n")
        self.assertEqual(seen.leaves[2]["generation"], "7")
        self.assertTrue(seen.ended)

    def test_trouble_is_noticed(self):
        cases = {
            "[ 1.0] Kernel panic - not syncing: sysrq": "Kernel panic - not syncing: sysrq",
            "[ 1.0] Oops: int3: 0000 [#1] SMP": "Oops: int3: 0000 [#1] SMP",
            "[ 1.0] BUG: kernel NULL pointer dereference, address: 0": None,
        }
        for line, text in cases.items():
            with self.subTest(line=line):
                self.assertIsNotNone(stream(line).fatal)
                self.assertIn(text or "BUG", stream(line).fatal)
        self.assertIsNotNone(stream("watchdog: BUG: soft lockup - CPU#0 stuck").stalled)

    def test_what_is_shown_of_a_panic_is_around_it(self):
        before = [f"before {number}" for number in range(20)]
        report = [f"report {number}" for number in range(100)]
        scene = stream("\n".join([*before, "BUG: unable", *report])).scene
        self.assertEqual(scene[0], "before 12")
        self.assertEqual(scene[8:10], ["BUG: unable", "report 0"])
        self.assertEqual(len(scene), 48)


class Lines(unittest.TestCase):
    """Single lines."""

    def test_results(self):
        table = [
            ("ok 1 a/b", ktap.Result("a/b", True)),
            ("not ok 2 - name with words", ktap.Result("name with words", False)),
            ("    ok 3 deep", ktap.Result("deep", True, depth=2)),
            ("ok 4 x # SKIP no disks", ktap.Result("x", True, skip="no disks")),
            ("ok 5 x # SKIP", ktap.Result("x", True, skip="no reason given")),
            ("okay 1 x", None),
            ("ok x", None),
            ("# ok 1 x", None),
        ]
        for line, want in table:
            with self.subTest(line=line):
                self.assertEqual(ktap.result(line), want)

    def test_stamps(self):
        for line in ("[    3.4] x", "[12345.678901] x", "[    3.4][   T12] x", "x\r\n"):
            self.assertEqual(ktap.strip(line), "x")
        self.assertEqual(ktap.strip("[    3.4]   ok 1 x"), "  ok 1 x")
