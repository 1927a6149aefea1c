// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Putting a machine together, running it, and taking it apart in order.

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context as _, Result};
use hospes_device::bus::BusDevice;
use hospes_device::counters::Counted;
use hospes_device::memory::GuestMemory;
use hospes_device::thread::{self, Role};
use hospes_pci::root::{ConfigPorts, Ecam, RootBus, Slot, ECAM_LEN, PORTS_BASE, PORTS_LEN};
use kvm_bindings::CpuId;
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde_json::{json, Value};

use crate::boot::Boot;
use crate::config::{self, ConfigError};
use crate::kvm::interrupts::{Interrupts, Vectors};
use crate::kvm::spaces::Spaces;
use crate::kvm::vcpu::{Context, ExitCounters, Vcpu};
use crate::kvm::{cpuid, state, vcpu, vm};
use crate::outcome::{Outcome, Stopper};
use crate::platform::i8042::I8042;
use crate::platform::power::{self, Power};
use crate::platform::pvpanic::PvPanic;
use crate::platform::rtc::{self, Rtc};
use crate::platform::serial::{self, SerialPort};
use crate::storage::Controller;
use crate::{acpi, boot, cpu, layout, limits, memory, signals, storage};

/// How often the serial line's unfinished lines are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// A machine that is ready to run.
pub struct Machine {
    // Dropped first to last: vCPUs before the VM, the VM before its memory.
    vcpus: Vec<VcpuFd>,
    counters: Vec<Arc<ExitCounters>>,
    root: Arc<RootBus>,
    functions: Vec<(String, Slot)>,
    serial: Arc<SerialPort>,
    spaces: Arc<Spaces>,
    outcomes: Receiver<Outcome>,
    stopper: Stopper,
    time_limit: Option<Duration>,
    _vm: Arc<VmFd>,
    _memory: GuestMemory,
}

impl Machine {
    /// Builds a machine and loads its guest.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] if the configuration is to blame (a file that is not
    /// there, too little memory), another error if KVM or the host is.
    pub fn new(config: &config::Machine) -> Result<Self> {
        config.check()?;
        let (sender, outcomes) = channel();
        let stopper = Stopper::new(sender);
        limits::forbid_new_privileges().context("privileges cannot be given up")?;
        signals::block().context("signals cannot be blocked")?;
        thread::start(config.seccomp)?;
        signals::watch(stopper.clone()).context("signals cannot be watched")?;
        vcpu::prepare_kicks().context("signals cannot be handled")?;
        if let Err(error) = limits::raise_open_files() {
            tracing::warn!(%error, "the limit on open files stays as it is");
        }
        let kvm = vm::open()?;
        let memory = memory::create(config.memory.0)?;
        let vm = vm::create(&kvm, &memory)?;
        let interrupts = Interrupts::new(vm.clone());
        let spaces = Spaces::new(vm.clone());
        let root = RootBus::new(spaces.clone(), layout::windows(config.memory.0))?;
        let serial = serial_port(&config.serial, &interrupts)?;
        add_platform(&spaces, &root, &serial, &stopper)?;
        let vectors = Vectors(interrupts);
        let controllers = storage::build(config, &memory, &vectors)?;
        let functions = add_functions(&root, &controllers, &stopper)?;
        let vcpus = load(&kvm, &vm, &memory, config)?;
        if config.serial.stdin {
            serial
                .read_stdin()
                .context("standard input cannot be read")?;
        }
        Ok(Self {
            counters: vcpus.iter().map(|_| Arc::default()).collect(),
            vcpus,
            root,
            functions,
            serial,
            spaces,
            outcomes,
            stopper,
            time_limit: config.time_limit.map(Duration::from_secs),
            _vm: vm,
            _memory: memory,
        })
    }

    /// Runs the machine to its end; all vCPUs and devices are stopped when this
    /// returns, and all output is written that its destinations take.
    pub fn run(&mut self) -> Outcome {
        if let Err(error) = thread::confine(Role::Main) {
            return Outcome::Error(error.to_string());
        }
        let stop = Arc::new(AtomicBool::new(false));
        let context = Context {
            spaces: self.spaces.clone(),
            stopper: self.stopper.clone(),
            stop: stop.clone(),
        };
        let (threads, mut outcome) = match self.start(&context) {
            Ok(threads) => (threads, self.wait()),
            Err((threads, text)) => (threads, Outcome::Error(text)),
        };
        stop.store(true, Ordering::Release);
        for thread in threads {
            if let Err(text) = thread.join() {
                outcome = Outcome::Error(text);
            }
        }
        self.root.reset();
        self.serial.finish();
        outcome
    }

    /// Starts all vCPUs; on failure gives back those that run.
    fn start(&mut self, context: &Context) -> Result<Vec<Vcpu>, (Vec<Vcpu>, String)> {
        let mut threads = Vec::new();
        let vcpus = std::mem::take(&mut self.vcpus);
        for ((index, vcpu), counters) in (0u8..).zip(vcpus).zip(&self.counters) {
            match Vcpu::start(index, vcpu, context.clone(), counters.clone()) {
                Ok(thread) => threads.push(thread),
                Err(error) => return Err((threads, format!("vCPU {index}: {error}"))),
            }
        }
        Ok(threads)
    }

    /// Waits for the end, and keeps the console fresh meanwhile.
    fn wait(&self) -> Outcome {
        let start = Instant::now();
        loop {
            let left = self
                .time_limit
                .map(|limit| limit.saturating_sub(start.elapsed()));
            if left == Some(Duration::ZERO) {
                return Outcome::TimeLimit;
            }
            let step = left.map_or(FLUSH_INTERVAL, |left| left.min(FLUSH_INTERVAL));
            match self.outcomes.recv_timeout(step) {
                Ok(outcome) => return outcome,
                Err(RecvTimeoutError::Timeout) => self.serial.flush(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Outcome::Error("nothing is left that could end the machine".to_owned());
                }
            }
        }
    }
}

