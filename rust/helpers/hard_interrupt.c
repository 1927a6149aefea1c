// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/lockdep.h>

/*
 * The vector of the hypervisor is never handled by a thread: lockdep is told that
 * spinlocks may be taken all the same, on kernels where they do not sleep.
 */
static DEFINE_WAIT_OVERRIDE_MAP(hard_interrupt_map, LD_WAIT_CONFIG);

__rust_helper void rust_helper_hard_interrupt_enter(void)
{
	lock_map_acquire_try(&hard_interrupt_map);
}

__rust_helper void rust_helper_hard_interrupt_leave(void)
{
	lock_map_release(&hard_interrupt_map);
}
