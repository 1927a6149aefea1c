# SPDX-License-Identifier: GPL-2.0
"""Jobs, archives, comparisons and reports."""

import json
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

from lab import (backend, cases, cpu, debian, demo, guest, host, job, ktap, matrix, surface, table,
                 vmm, watch)
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
        self.assertIn("outside 1", text)
        self.assertNotIn("agent.sh", text)

    def test_script_listens_to_the_guest_if_asked(self):
        text = job.script(Machine(vmm="hospes"), ["vmm"], host=True)
        self.assertIn("vmm <input", text)
        self.assertIn("sh agent.sh hospes", text)

    def test_unprivileged_vmm(self):
        text = job.script(Machine(vmm="hospes"), ["vmm", "run"], user=1000)
        self.assertIn("chown -R 1000:1000 .", text)
        self.assertRegex(text, r"/usr/bin/setpriv --reuid=1000 .*--no-new-privs.* vmm run")

    def test_passed_through_disk_is_made_first(self):
        text = job.script(Machine(disks=Disks("1x1M+pass")), ["vmm"])
        self.assertLess(text.index("scsi_debug"), text.index("job: boot"))
        self.assertEqual(text.count("\noutside "), 1)

    def test_report_tells_what_was_done_outside(self):
        report = job.parse("host: add 2 -> 0 \n")
        self.assertEqual((report.host, report.other), (["add 2 -> 0 "], []))


class Commands(unittest.TestCase):
    """What starts a machine, and what its guest knows."""

    MACHINE = Machine("virtio_scsi", "rust", "hospes", "stock", 1,
                      Disks("1x4M+1x2M:slow:ro+1x2M:spare+cd+pass"))

    def test_hospes(self):
        words = vmm.command(self.MACHINE, vmm.Boot("k", "i", "a", host=True, words=("--x",)))
        self.assertEqual(words.count("--disk"), 2)
        self.assertIn("path=disk1,on=s0,target=0,lun=1,serial=DISK1,latency_ms=20,readonly", words)
        self.assertIn("path=cd.iso,on=s0,target=0,lun=3", words)
        self.assertIn("path=pass,on=s0,target=0,lun=4", words)
        self.assertIn("stdout,stdin", words)
        self.assertEqual(words[-1], "--x")

    def test_controller_of_another_hypervisor(self):
        machine = replace(self.MACHINE, module="hv_storvsc", driver="c", vcpus=4)
        words = vmm.command(machine, vmm.Boot("k", "i", "a"))
        self.assertIn("hyperv", words)
        self.assertIn("vmbus,id=s0,channels=4", words)
        disks = vmm.command(replace(machine, disks=Disks("257x64K")), vmm.Boot("k", "i", "a"))
        self.assertIn("path=disk254,on=s0,target=0,lun=254,serial=DISK254", disks)
        self.assertIn("path=disk256,on=s0,target=1,lun=1,serial=DISK256", disks)
        self.assertEqual(words.count("--disk"), 2)
        bus = vmm.command(replace(machine, module="hv_vmbus"), vmm.Boot("k", "i", "a"))
        self.assertEqual(bus, words)

    def test_other_controllers_of_that_hypervisor(self):
        machine = replace(self.MACHINE, module="hv_storvsc", disks=Disks("2x4M"), controller="fc")
        words = vmm.command(machine, vmm.Boot("k", "i", "a"))
        self.assertTrue(any(word.startswith("vmbus,id=s0,kind=fc,wwnn=") for word in words))
        self.assertIn("path=disk1,on=s0,target=0,lun=1,serial=DISK1", words)
        ide = replace(machine, controller="ide")
        words = vmm.command(ide, vmm.Boot("k", "i", "a"))
        self.assertIn("vmbus,id=s1,kind=ide,position=1", words)
        self.assertIn("path=disk1,on=s1,serial=DISK1", words)
        self.assertIn("CONTROLLER='ide'", guest.facts(ide))
        self.assertNotEqual(machine.slug, ide.slug)
        with self.assertRaises(ValueError):
            vmm.command(replace(ide, disks=Disks("3x4M")), vmm.Boot("k", "i", "a"))

    def test_controller_with_one_unit_a_target(self):
        machine = replace(self.MACHINE, module="vmw_pvscsi", disks=Disks("2x4M+1x2M:spare"))
        words = vmm.command(machine, vmm.Boot("k", "i", "a"))
        self.assertEqual(words[words.index("--personality") + 1], "vmware")
        self.assertIn("pvscsi,id=s0,max_target=7", words)
        self.assertIn("path=disk1,on=s0,target=1,lun=0,serial=DISK1", words)
        self.assertEqual(words.count("--disk"), 2)

    def test_qemu(self):
        machine = replace(self.MACHINE, vmm="qemu", disks=Disks("1x4M+1x2M:ro+cd"))
        words = vmm.command(machine, vmm.Boot("k", "i", "a"))
        self.assertIn("if=none,id=d1,format=raw,discard=unmap,file=disk1,readonly=on", words)
        self.assertTrue(any(word.startswith("scsi-cd,id=u2,") for word in words))
        with self.assertRaises(ValueError):
            vmm.command(replace(machine, disks=Disks("1x1M:pi1")), vmm.Boot("k", "i", "a"))

    def test_qemu_with_kvm(self):
        machine = Machine(module="hv_vmbus", vmm="qemu_kvm", vcpus=2)
        words = vmm.command(machine, vmm.Boot("k", "i", "a"))
        self.assertIn("vmbus-bridge", words)
        self.assertIn("hv-synic", words[words.index("-cpu") + 1])
        with self.assertRaises(ValueError):
            vmm.command(replace(machine, module="hv_storvsc"), vmm.Boot("k", "i", "a"))

    def test_facts(self):
        facts = guest.facts(self.MACHINE)
        for line in ("DISKS='2'", "SLOW='1'", "READ_ONLY='1'", "SPARES='2'", "CD_LUN='3'",
                     "PASS_LUN='4'", "SIZE_2='2097152'", "HOST=''"):
            self.assertIn(f"{line}\n", facts)


