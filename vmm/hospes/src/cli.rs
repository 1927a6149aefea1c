// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Options, and how they become a configuration.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use hospes::config::keys::{BALLOON, CDROM, CONTROL, DISK, FAULT, PASSTHROUGH, SCSI, SERIAL};
use hospes::config::{options, ConfigError, Machine};
use hospes::machine;
use hospes::outcome::STATUS_HELP;
use hospes::platform::serial;
use hospes_device::counters::Counted;
use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use crate::ctl;

/// A small VMM on KVM that presents the devices of three hypervisors.
#[derive(Parser)]
#[command(name = "hospes", after_help = STATUS_HELP)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Subcommand)]
pub enum Command {
    /// Run a machine until it ends.
    #[command(after_help = key_help(), args_override_self = true)]
    Run(Box<RunOptions>),
    /// Change or look at a machine that runs.
    #[command(after_help = ctl::help())]
    Ctl(ctl::Options),
}

/// The options of `hospes run`.
#[derive(Args)]
pub struct RunOptions {
    /// Kernel: an ELF vmlinux with a PVH entry, or a bzImage.
    #[arg(long, value_name = "FILE")]
    kernel: Option<String>,
    /// Initial ramdisk.
    #[arg(long, value_name = "FILE")]
    initrd: Option<String>,
    /// Kernel command line.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,
    /// Number of vCPUs, 1 to 64 [default 1].
    #[arg(long, value_name = "N")]
    cpus: Option<u64>,
    /// The hypervisor that the guest sees: kvm, hyperv or vmware
    /// [default kvm].
    #[arg(long, value_name = "NAME")]
    personality: Option<String>,
    /// The newest version of VMBus that the guest can have, 4.0 to 5.3, or none
    /// [default 5.3].
    #[arg(long, value_name = "VERSION")]
    vmbus_max_version: Option<String>,
    /// The processor that the guest sees: host, haswell or opteron-g5, with
    /// features added and taken out: `haswell,-rtm,+svm` [default host].
    #[arg(long, value_name = "MODEL")]
    cpu_model: Option<String>,
    /// What a system call outside its thread's filter does: on ends the VMM,
    /// log tells the host's audit log, off has no filters [default on].
    #[arg(long, value_name = "MODE")]
    seccomp: Option<String>,
    /// RAM in bytes, with K, M or G [default 512M].
    #[arg(long, value_name = "SIZE")]
    memory: Option<String>,
    /// Where the serial line goes: `null`, or the keys below [default stdout].
    #[arg(long, value_name = "KEYS")]
    serial: Option<String>,
    /// Stop the machine after this many seconds [default never].
    #[arg(long, value_name = "SECONDS")]
    time_limit: Option<u64>,
    /// Write counters as JSON to FILE at the end, - for standard output.
    #[arg(long, value_name = "FILE", allow_hyphen_values = true)]
    counters: Option<String>,
    /// Make a socket by which `hospes ctl` changes the running machine.
    #[arg(long, value_name = "PATH")]
    control: Option<String>,
    /// Have the guest give memory back.
    #[arg(long, value_name = "KEYS")]
    balloon: Option<String>,
    /// Add a SCSI controller; may be repeated.
    #[arg(long, value_name = "KEYS")]
    scsi: Vec<String>,
    /// Add a disk; may be repeated.
    #[arg(long, value_name = "KEYS")]
    disk: Vec<String>,
    /// Add a CD-ROM drive; may be repeated.
    #[arg(long, value_name = "KEYS")]
    cdrom: Vec<String>,
    /// Add a SCSI device of the host; may be repeated.
    #[arg(long, value_name = "KEYS")]
    passthrough: Vec<String>,
    /// Have a controller do something wrong; may be repeated.
    #[arg(long, value_name = "KEYS")]
    fault: Vec<String>,
    /// Read the machine from a JSON file; options replace or add to it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the machine as JSON and do not run it.
    #[arg(long)]
    dump_config: bool,
    /// What the VMM itself logs to standard error: error, warn, info, debug,
    /// trace, or a filter such as hospes_virtio=debug.
    #[arg(long, value_name = "FILTER", default_value = "warn")]
    log: String,
}

