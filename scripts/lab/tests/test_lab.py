# SPDX-License-Identifier: GPL-2.0
"""Jobs, archives, comparisons and reports."""

import json
import tempfile
import unittest
from pathlib import Path

from lab import cpu, host, job, surface, table
from lab.initramfs import Archive
from lab.machine import Disks, Machine
from lab.report import Summary, Verdict


class Jobs(unittest.TestCase):
    """The steps around a guest."""

    def test_report_as_far_as_it_came(self):
        report = job.parse("job: start\njob: boot\njob: status=34\noutside disk=1 form=raw x y\n"
                           'counters: {"a": 1}\nodd\n')
        self.assertEqual((report.started, report.booted, report.ended), (True, True, False))
        self.assertEqual(report.status, 34)
        self.assertEqual(report.outside, {1: "form=raw x y"})
        self.assertEqual(report.counters, {"a": 1})
        self.assertEqual(report.other, ["odd"])

    def test_script_quotes_its_command(self):
        text = job.script(Machine(disks=Disks("2x8M")), ["vmm", "a b", "$c"])
        self.assertIn("vmm 'a b' '$c' </dev/null", text)
        self.assertIn("fill 1 8388608 ||", text)


class Archives(unittest.TestCase):
    """cpio."""

    def test_entries_are_aligned_and_parents_made_once(self):
        archive = Archive()
        archive.add("a/b/one", b"12345", 0o755)
        archive.add("a/b/two", "text")
        data = archive.finish()
        names = []
        at = 0
        while True:
            self.assertEqual(data[at : at + 6], b"070701")
            fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
            name = data[at + 110 : at + 110 + fields[11] - 1].decode()
            names.append(name)
            if name == "TRAILER!!!":
                break
            at = (at + 110 + fields[11] + 3) // 4 * 4
            at = (at + fields[6] + 3) // 4 * 4
        self.assertEqual(names, ["dev", "dev/console", "a", "a/b", "a/b/one", "a/b/two",
                                 "TRAILER!!!"])


class Surfaces(unittest.TestCase):
    """Ours against the C twin's."""

    def test_difference_is_named(self):
        def listing(driver, line):
            return Verdict("g/names", True, machine=Machine("m", driver),
                           lines=["  # surface host: a = 1", f"  # surface host: b = {line}"])

        (same,) = surface.compare([listing("rust", "2"), listing("c", "2")])
        self.assertTrue(same.ok)
        (other,) = surface.compare([listing("rust", "3"), listing("c", "2")])
        self.assertFalse(other.ok)
        self.assertEqual(other.reason, "only ours: host: b = 3; only the twin's: host: b = 2")
        self.assertEqual(surface.compare([listing("rust", "2")]), [])


class Reports(unittest.TestCase):
    """Last line, KTAP, table."""

    def test_last_line(self):
        verdicts = [Verdict("a", True), Verdict("b", False), Verdict("c", True, skip="why")]
        self.assertEqual(Summary(verdicts, {}).line(), "1 passed, 1 failed, 1 skipped")
        self.assertEqual(Summary(verdicts[:1], {}).line(), "1 passed, 0 failed")
        self.assertTrue(Summary([], {}).failed)

    def test_table_between_markers(self):
        verdicts = [Verdict("g/a", ok, machine=Machine("m", driver, "qemu"))
                    for driver, ok in (("rust", True), ("c", True), ("c", False))]
        with tempfile.TemporaryDirectory() as directory:
            Summary(verdicts, {"kvm": "nested"}).write(Path(directory))
            text = table.render(Path(directory) / "results.json")
            self.assertIn("| `m`, C twin | not run | not run | 1 of 2 | not run |", text)
            readme = Path(directory) / "README.md"
            readme.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
            table.update(readme, text)
            table.update(readme, text)
            self.assertEqual(readme.read_text(),
                             f"before\n{table.BEGIN}\n{text}\n{table.END}\nafter\n")
            json.loads((Path(directory) / "results.json").read_text())

    def test_cargo_lines(self):
        text = "test a::b ... ok\ntest c - d (line 3) ... FAILED\ntest result: ok. 1 passed\n"
        found = host.results(host._CARGO_TEST, text)
        self.assertEqual([(one.name, one.ok) for one in found],
                         [("a::b", True), ("c - d (line 3)", False)])


class Counter(unittest.TestCase):
    """The time stamp counter's rate."""

    def test_plausible(self):
        self.assertGreater(cpu.tsc_khz(0.01), 500_000)