class Programs(unittest.TestCase):
    """Programs of a tree of Debian packages."""

    def test_libraries_come_along(self):
        found = {path.name for path in debian.closure(Path("/"), Path("/usr/bin/env"))}
        self.assertIn("libc.so.6", found)
        self.assertTrue(any(name.startswith("ld-linux") for name in found))

    def test_missing_program_is_an_error(self):
        with tempfile.TemporaryDirectory() as tree, self.assertRaises(LookupError):
            debian.add_programs(Archive(), Path(tree), ["sg_*"])
        with self.assertRaises(LookupError):
            debian.add_programs(Archive(), None, ["sg_*"])


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
        again = [Verdict("a", True, repeated="why"), Verdict("b", True)]
        self.assertEqual(Summary(again, {}).line(), "2 passed, 0 failed, 1 repeated")

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

    def test_balloon_of_the_demonstration(self):
        said = ["# shown balloon=0 vmm=480", "# shown disks=0 path=direct wrote rate=1.0MiB/s",
                "# shown balloon=200 vmm=281"]
        self.assertEqual(demo.balloon(said), ["balloon  the VMM's resident size",
                                              "0 MiB    480 MiB", "200 MiB  281 MiB"])
        self.assertEqual(demo.balloon(said[1:2]), [])

    def test_cargo_lines(self):
        text = "test a::b ... ok\ntest c - d (line 3) ... FAILED\ntest result: ok. 1 passed\n"
        found = host.results(host._CARGO_TEST, text)
        self.assertEqual([(one.name, one.ok) for one in found],
                         [("a::b", True), ("c - d (line 3)", False)])


class Counter(unittest.TestCase):
    """The time stamp counter's rate."""

    def test_plausible(self):
        self.assertGreater(cpu.tsc_khz(0.01), 500_000)


class Patience(unittest.TestCase):
    """When a machine is given up."""

    LIMITS = watch.Limits(word=10, boot=20, case=5, end=30, total=100)

    def _over(self, lines: list[str], said: int, total: float, unchanged: float) -> str | None:
        stream = ktap.Stream()
        for line in lines:
            stream.feed(line, 0.0)
        return watch._over(stream, self.LIMITS, said, total, unchanged)

    def test_silence_is_given_up_earlier_than_a_slow_boot(self):
        self.assertIn("did not say a word", self._over([], 0, 11, 11))
        self.assertIsNone(self._over([], 1, 11, 11))
        self.assertIn("no guest", self._over([], 1, 21, 21))

    def test_a_case_has_its_own_limit(self):
        lines = ["KTAP version 1", "# case g/a limit=60"]
        self.assertIsNone(self._over(lines, 1, 70, 64))
        self.assertIn("no result", self._over(lines, 1, 70, 66))
        self.assertIn("ran for more", self._over(lines, 1, 101, 1))


