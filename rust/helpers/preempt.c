// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/preempt.h>
#include <linux/smp.h>

__rust_helper void rust_helper_preempt_disable(void)
{
	preempt_disable();
}

__rust_helper unsigned int rust_helper_get_cpu(void)
{
	return get_cpu();
}

__rust_helper void rust_helper_preempt_enable(void)
{
	preempt_enable();
}
