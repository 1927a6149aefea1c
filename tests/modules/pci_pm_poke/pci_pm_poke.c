// SPDX-License-Identifier: GPL-2.0
/*
 * Suspends the PCI function of a SCSI host and wakes it up again, for machines
 * that nothing would wake: what the PM core and the PCI core do to the SCSI devices
 * and to the function, in the same order, and nothing to the rest of the machine.
 *
 * Loading it does so `count` times; it fails with what the driver says, or with
 * EOPNOTSUPP if the driver cannot be suspended.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/pci.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>

static unsigned int host;
module_param(host, uint, 0444);
MODULE_PARM_DESC(host, "Number of the SCSI host");

static unsigned int count = 1;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "How often");

static int sleep_and_wake(struct pci_dev *pdev, const struct dev_pm_ops *pm)
{
	int error = pm->suspend(&pdev->dev);

	if (error)
		return error;
	pci_save_state(pdev);
	pci_set_power_state(pdev, PCI_D3hot);
	msleep(100);
	pci_set_power_state(pdev, PCI_D0);
	pci_restore_state(pdev);
	return pm->resume(&pdev->dev);
}

static int sleep_once(struct Scsi_Host *shost, struct pci_dev *pdev)
{
	const struct dev_pm_ops *pm = pdev->dev.driver ? pdev->dev.driver->pm : NULL;
	struct scsi_device *sdev;
	int error;

	if (!pm || !pm->suspend || !pm->resume)
		return -EOPNOTSUPP;
	shost_for_each_device(sdev, shost)
		scsi_device_quiesce(sdev);
	error = sleep_and_wake(pdev, pm);
	shost_for_each_device(sdev, shost)
		scsi_device_resume(sdev);
	return error;
}

static int __init pci_pm_poke_init(void)
{
	struct Scsi_Host *shost = scsi_host_lookup(host);
	struct device *parent;
	int error = 0;

	if (!shost)
		return -ENODEV;
	parent = shost->shost_gendev.parent;
	if (!dev_is_pci(parent)) {
		scsi_host_put(shost);
		return -EINVAL;
	}
	while (count-- && !error)
		error = sleep_once(shost, to_pci_dev(parent));
	scsi_host_put(shost);
	return error;
}

static void __exit pci_pm_poke_exit(void)
{
}

module_init(pci_pm_poke_init);
module_exit(pci_pm_poke_exit);

MODULE_DESCRIPTION("Suspends a SCSI host on PCI, for tests");
MODULE_LICENSE("GPL");
