// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/efi.h>
#include <linux/sysfb.h>

__rust_helper bool rust_helper_is_efi_boot(void)
{
	return efi_enabled(EFI_BOOT);
}

__rust_helper u32 rust_helper_sysfb_lfb_base(void)
{
	return IS_ENABLED(CONFIG_SYSFB) ? sysfb_primary_display.screen.lfb_base : 0;
}

__rust_helper u32 rust_helper_sysfb_lfb_size(void)
{
	return IS_ENABLED(CONFIG_SYSFB) ? sysfb_primary_display.screen.lfb_size : 0;
}
