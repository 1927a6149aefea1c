# SPDX-License-Identifier: GPL-2.0
#
# Included by the topmost Kbuild of a directory of modules: lets every crate
# below it name the crates that rust/Kbuild builds.  Paths are relative to the
# output directory, which is where Kbuild works.

subdir-rustflags-y += -L rust --extern guest --extern protocol

# A crate keeps every function that another crate could call, and no other crate
# calls a driver's: a copy beside the inlined ones is left out that way.
subdir-rustflags-y += -Zcross-crate-inline-threshold=always

# For size, as a driver's paths are mostly calls into the kernel: a tenth of the
# text.  At this level rustc would share generic functions between crates, and
# hence keep all of them.
subdir-rustflags-y += -Copt-level=s -Zshare-generics=n

# Messages and names of locks do not say where somebody has built the module.
subdir-rustflags-y += --remap-path-prefix=$(abspath $(srcroot))/= -Zremap-path-scope=macro
