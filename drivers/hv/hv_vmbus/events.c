// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the trace events of events.h, and the functions by which Rust fires them.
 * Only for kernels that have tracepoints.
 */

#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include "events.h"
