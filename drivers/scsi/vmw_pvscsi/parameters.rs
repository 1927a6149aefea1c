// SPDX-License-Identifier: GPL-2.0

//! What the module can be told. Each is looked at when a device is set up.

guest::module_param_int! {
    /// Pages of the request ring and of the completion ring; 0 leaves it to the number of targets.
    static ring_pages: 0,
    mode: 0o600,
    description: "Number of pages per req/cmp ring - (default=8[up to 16 targets],32[for 16+ targets])",
}

guest::module_param_int! {
    /// Pages of the message ring.
    static msg_ring_pages: 1,
    mode: 0o600,
    description: "Number of pages for the msg ring - (default=1)",
}

guest::module_param_int! {
    /// Commands in flight to each device.
    static cmd_per_lun: 254,
    mode: 0o600,
    description: "Maximum commands per lun - (default=254)",
}

guest::module_param_bool! {
    /// No interrupts by MSI.
    static disable_msi: false,
    mode: 0o600,
    description: "Disable MSI use in driver - (default=0)",
}

guest::module_param_bool! {
    /// No interrupts by MSI-X.
    static disable_msix: false,
    mode: 0o600,
    description: "Disable MSI-X use in driver - (default=0)",
}

guest::module_param_bool! {
    /// A message ring, if there can be one.
    static use_msg: true,
    mode: 0o600,
    description: "Use msg ring when available - (default=1)",
}

guest::module_param_bool! {
    /// Kicks for reads and writes only when the device wants them, if it can say so.
    static use_req_threshold: true,
    mode: 0o600,
    description: "Use driver-based request coalescing if configured - (default=1)",
}
