# SPDX-License-Identifier: GPL-2.0
#
# One Rust module.  Its Kbuild says
#
#	module := NAME                        the .ko without its suffix
#	requires := CONFIG_A CONFIG_B         what the kernel must have (y or m)
#	excludes := CONFIG_C                  what it must not have; if at all
#	NAME-y := NAME_main.o                 crate roots
#	include $(srcroot)/rust/module.mk
#
# The crate root is compiled by Kbuild's own rule.  The functions of our library
# crates are instantiated in it; what can exist only once (statics, C functions)
# is taken from the archive of rust/Kbuild into NAME_support.o, as far as it is
# referred to.  So every module stands alone and holds nothing that it does not
# use.  `requires` and `excludes` are also read by scripts/check-kernel; a module
# whose requirements are not met is left out.

ifeq ($(filter-out y m,$(foreach c,$(requires),$(or $($(c)),n)))$(foreach c,$(excludes),$($(c))),)
obj-m += $(module).o
endif

$(module)-objects := $($(module)-y)
$(module)-y += $(module)_support.o

# The archive's members are chosen by the names that are still undefined.
quiet_cmd_ld_support = LD [M]  $@
      cmd_ld_support = $(LD) $(KBUILD_LDFLAGS) -r -o $@ \
	$$($(NM) -u $(filter-out %.a,$(real-prereqs)) | sed -n 's/^ *U /-u /p' | sort -u) \
	$(filter %.a,$(real-prereqs))

$(obj)/$(module)_support.o: $(addprefix $(obj)/,$($(module)-objects)) rust/support.a FORCE
	$(call if_changed,ld_support)
