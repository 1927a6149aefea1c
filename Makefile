# SPDX-License-Identifier: GPL-2.0
#
# `make help` says what there is.  Two ways lead to the modules:
#
#   make modules           for the kernels of the cache, in the build root
#   make KDIR=/a/kernel    for any other tree, with the tools in PATH

KERNEL ?= stock lab
export O MO V W LLVM CLIPPY MODULE INSTALL_MOD_PATH INSTALL_MOD_DIR

ifneq ($(KDIR),)
export KDIR
# Only what Kbuild is told by scripts/kbuild reaches it.
MAKEOVERRIDES =

all: modules

modules: check-kernel
	+@scripts/kbuild modules

modules_install clean:
	+@scripts/kbuild $@

check-kernel:
	@scripts/check-kernel "$(or $(O),$(KDIR))"
else
all: help

modules modules_install clean:
	@scripts/modules $(KERNEL) -- $@
endif
