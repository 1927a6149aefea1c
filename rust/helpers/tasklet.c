// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/interrupt.h>

__rust_helper void rust_helper_tasklet_schedule(struct tasklet_struct *t)
{
	tasklet_schedule(t);
}

__rust_helper void rust_helper_tasklet_disable(struct tasklet_struct *t)
{
	tasklet_disable(t);
}

__rust_helper void rust_helper_tasklet_enable(struct tasklet_struct *t)
{
	tasklet_enable(t);
}
