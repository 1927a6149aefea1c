// SPDX-License-Identifier: GPL-2.0

//! Module parameters.

guest::module_param_uint! {
    /// The newest version that the host is asked for.
    static max_version: 0x0006_0000, mode: 0o444,
    description: "Maximal VMBus protocol version which can be negotiated",
}
