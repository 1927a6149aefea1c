# SPDX-License-Identifier: GPL-2.0
"""The lab: runs the cases of tests/ inside guest machines.

cases.py     what a case file says about itself, and which machines follow
machine.py   one guest machine: driver, VMM, kernel, processors, disks
modules.py   kernel modules that a guest needs, in loading order
initramfs.py cpio archives and what goes into the guest's
debian.py    programs of Debian packages, with their libraries
iso.py       disc images
job.py       the steps around a guest, as a shell script: disks, VMM, checks
agent.sh     does outside what a guest asks for while it runs
cpu.py       this processor: does it run guests, how fast is its counter
backend.py   runs that script here, or in a nested machine (real KVM anywhere)
watch.py     follows a guest's console under time limits
ktap.py      results as the guest prints them
matrix.py    boots machines until every case has its verdict
vmm.py       command lines of the VMMs
guest.py     initial file system and command line of a guest
host.py      checks that need no guest: unit tests, formatting, lints
surface.py   compares what our driver and its C twin show to the outside
report.py    results as JSON, KTAP, one line, and the README's table
demo.py      guests of each hypervisor, and tables

The package uses nothing but Python's standard library and runs in the build
root; scripts/test and scripts/demo are its front doors.
"""
