// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The command line of `hospes ctl`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hospes::config::keys::{CDROM, DISK, FAULT, PASSTHROUGH, SCSI};

/// What follows the list of commands in the help.
pub fn help() -> String {
    let add = [SCSI, DISK, CDROM, PASSTHROUGH, FAULT];
    let keys: Vec<_> = add
        .iter()
        .map(|object| object.help_as(&format!("{} add", object.name)))
        .collect();
    format!("{KEYS}\n{}\n{STATUS}", keys.join("\n"))
}

const KEYS: &str = "\
KEYS are key=value pairs with commas between them, as for `hospes run`; a path
is relative to the present directory. A unit is named by on=ID,lun=N and, unless
it is 0, target=N:
  hospes ctl disk add path=a.img,on=s0,lun=3
  hospes ctl disk resize on=s0,lun=3,size=2G     without size: look at the file
  hospes ctl disk remove on=s0,lun=3
  hospes ctl cdrom change on=s0,lun=4,path=b.iso[,force]
  hospes ctl cdrom eject on=s0,lun=4[,force]
  hospes ctl scsi add virtio,id=s1
  hospes ctl scsi remove id=s1 --wait 30         the guest lets go of it
  hospes ctl scsi remove id=s1,surprise          it is gone at once
  hospes ctl balloon target=256M                 without a target: look
  hospes ctl fault add on=s0,kind=delay,ms=500,lun=3,count=10
  hospes ctl fault clear on=s0[,id=1]
  hospes ctl request GET /devices/s0
";

const STATUS: &str = "\
The answer is one line of JSON on standard output.

Exit status:
  0  done (scsi remove without --wait: the guest was asked)
  1  no answer, or the VMM or its host failed
  2  wrong command or keys
  3  the machine refused; standard error says why
  4  what was waited for did not happen in time";

/// The options of `hospes ctl`.
#[derive(Args)]
pub struct Options {
    /// The control socket of the machine, as given to its --control [default:
    /// the environment's HOSPES_SOCKET].
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// How long to wait for an answer, and for a pause.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..))]
    pub timeout: u64,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What can be done to a machine.
#[derive(Subcommand)]
pub enum Command {
    /// Show whether it runs, its vCPUs and its memory.
    Machine,
    /// Have the guest and its devices stand still.
    Pause,
    /// Have them go on.
    Resume,
    /// Press the power button.
    PowerButton,
    /// End it as if the guest had reset it.
    Reset,
    /// End it as SIGTERM does.
    Quit,
    /// Show all counters.
    Counters,
    /// Show the balloon, or set what is wanted in it: target=SIZE.
    Balloon {
        /// The keys, with commas between them.
        keys: Option<String>,
    },
    /// List what is on the PCI bus.
    Devices,
    /// List the units of a controller: on=ID.
    Units(Keys),
    /// List the faults of a controller: on=ID.
    Faults(Keys),
    /// Controllers.
    #[command(subcommand)]
    Scsi(ScsiCommand),
    /// Disks.
    #[command(subcommand)]
    Disk(DiskCommand),
    /// CD-ROM drives.
    #[command(subcommand)]
    Cdrom(CdromCommand),
    /// SCSI devices of the host.
    #[command(subcommand)]
    Passthrough(PassthroughCommand),
    /// Things that controllers do wrong.
    #[command(subcommand)]
    Fault(FaultCommand),
    /// Send any request.
    Request {
        /// Its method.
        method: Method,
        /// Its path, with the query.
        path: String,
        /// Its body.
        json: Option<String>,
    },
}

/// Methods that the socket knows.
#[derive(Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum Method {
    /// Look.
    Get,
    /// Set.
    Put,
    /// Add or do.
    Post,
    /// Remove.
    Delete,
}

/// A list of keys.
#[derive(Args)]
pub struct Keys {
    /// The keys, with commas between them.
    pub keys: String,
}

/// What can be done to controllers.
#[derive(Subcommand)]
pub enum ScsiCommand {
    /// Plug one in; see the keys below.
    Add(Keys),
    /// Remove one: id=ID[,surprise].
    Remove {
        /// The keys, with commas between them.
        keys: String,
        /// Wait that long until it is gone.
        #[arg(long, value_name = "SECONDS")]
        wait: Option<u64>,
    },
}

/// What can be done to disks.
#[derive(Subcommand)]
pub enum DiskCommand {
    /// Add some; see the keys below.
    Add(Keys),
    /// Remove one: on=ID,lun=N[,target=N].
    Remove(Keys),
    /// Set its size, or look at its file again: on=ID,lun=N[,target=N][,size=SIZE].
    Resize(Keys),
}

/// What can be done to CD-ROM drives.
#[derive(Subcommand)]
pub enum CdromCommand {
    /// Add one; see the keys below.
    Add(Keys),
    /// Remove one: on=ID,lun=N[,target=N].
    Remove(Keys),
    /// Put another disc in: on=ID,lun=N[,target=N],path=PATH[,force].
    Change(Keys),
    /// Take the disc out: on=ID,lun=N[,target=N][,force].
    Eject(Keys),
}

/// What can be done to devices of the host.
#[derive(Subcommand)]
pub enum PassthroughCommand {
    /// Add one; see the keys below.
    Add(Keys),
    /// Remove one: on=ID,lun=N[,target=N].
    Remove(Keys),
}

/// What can be done to faults.
#[derive(Subcommand)]
pub enum FaultCommand {
    /// Have a controller do something wrong; see the keys below.
    Add(Keys),
    /// Have it do that right again, or everything: on=ID[,id=N].
    Clear(Keys),
}
