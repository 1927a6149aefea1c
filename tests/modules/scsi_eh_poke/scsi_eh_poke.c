// SPDX-License-Identifier: GPL-2.0
/*
 * scsi_eh_poke: abort commands of a SCSI host that are in flight.  For tests.
 *
 *	insmod scsi_eh_poke.ko host=0 count=100
 *	cat /sys/module/scsi_eh_poke/parameters/{aborted,failed,idle}
 *	rmmod scsi_eh_poke
 *
 * A driver that never lets a command time out (virtio_scsi) is never asked to
 * abort one, so its abort handler goes untested.  This module asks it, the way
 * the error handling of the SCSI layer does: it takes a command, so that its
 * completion is ignored; waits until it has been dispatched; calls the abort
 * handler; and has the command carried out again.  So whoever issued it only
 * sees that it took longer, and data can be verified meanwhile.
 *
 * Loading does all of it and returns when it is done.  Limits:
 * - A command whose abort failed stays where it is, as nobody may end it; the
 *   host cannot be removed any more.  That counts as the failure of a test.
 * - No device of the host may be removed meanwhile.
 * - On a fast disk the command has often been completed before it is aborted.
 *   That is tested, too, but for aborts that hit, the disk should be slow.
 * - Resets are not for this module: ioctl(SG_SCSI_RESET) asks for them.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <scsi/scsi.h>
#include <scsi/scsi_cmnd.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

static unsigned int host;
module_param(host, uint, 0444);
MODULE_PARM_DESC(host, "Number of the SCSI host");

static unsigned int count = 1;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "How many commands to abort");

static unsigned int wait_ms = 1000;
module_param(wait_ms, uint, 0444);
MODULE_PARM_DESC(wait_ms, "How long to wait for a command to be in flight");

static unsigned int aborted;
module_param(aborted, uint, 0444);
MODULE_PARM_DESC(aborted, "Result: handler said SUCCESS");

static unsigned int failed;
module_param(failed, uint, 0444);
MODULE_PARM_DESC(failed, "Result: handler said anything else");

static unsigned int idle;
module_param(idle, uint, 0444);
MODULE_PARM_DESC(idle, "Result: no command was in flight in time");

/*
 * Takes the first command that is in flight and not complete.  Saying that it
 * is enough ends only the visit to one hardware queue.
 */
static bool take(struct scsi_cmnd *cmd, void *data)
{
	struct scsi_cmnd **taken = data;

	if (*taken)
		return false;
	if (!test_bit(SCMD_STATE_INFLIGHT, &cmd->state) ||
	    test_and_set_bit(SCMD_STATE_COMPLETE, &cmd->state))
		return true;
	*taken = cmd;
	return false;
}

static struct scsi_cmnd *wait_for_command(struct Scsi_Host *shost)
{
	struct scsi_cmnd *cmd = NULL;
	unsigned int ms;

	for (ms = 0; !cmd && ms < wait_ms; ms++) {
		scsi_host_busy_iter(shost, take, &cmd);
		if (!cmd)
			usleep_range(500, 1000);
	}
	return cmd;
}

/*
 * A device whose command is carried out again is left alone until its other
 * commands are done.  The error handling runs the queues afterwards; this
 * module cannot, so it has devices not left alone.
 */
static void set_blocking(struct Scsi_Host *shost, unsigned int turns)
{
	struct scsi_device *sdev;

	shost_for_each_device(sdev, shost)
		sdev->max_device_blocked = turns;
}

static void poke(struct Scsi_Host *shost)
{
	struct scsi_cmnd *cmd = wait_for_command(shost);

	if (!cmd) {
		idle++;
		return;
	}
	/* Commands are dispatched under the RCU read lock: wait for that to end. */
	synchronize_rcu();
	if (shost->hostt->eh_abort_handler(cmd) != SUCCESS) {
		failed++;
		return;
	}
	aborted++;
	cmd->result = DID_REQUEUE << 16;
	clear_bit(SCMD_STATE_COMPLETE, &cmd->state);
	scsi_done(cmd);
}

static int __init scsi_eh_poke_init(void)
{
	struct Scsi_Host *shost = scsi_host_lookup(host);
	int err = 0;
	unsigned int i;

	if (!shost)
		return -ENODEV;
	if (!try_module_get(shost->hostt->module)) {
		err = -ENODEV;
		goto put_host;
	}
	if (shost->hostt->eh_abort_handler) {
		set_blocking(shost, 0);
		for (i = 0; i < count; i++)
			poke(shost);
		/* The last command goes its way in a softirq. */
		msleep(20);
		set_blocking(shost, SCSI_DEFAULT_DEVICE_BLOCKED);
		pr_info("scsi_eh_poke: host%u: %u aborted, %u failed, %u idle\n",
			host, aborted, failed, idle);
	} else {
		err = -EOPNOTSUPP;
	}
	module_put(shost->hostt->module);
put_host:
	scsi_host_put(shost);
	return err;
}
module_init(scsi_eh_poke_init);

/* Nothing is left to be undone, but without this it could not be unloaded. */
static void __exit scsi_eh_poke_exit(void)
{
}
module_exit(scsi_eh_poke_exit);

MODULE_DESCRIPTION("Aborts commands of a SCSI host that are in flight");
MODULE_LICENSE("GPL");
