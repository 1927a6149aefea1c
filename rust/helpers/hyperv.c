// SPDX-License-Identifier: GPL-2.0

#include "helpers.h"
#include <linux/hyperv.h>
#include <linux/percpu.h>
#include <asm/mshyperv.h>

__rust_helper u64 rust_helper_hv_do_hypercall(u64 control, void *input, void *output)
{
	return hv_do_hypercall(control, input, output);
}

__rust_helper u64 rust_helper_hv_do_fast_hypercall8(u16 code, u64 input)
{
	return hv_do_fast_hypercall8(code, input);
}

__rust_helper u64 rust_helper__hv_do_fast_hypercall8(u64 control, u64 input)
{
	return _hv_do_fast_hypercall8(control, input);
}

__rust_helper void *rust_helper_hv_input_page(void)
{
	return *this_cpu_ptr(hyperv_pcpu_input_arg);
}

__rust_helper u32 rust_helper_hv_cpu_number_to_vp_number(int cpu)
{
	return hv_cpu_number_to_vp_number(cpu);
}

__rust_helper bool rust_helper_hv_recommend_using_aeoi(void)
{
	return hv_recommend_using_aeoi();
}

__rust_helper bool rust_helper_hv_root_partition(void)
{
	return hv_root_partition();
}

__rust_helper bool rust_helper_hv_paravisor_present(void)
{
	return ms_hyperv.paravisor_present;
}

__rust_helper bool rust_helper_hv_confidential_vmbus_available(void)
{
	return ms_hyperv.confidential_vmbus_available;
}

__rust_helper u64 rust_helper_hv_shared_gpa_boundary(void)
{
	return ms_hyperv.shared_gpa_boundary;
}

__rust_helper u8 rust_helper_hv_vtl(void)
{
	return ms_hyperv.vtl;
}
