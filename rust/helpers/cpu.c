// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/cpumask.h>
#include <linux/sched/isolation.h>
#include <linux/topology.h>

__rust_helper unsigned int rust_helper_num_online_cpus(void)
{
	return num_online_cpus();
}

__rust_helper unsigned int rust_helper_num_present_cpus(void)
{
	return num_present_cpus();
}

__rust_helper int rust_helper_cpu_to_node(int cpu)
{
	return cpu_to_node(cpu);
}

__rust_helper bool rust_helper_cpu_online(unsigned int cpu)
{
	return cpu_online(cpu);
}

__rust_helper bool rust_helper_cpu_present(unsigned int cpu)
{
	return cpu_present(cpu);
}

__rust_helper bool rust_helper_is_managed_irq_cpu(unsigned int cpu)
{
	return cpumask_test_cpu(cpu, housekeeping_cpumask(HK_TYPE_MANAGED_IRQ));
}
