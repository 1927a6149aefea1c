# SPDX-License-Identifier: GPL-2.0
#
# `make help` says what there is.  Two ways lead to the modules:
#
#   make modules           for the kernels of the cache, in the build root
#   make KDIR=/a/kernel    for any other tree, with the tools in PATH

KERNEL ?= stock lab
# Settings travel in the environment: the scripts know which of them Kbuild or
# cargo is to be told, whatever else was said on the command line.
export KDIR O MO V W LLVM CLIPPY MODULE INSTALL_MOD_PATH INSTALL_MOD_DIR T
# Tools only from the command line: many an environment has a CC that is not
# meant for kernels, which is why Kbuild does not look there either.
tools := $(strip $(foreach tool,CC LD AR NM OBJCOPY OBJDUMP READELF STRIP HOSTCC HOSTRUSTC,\
	$(if $(findstring command,$(origin $(tool))),$(tool)='$($(tool))')))
MAKEOVERRIDES =
MAKEFLAGS += --no-print-directory

PHONY := all help modules modules_install check-kernel clean rust-analyzer

ifneq ($(KDIR),)

all: modules

modules modules_install: check-kernel
	+@scripts/kbuild $@ $(tools)

clean:
	+@scripts/kbuild $@ $(tools)

rust-analyzer: check-kernel
	+@scripts/rust-analyzer

check-kernel:
	@scripts/check-kernel "$(or $(O),$(KDIR))"

else

all: help

modules modules_install check-kernel:
	@scripts/modules $(KERNEL) -- $@

# One kernel is enough for an editor.
rust-analyzer:
	@scripts/modules $(firstword $(KERNEL)) -- $@

clean:
	rm -rf out rust-project.json

endif

# Both halves of the project, for whoever changes it
# ---------------------------------------------------------------------------

PHONY += demo test test-long fuzz bench table vmm buildroot kernels clippy rustfmt rustfmtcheck

demo:
	@scripts/demo

bench:
	@scripts/bench $(T)

test:
	@scripts/test $(T)

test-long:
	@scripts/test --long $(T)

fuzz:
	@scripts/fuzz "$(T)" $(RUNS)

table:
	@scripts/table

vmm:
	@scripts/vmm build

buildroot:
	@scripts/buildroot path

kernels:
	@for kernel in $(KERNEL); do scripts/buildroot run scripts/kernel-tree $$kernel || exit; done

clippy:
	@CLIPPY=1 W=e scripts/modules $(KERNEL)
	@scripts/vmm cargo clippy --workspace --all-targets -- -D warnings
	@scripts/vmm cargo clippy --manifest-path fuzz/Cargo.toml --locked -- -D warnings

# protocol/ and vmm/ are formatted by cargo.
kernel_sources = $(sort $(shell find rust drivers samples bench -name '*.rs' 2>/dev/null))

rustfmt rustfmtcheck: check = $(if $(filter rustfmtcheck,$@),--check)
rustfmt rustfmtcheck:
	@scripts/buildroot run rustfmt $(check) $(kernel_sources)
	@scripts/vmm cargo fmt --all -- $(check)
	@scripts/vmm cargo fmt --manifest-path fuzz/Cargo.toml -- $(check)

help:
	@sed -n '/^#: /s///p; /^#:$$/s/.*//p' Makefile

#: Hospes: guest drivers in Rust, and a VMM to test them
#:
#: Whole
#:   bench T=...      our drivers against their C twins, our VMM against QEMU
#:   demo             from nothing to guests on our VMM with their disks on our drivers
#:   test             everything, one verdict; T=NAME runs one case
#:   test-long        the same with the debug kernel and all that takes long
#:   fuzz             fuzz targets: T="requests cdbs pci control vmbus storvsp hyperv pvscsi adapter vmware", RUNS=10000000 of each
#:   table            put the last test's results into README.md
#:
#: Modules for the kernels of the cache (KERNEL="stock lab"), in the build root
#:   modules          to out/modules/KERNEL
#:   modules_install  to updates/ below INSTALL_MOD_PATH
#:   check-kernel     what a kernel tree lacks for our modules
#:   rust-analyzer    rust-project.json for an editor
#:   clean            removes out/
#:
#: Modules for any other kernel tree: make KDIR=/path/to/kernel [TARGET]
#:   TARGET           modules (the default), modules_install, check-kernel,
#:                    rust-analyzer, clean
#:   O=DIR            build directory of the kernel, if it is not KDIR itself
#:   MO=DIR           where to put what is built (default: out/modules/RELEASE)
#:   V=1              show the commands; V=2 the reasons
#:   W=e              warnings are errors
#:   LLVM=1           for a kernel that was built so
#:   CLIPPY=1         with clippy's lints
#:   RUSTC=, BINDGEN= other programs than those in PATH
#:   MODULE=NAME      fail if the kernel lacks what this module requires
#:   INSTALL_MOD_PATH=DIR, INSTALL_MOD_DIR=updates
#:                    modules_install: root of the file system, place in it
#:
#: For developers
#:   vmm              the static binaries hospes and diskcheck; prints their directory
#:   clippy           lints of modules and VMM
#:   rustfmt, rustfmtcheck
#:                    format all Rust sources, or say what is not formatted
#:   buildroot        make the build root (scripts/buildroot run CMD enters it)
#:   kernels          make the kernel trees of the cache
#:
#: The cache is HOSPES_CACHE (default: ~/.cache/hospes).

.PHONY: $(PHONY)