class Again(unittest.TestCase):
    """A nested guest that stops without a word gets a second boot, and no third."""

    MACHINE = Machine("m", "rust", "hospes")
    CASES = [cases.Case("g/a", Path("a"), "a", (MACHINE,)),
             cases.Case("g/b", Path("b"), "b", (MACHINE,))]

    def _run(self, *boots: list[str], nested: bool = True) -> list[Verdict]:
        """The verdicts if the guests' consoles hold this, one boot after another."""
        runner = matrix.Runner(None, Path("/nonexistent"), mock.Mock(), 1)
        with tempfile.TemporaryDirectory() as directory:
            runner.out = Path(directory)
            boots = [self._attempt(Path(directory), lines, nested) for lines in boots]
            runner.attempt = mock.Mock(side_effect=boots)
            boot = cases.Boot(self.MACHINE, self.CASES)
            (Path(directory) / boot.slug).mkdir()
            for number in range(2, 5):
                (Path(directory) / f"{boot.slug}.{number}").mkdir()
            return list(runner._until_decided(boot))

    def _attempt(self, directory: Path, lines: list[str], nested: bool) -> matrix.Attempt:
        stream = ktap.Stream()
        for line in lines:
            stream.feed(line, 0.0)
        ended = "# end" in lines
        (directory / "vmm.log").touch()
        report = replace(job.parse(""), booted=True, ended=ended, status=0 if ended else None)
        session = backend.Session(None, directory, nested)
        killed = None if ended else "no result"
        return matrix.Attempt(stream, report, killed, session, 1.0, [])

    FIRST = ["KTAP version 1", "# case g/a limit=60"]
    SECOND = ["KTAP version 1", "# case g/b limit=60"]
    DONE = ["KTAP version 1", "# case g/a limit=60", "ok 1 g/a", "# case g/b limit=60",
            "ok 2 g/b", "# end"]

    def test_second_boot_decides(self):
        first, second = self._run(self.FIRST, self.DONE)
        self.assertEqual((first.ok, first.repeated, second.ok, second.repeated),
                         (True, "no result", True, ""))

    def test_two_silences_are_a_failure(self):
        first, second = self._run(self.FIRST, self.FIRST, [*self.SECOND, "ok 1 g/b", "# end"])
        self.assertEqual((first.ok, second.ok, second.repeated), (False, True, ""))

    def test_a_guest_that_says_why_has_failed(self):
        oops = "BUG: kernel NULL pointer dereference, address: 0000000000000000"
        first, second = self._run([*self.FIRST, oops], [*self.SECOND, "ok 1 g/b", "# end"])
        self.assertEqual((first.ok, first.repeated, second.ok), (False, "", True))

    def test_a_guest_that_lives_to_see_its_time_over_has_failed(self):
        spoke = [*self.FIRST, "# timeout: 60 s are over; tasks that wait in the kernel follow"]
        first, second = self._run(spoke, [*self.SECOND, "ok 1 g/b", "# end"])
        self.assertEqual((first.ok, first.repeated, second.ok), (False, "", True))

    def test_only_nested_ones(self):
        first, second = self._run(self.FIRST, [*self.SECOND, "ok 1 g/b", "# end"], nested=False)
        self.assertEqual((first.ok, second.ok), (False, True))


class Blame(unittest.TestCase):
    """Whose fault it is that a nested guest has died."""

    def _blame(self, nested: bool, said: str) -> str | None:
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "vmm.log").write_text(said)
            (Path(directory) / "console").write_text("up\n")
            session = backend.Session(None, Path(directory), nested)
            report = replace(job.parse(""), booted=True)
            return matrix.Attempt(ktap.Stream(), report, None, session, 1.0, []).lab_death

    def test_kvm_that_gives_up(self):
        said = "hospes: error: vCPU 0: KVM could not go on: internal error 3, an exit\n"
        self.assertIn("internal error 3", self._blame(True, said))
        self.assertIsNone(self._blame(False, said))

    def test_a_vmm_that_fails(self):
        self.assertIsNone(self._blame(True, "hospes: error: disk0: no such file\n"))