impl Counted for Machine {
    fn counters(&self) -> Value {
        let vcpus: Vec<_> = self
            .counters
            .iter()
            .map(|exits| serde_json::to_value(&**exits).unwrap_or_default())
            .collect();
        let function = |slot: &Slot| {
            self.root
                .function(*slot)
                .map(|function| function.counters())
        };
        let pci: serde_json::Map<_, _> = self
            .functions
            .iter()
            .map(|(name, slot)| {
                let counters = function(slot).unwrap_or_default();
                (
                    name.clone(),
                    json!({"address": slot.to_string(), "counters": counters}),
                )
            })
            .collect();
        json!({
            "exits": sum(&vcpus),
            "vcpus": vcpus,
            "bus": {"memory": self.spaces.memory.counters(), "io": self.spaces.io.counters()},
            "serial": self.serial.counters(),
            "pci": pci,
        })
    }
}

/// Adds up objects with the same keys.
fn sum(objects: &[Value]) -> Value {
    let mut total = serde_json::Map::new();
    for (key, value) in objects.iter().filter_map(Value::as_object).flatten() {
        let before = total.get(key).and_then(Value::as_u64).unwrap_or(0);
        let value = value.as_u64().unwrap_or(0);
        total.insert(key.clone(), before.saturating_add(value).into());
    }
    Value::Object(total)
}

fn serial_port(config: &config::Serial, interrupts: &Interrupts) -> Result<Arc<SerialPort>> {
    let line = interrupts
        .line(layout::SERIAL_IRQ)
        .context("the serial line has no interrupt")?;
    let create = |path: &Path| {
        let fail = |error| ConfigError(format!("serial: file={}: {error}", path.display()));
        File::create(path).map_err(fail)
    };
    let file = config.file.as_deref().map(create).transpose()?;
    let stdout = config.stdout.then(serial::stdout).transpose()?;
    let files = file.into_iter().chain(stdout).collect();
    SerialPort::new(line, files).context("the serial line cannot be written")
}

/// Puts the devices that every machine has on the buses.
fn add_platform(
    spaces: &Spaces,
    root: &Arc<RootBus>,
    serial: &Arc<SerialPort>,
    stopper: &Stopper,
) -> Result<()> {
    let ports: [(u64, u64, Arc<dyn BusDevice>); 5] = [
        (layout::SERIAL_PORT, serial::LEN, serial.clone()),
        (layout::RTC_PORT, rtc::LEN, Arc::new(Rtc::new())),
        (layout::I8042_PORT, 1, Arc::new(I8042(stopper.clone()))),
        (
            layout::PM_PORT,
            power::LEN,
            Arc::new(Power::new(stopper.clone())),
        ),
        (
            PORTS_BASE,
            PORTS_LEN,
            Arc::new(ConfigPorts::new(root.clone())),
        ),
    ];
    for (base, len, device) in ports {
        spaces.io.insert(base, len, device)?;
    }
    spaces
        .memory
        .insert(layout::ECAM, ECAM_LEN, Arc::new(Ecam(root.clone())))?;
    Ok(())
}

/// Puts pvpanic and all controllers on the PCI bus; names them for counters.
fn add_functions(
    root: &RootBus,
    controllers: &[Controller],
    stopper: &Stopper,
) -> Result<Vec<(String, Slot)>> {
    let panic = root.add(Arc::new(PvPanic::new(stopper.clone())))?;
    let mut functions = vec![("pvpanic".to_owned(), panic)];
    for controller in controllers {
        let slot = root
            .add(controller.device.clone())
            .map_err(|error| ConfigError(format!("scsi {}: {error}", controller.id)))?;
        functions.push((controller.id.clone(), slot));
    }
    Ok(functions)
}

/// Creates the vCPUs and loads the guest; the first one is at its entry.
fn load(
    kvm: &Kvm,
    vm: &VmFd,
    memory: &GuestMemory,
    config: &config::Machine,
) -> Result<Vec<VcpuFd>> {
    let base = cpu::build::build(&config.cpu_model, &cpuid::supported(kvm)?)
        .map_err(|error| ConfigError(error.to_string()))?;
    let vcpus: Vec<_> = (0..config.cpus)
        .map(|index| create_vcpu(vm, &base, index, config.cpus))
        .collect::<Result<_>>()?;
    let windows = layout::windows(config.memory.0);
    let rsdp = acpi::write(memory, config.cpus, &windows)?;
    let guest = Boot {
        kernel: &config.kernel,
        initrd: config.initrd.as_deref(),
        cmdline: &config.cmdline,
        ram: config.memory.0,
        rsdp,
    };
    let entry = boot::load(memory, &guest).map_err(|error| ConfigError(error.to_string()))?;
    let first = vcpus
        .first()
        .ok_or_else(|| anyhow!("a machine without vCPUs"))?;
    state::enter(first, memory, entry)?;
    Ok(vcpus)
}

fn create_vcpu(vm: &VmFd, base: &CpuId, index: u8, count: u8) -> Result<VcpuFd> {
    let vcpu = vm
        .create_vcpu(u64::from(index))
        .map_err(vm::refused("create a vCPU"))?;
    vcpu.set_cpuid2(&cpuid::for_vcpu(base, index, count))
        .map_err(vm::refused("set a vCPU's CPUID leaves"))?;
    state::set_msrs(&vcpu)?;
    Ok(vcpu)
}