/// The keys of all options that have some, and the exit statuses.
fn key_help() -> String {
    [
        SERIAL.help(),
        CONTROL.help(),
        BALLOON.help(),
        SCSI.help(),
        DISK.help(),
        CDROM.help(),
        PASSTHROUGH.help(),
        FAULT.help(),
        STATUS_HELP.to_owned(),
    ]
    .join("\n")
}

/// Runs a machine, and returns the exit status.
///
/// # Errors
///
/// [`ConfigError`] for what the user can change, others for what failed.
pub fn run(options: &RunOptions) -> Result<u8> {
    start_log(&options.log)?;
    let config = options.machine()?;
    if options.dump_config {
        println!("{}", serde_json::to_string_pretty(&config)?);
        return Ok(0);
    }
    let mut machine = machine::Machine::new(&config)?;
    let outcome = machine.run();
    if let Some(path) = &config.counters {
        write_counters(path, &machine.counters())?;
    }
    serial::print_last(&format!("hospes: {outcome}"));
    Ok(outcome.status())
}

fn start_log(filter: &str) -> Result<()> {
    let filter = EnvFilter::try_new(filter)
        .map_err(|error| ConfigError(format!("--log {filter}: {error}")))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}

fn write_counters(path: &Path, counters: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(counters)?;
    if path == Path::new("-") {
        println!("{text}");
        return Ok(());
    }
    fs::write(path, text + "\n").with_context(|| format!("--counters {}", path.display()))
}

impl RunOptions {
    /// The machine of the file and the options together.
    fn machine(&self) -> Result<Machine, ConfigError> {
        let mut json = match &self.config {
            Some(path) => read_config(path)?,
            None => Map::new(),
        };
        self.overlay(&mut json)?;
        if !json.contains_key("kernel") {
            return Err(ConfigError(
                "kernel is missing: add --kernel FILE".to_owned(),
            ));
        }
        let machine: Machine = serde_path_to_error::deserialize(Value::Object(json))
            .map_err(|error| ConfigError(format!("configuration: {error}")))?;
        machine.check()?;
        Ok(machine)
    }

    /// Puts the options over what a file said.
    fn overlay(&self, json: &mut Map<String, Value>) -> Result<(), ConfigError> {
        let texts = [
            ("kernel", &self.kernel),
            ("initrd", &self.initrd),
            ("cmdline", &self.cmdline),
            ("personality", &self.personality),
            ("vmbus_max_version", &self.vmbus_max_version),
            ("cpu_model", &self.cpu_model),
            ("seccomp", &self.seccomp),
            ("memory", &self.memory),
            ("counters", &self.counters),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                json.insert(key.to_owned(), value.clone().into());
            }
        }
        for (key, value) in [("cpus", self.cpus), ("time_limit", self.time_limit)] {
            if let Some(value) = value {
                json.insert(key.to_owned(), value.into());
            }
        }
        if let Some(text) = &self.serial {
            let value = match text.as_str() {
                "null" => Value::Object(Map::new()),
                text => options::parse(&SERIAL, text)?,
            };
            json.insert(SERIAL.name.to_owned(), value);
        }
        if let Some(text) = &self.control {
            json.insert(CONTROL.name.to_owned(), options::parse(&CONTROL, text)?);
        }
        if let Some(text) = &self.balloon {
            json.insert(BALLOON.name.to_owned(), options::parse(&BALLOON, text)?);
        }
        for (object, texts) in [
            (&SCSI, &self.scsi),
            (&DISK, &self.disk),
            (&CDROM, &self.cdrom),
            (&PASSTHROUGH, &self.passthrough),
            (&FAULT, &self.fault),
        ] {
            let parsed = texts.iter().map(|text| options::parse(object, text));
            append(json, object.name, parsed.collect::<Result<_, _>>()?)?;
        }
        Ok(())
    }
}

