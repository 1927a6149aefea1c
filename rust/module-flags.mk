# SPDX-License-Identifier: GPL-2.0
#
# Included by the topmost Kbuild of a directory of modules: lets every crate
# below it name the crates that rust/Kbuild builds.  Paths are relative to the
# output directory, which is where Kbuild works.

subdir-rustflags-y += -L rust --extern guest --extern protocol
