/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Every file here is an object of its own in one archive, and a module gets the
 * objects whose functions it calls: so one subject a file, and no logic.
 *
 * A function `rust_helper_x` becomes `x` in the crate guest_bindings.  It is
 * compiled once for real and read once by bindgen.
 */
#ifndef HOSPES_HELPERS_H
#define HOSPES_HELPERS_H

#include <linux/compiler_types.h>

#define __rust_helper

#endif
