// SPDX-License-Identifier: GPL-2.0
/*
 * Suspends the virtio device of a SCSI host and wakes it up again, for machines
 * that nothing would wake: what the PM core does to the SCSI devices and to the
 * virtio device, in the same order, and nothing to the rest of the machine.
 *
 * Loading it does so `count` times; it fails with what the driver says.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/virtio.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

static unsigned int host;
module_param(host, uint, 0444);
MODULE_PARM_DESC(host, "Number of the SCSI host");

static unsigned int count = 1;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "How often");

static int sleep_once(struct Scsi_Host *shost, struct virtio_device *vdev)
{
	struct scsi_device *sdev;
	int error;

	shost_for_each_device(sdev, shost)
		scsi_device_quiesce(sdev);
	error = virtio_device_freeze(vdev);
	if (!error) {
		msleep(100);
		error = virtio_device_restore(vdev);
	}
	shost_for_each_device(sdev, shost)
		scsi_device_resume(sdev);
	return error;
}

static int __init virtio_pm_poke_init(void)
{
	struct Scsi_Host *shost = scsi_host_lookup(host);
	struct device *parent;
	int error = 0;

	if (!shost)
		return -ENODEV;
	parent = shost->shost_gendev.parent;
	if (!is_virtio_device(parent)) {
		scsi_host_put(shost);
		return -EINVAL;
	}
	while (count-- && !error)
		error = sleep_once(shost, dev_to_virtio(parent));
	scsi_host_put(shost);
	return error;
}

static void __exit virtio_pm_poke_exit(void)
{
}

module_init(virtio_pm_poke_init);
module_exit(virtio_pm_poke_exit);

MODULE_DESCRIPTION("Suspends a virtio SCSI host, for tests");
MODULE_LICENSE("GPL");
