// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/hyperv.h>
#include <linux/rcupdate.h>

__rust_helper void rust_helper_vmbus_channel_kfree_rcu(struct vmbus_channel *channel)
{
	kfree_rcu(channel, rcu);
}
