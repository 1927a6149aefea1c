// SPDX-License-Identifier: GPL-2.0

//! The attributes of a device in sysfs. `lsvmbus` and udev's rules read them.
//!
//! Kernel documentation: `Documentation/ABI/stable/sysfs-bus-vmbus`.

use crate::{
    bus::{
        self,
        Side, //
    },
    sys::{
        Device,
        Ring, //
    }, //
};
use core::fmt::Write as _;
use guest::sysfs::{
    Attribute,
    Group,
    Groups,
    List,
    Text, //
};
use kernel::prelude::*;

type Entry = Attribute<Device>;

/// What every device has, in C's order. The driver core makes the files.
pub(crate) static GROUPS: Groups = Groups::new(&GROUP);
static GROUP: Group = Group::new(&LIST);
static LIST: List<Device, COUNT> = List::new(&TABLE);

const COUNT: usize = 25 + cfg!(CONFIG_NUMA) as usize;

static TABLE: [Entry; COUNT] = [
    Entry::new(c"id", |device, to| line(to, device.channel().relid())),
    Entry::new(c"state", |device, to| {
        line(to, device.channel().state_number())
    }),
    Entry::new(c"monitor_id", |device, to| {
        line(to, device.channel().monitor_id())
    })
    .only_if(is_monitored),
    Entry::new(c"class_id", |device, to| {
        line(to, format_args!("{{{}}}", device.channel().class()))
    }),
    Entry::new(c"device_id", |device, to| {
        line(to, format_args!("{{{}}}", device.channel().instance()))
    }),
    Entry::new(c"modalias", modalias),
    #[cfg(CONFIG_NUMA)]
    Entry::new(c"numa_node", |device, to| {
        line(to, guest::cpus::node(device.channel().target_cpu()))
    }),
    Entry::new(c"server_monitor_pending", |device, to| {
        pending(device, to, Side::Host)
    })
    .only_if(is_monitored),
    Entry::new(c"client_monitor_pending", |device, to| {
        pending(device, to, Side::Guest)
    })
    .only_if(is_monitored),
    Entry::new(c"server_monitor_latency", |device, to| {
        latency(device, to, Side::Host)
    })
    .only_if(is_monitored),
    Entry::new(c"client_monitor_latency", |device, to| {
        latency(device, to, Side::Guest)
    })
    .only_if(is_monitored),
    Entry::new(c"server_monitor_conn_id", |device, to| {
        connection(device, to, Side::Host)
    })
    .only_if(is_monitored),
    Entry::new(c"client_monitor_conn_id", |device, to| {
        connection(device, to, Side::Guest)
    })
    .only_if(is_monitored),
    Entry::new(c"out_intr_mask", |device, to| {
        line(to, outbound(device)?.interrupt_mask)
    }),
    Entry::new(c"out_read_index", |device, to| {
        line(to, outbound(device)?.read_index)
    }),
    Entry::new(c"out_write_index", |device, to| {
        line(to, outbound(device)?.write_index)
    }),
    Entry::new(c"out_read_bytes_avail", |device, to| {
        line(to, outbound(device)?.to_read)
    }),
    Entry::new(c"out_write_bytes_avail", |device, to| {
        line(to, outbound(device)?.to_write)
    }),
    Entry::new(c"in_intr_mask", |device, to| {
        line(to, inbound(device)?.interrupt_mask)
    }),
    Entry::new(c"in_read_index", |device, to| {
        line(to, inbound(device)?.read_index)
    }),
    Entry::new(c"in_write_index", |device, to| {
        line(to, inbound(device)?.write_index)
    }),
    Entry::new(c"in_read_bytes_avail", |device, to| {
        line(to, inbound(device)?.to_read)
    }),
    Entry::new(c"in_write_bytes_avail", |device, to| {
        line(to, inbound(device)?.to_write)
    }),
    Entry::new(c"channel_vp_mapping", channel_vp_mapping),
    Entry::new(c"vendor", |device, to| {
        line(to, format_args!("{:#x}", device.vendor()))
    }),
    Entry::new(c"device", |device, to| {
        line(to, format_args!("{:#x}", device.id()))
    }),
];

/// One value and a newline, as attributes are.
pub(crate) fn line(to: &mut Text<'_>, value: impl core::fmt::Display) -> Result {
    writeln!(to, "{value}").or(Err(EINVAL))
}

/// The class as udev and modprobe know it: the bytes as they are stored.
fn modalias(device: Device, to: &mut Text<'_>) -> Result {
    to.write_str("vmbus:").or(Err(EINVAL))?;
    for byte in device.class().0 {
        write!(to, "{byte:02x}").or(Err(EINVAL))?;
    }
    to.write_str("\n").or(Err(EINVAL))
}

fn is_monitored(device: Device) -> bool {
    device.channel().is_monitored()
}

fn pending(device: Device, to: &mut Text<'_>, side: Side) -> Result {
    line(to, bus::monitor(device.channel(), side).pending)
}

fn latency(device: Device, to: &mut Text<'_>, side: Side) -> Result {
    line(to, bus::monitor(device.channel(), side).latency)
}

fn connection(device: Device, to: &mut Text<'_>, side: Side) -> Result {
    line(to, bus::monitor(device.channel(), side).connection_id)
}

fn outbound(device: Device) -> Result<Ring> {
    device.channel().outbound()
}

fn inbound(device: Device) -> Result<Ring> {
    device.channel().inbound()
}

/// A line for each channel: its number and the CPU that it interrupts. As many as a page holds.
fn channel_vp_mapping(device: Device, to: &mut Text<'_>) -> Result {
    let primary = device.channel();
    let mut shown = Ok(());
    bus::each_of_device(primary, |channel| {
        if shown.is_ok() {
            shown = line(
                to,
                format_args!("{}:{}", channel.relid(), channel.target_cpu()),
            );
        }
    });
    Ok(())
}
