// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/workqueue.h>

__rust_helper void rust_helper_init_delayed_work(struct delayed_work *work, work_func_t run)
{
	INIT_DELAYED_WORK(work, run);
}