fn read_config(path: &Path) -> Result<Map<String, Value>, ConfigError> {
    let fail = |text: String| ConfigError(format!("--config {}: {text}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| fail(error.to_string()))?;
    match serde_json::from_str(&text).map_err(|error| fail(error.to_string()))? {
        Value::Object(map) => Ok(map),
        _ => Err(fail("not a JSON object".to_owned())),
    }
}

fn append(json: &mut Map<String, Value>, key: &str, values: Vec<Value>) -> Result<(), ConfigError> {
    if values.is_empty() {
        return Ok(());
    }
    match json.entry(key).or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(list) => {
            list.extend(values);
            Ok(())
        }
        _ => Err(ConfigError(format!("configuration: {key}: give a list"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(args: &[&str]) -> Result<Machine, ConfigError> {
        let args = ["hospes", "run"].iter().chain(args);
        let Command::Run(options) = Cli::try_parse_from(args).unwrap().command else {
            panic!("not the command to run a machine");
        };
        options.machine()
    }

    #[test]
    fn options_describe_a_machine() {
        let machine = machine(&[
            "--kernel",
            "k",
            "--cpus",
            "4",
            "--memory",
            "1G",
            "--serial",
            "null",
            "--scsi",
            "virtio,id=s0,queues=2",
            "--disk",
            "path=a,on=s0",
            "--disk",
            "path=b,on=s0,lun=7",
            "--personality",
            "vmware",
            "--balloon",
            "vmware,target=64M,caps=basic",
            "--fault",
            "on=balloon,kind=page,code=5,count=3",
        ])
        .unwrap();
        assert_eq!((machine.cpus, machine.memory.0), (4, 1 << 30));
        assert!(!machine.serial.stdout);
        assert_eq!(machine.scsi[0].queues, Some(2));
        assert_eq!(machine.disk[1].lun, Some(7));
        let balloon = machine.balloon.unwrap();
        assert_eq!(balloon.target.0, 64 << 20);
        assert!(!balloon.has_doorbell());
        assert_eq!(machine.fault[0].on, "balloon");
    }

    #[test]
    fn options_add_to_a_file() {
        let file = vmm_sys_util::tempfile::TempFile::new().unwrap();
        let text = r#"{"kernel": "k", "cpus": 2, "scsi": [{"type": "virtio", "id": "s0"}]}"#;
        fs::write(file.as_path(), text).unwrap();
        let path = file.as_path().to_str().unwrap();
        let machine =
            machine(&["--config", path, "--cpus", "3", "--scsi", "virtio,id=s1"]).unwrap();
        assert_eq!(machine.cpus, 3);
        assert_eq!(machine.scsi.len(), 2);
    }

    #[test]
    fn errors_name_the_key() {
        for (args, text) in [
            (&[][..], "--kernel"),
            (&["--kernel", "k", "--memory", "x"], "536870912, 512M or 1G"),
            (&["--kernel", "k", "--cpus", "300"], "300"),
            (&["--kernel", "k", "--disk", "path=p,on=s1"], "on=s1"),
            (
                &["--kernel", "k", "--balloon", "vmware"],
                "--personality vmware",
            ),
            (
                &["--kernel", "k", "--balloon", "vmware,caps=fast"],
                "64-bit-target",
            ),
            (&["--config", "/nonexistent"], "/nonexistent"),
            (
                &["--kernel", "k", "--scsi", "virtio,id=s,queues=65536"],
                "scsi[0].queues",
            ),
        ] {
            let error = machine(args).unwrap_err();
            assert!(error.0.contains(text), "{error} does not contain {text}");
        }
    }
}
