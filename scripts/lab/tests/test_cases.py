# SPDX-License-Identifier: GPL-2.0
"""Headers, matrices and boots."""

import tempfile
import unittest
from pathlib import Path

from lab import cases
from lab.machine import Disks, Machine

ROOT = Path(__file__).resolve().parents[3]

HEADER = """\
# SPDX-License-Identifier: GPL-2.0
#
# It works,
# always.
#
# machine: module=m driver=rust,c vmm=hospes,qemu kernel=stock vcpus=1,4 disks=2x8M+1x4M:slow
# machine: module=m driver=rust vmm=qemu kernel=lab disks=64x1M
# limit: 90

# not: read
"""


def parse(text: str, name: str = "group/name") -> cases.Case:
    """A case with this text."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "case.sh"
        path.write_text(text)
        return cases.parse(path, name)


class Headers(unittest.TestCase):
    """What a case file says."""

    def test_matrix_is_every_combination(self):
        case = parse(HEADER)
        self.assertEqual(case.title, "It works, always.")
        self.assertEqual(case.limit, 90)
        self.assertEqual(len(case.machines), 9)
        self.assertEqual(len(set(case.machines)), 9)
        self.assertIn(
            Machine("m", "rust", "hospes", "stock", 4, Disks("2x8M+1x4M:slow")), case.machines
        )

    def test_mistakes_are_named(self):
        table = {
            "# machine: vmm=qemu\n": "no sentence",
            "# Words.\n": "no machine",
            "# Words.\n# machine: vmm=xen\n": "vmm=xen",
            "# Words.\n# machine: colour=red\n": "colour=red",
            "# Words.\n# machine: disks=big\n": "'big'",
            "# Words.\n# machine: disks=1x1M:odd\n": "'1x1M:odd'",
            "# Words.\n# machine: disks=cd+1x1M\n": "come after",
            "# Words.\n# machine: set=huge\n": "set=huge",
            "# Words.\n# machine: vmm=qemu\n# set: huge\n": "set=huge",
        }
        for text, word in table.items():
            with self.subTest(text=text), self.assertRaisesRegex(cases.HeaderError, word):
                parse(text)

    def test_case_that_ends_its_machine_is_alone(self):
        self.assertTrue(parse("# Words.\n# machine: vmm=hospes\n# exit: reset\n").alone)
        for line in ("cmdline: x", "hospes: --log warn", "qemu: -x", "user: 1000", "vmm-limit: 5"):
            self.assertTrue(parse(f"# Words.\n# machine: vmm=hospes\n# {line}\n").alone)
        self.assertFalse(parse("# Words.\n# machine: vmm=hospes\n").alone)

    def test_all_cases_of_the_tree_parse(self):
        self.assertGreater(len(cases.load(ROOT / "tests")), 10)


class Boots(unittest.TestCase):
    """Which cases share a machine."""

    def test_same_machine_same_boot(self):
        text = "# Words.\n# machine: vmm=qemu,hospes\n"
        one, two = parse(text, "g/one"), parse(text + "# order: first\n", "g/two")
        boots = cases.boots(cases.select([one, two], ""))
        self.assertEqual([boot.machine.vmm for boot in boots], ["hospes", "qemu"])
        self.assertEqual([case.name for case in boots[0].cases], ["g/two", "g/one"])

    def test_selection(self):
        case = parse(HEADER)
        table = {
            "": 9, "name": 9, "group/name": 9, "group": 9, "m": 9, "n*": 9, "other": 0,
            "name@*-lab-*": 1, "@*-rust-*": 5, "name@m-c-*": 4, "other,name@*-lab-*": 1,
        }
        for pattern, count in table.items():
            with self.subTest(pattern=pattern):
                self.assertEqual(len(cases.select([case], pattern)), count)


    def test_long_ones_are_asked_for(self):
        text = "# Words.\n# machine: vmm=qemu\n# machine: vmm=hospes set=long\n"
        some, every = parse(text), parse(text + "# set: long\n")
        for case, short, long in ((some, 1, 2), (every, 0, 2)):
            self.assertEqual(len(cases.select([case], "")), short)
            self.assertEqual(len(cases.select([case], "", long=True)), long)


class DiskTexts(unittest.TestCase):
    """The short way of writing units."""

    def test_numbers_run_on(self):
        disks = Disks("2x8M+1x4M:slow").disks
        self.assertEqual([disk.number for disk in disks], [0, 1, 2])
        self.assertEqual([disk.size >> 20 for disk in disks], [8, 8, 4])
        self.assertEqual([disk.slow for disk in disks], [False, False, True])
        self.assertEqual(len(Disks("64x1M")), 64)
        self.assertEqual(Disks("none").units, [])

    def test_what_a_driver_finds(self):
        disks = Disks("2x1M:ro:pi1+1x1M:spare+cd+pass")
        self.assertEqual(len(disks), 2)
        self.assertEqual([unit.number for unit in disks.attached], [0, 1, 3, 4])
        self.assertEqual([unit.kind for unit in disks.units][2:], ["disk", "cd", "pass"])
        self.assertTrue(disks.units[1].readonly)
        self.assertEqual([unit.protection for unit in disks.units], [1, 1, 0, 0, 0])
        self.assertTrue(disks.has("cd"))
