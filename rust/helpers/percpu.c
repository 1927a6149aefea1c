// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/percpu.h>

/*
 * Rust has one address space: what is per CPU has its address there, and is only used
 * by these functions.
 */
__rust_helper void *rust_helper_alloc_percpu(size_t size, size_t align)
{
	return (void *)(__force unsigned long)__alloc_percpu(size, align);
}

__rust_helper void *rust_helper_per_cpu_ptr(void *base, int cpu)
{
	return per_cpu_ptr((void __percpu *)(__force unsigned long)base, cpu);
}

__rust_helper void *rust_helper_this_cpu_ptr(void *base)
{
	return this_cpu_ptr((void __percpu *)(__force unsigned long)base);
}
