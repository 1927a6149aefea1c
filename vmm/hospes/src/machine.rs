// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Putting a machine together, running it, and taking it apart in order.

mod counters;
mod running;

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
use hospes_pci::root::{ConfigPorts, Ecam, RootBus, ECAM_LEN, PORTS_BASE, PORTS_LEN};
use kvm_bindings::CpuId;
use kvm_ioctls::{Kvm, VcpuFd, VmFd};
use serde_json::Value;

use crate::acpi::slots::{self, Slots};
use crate::acpi::{Board, HotPlug};
use crate::balloon::BalloonDevice;
use crate::boot::Boot;
use crate::config::{self, ConfigError, Personality};
use crate::control::routes;
use crate::control::server::Server;
use crate::devices::Devices;
use crate::handle::Handle;
use crate::hyperv::platform::Platform;
use crate::kvm::interrupts::{Interrupts, Vectors};
use crate::kvm::spaces::Spaces;
use crate::kvm::stats::Statistics;
use crate::kvm::vcpu::{Context, Vcpu};
use crate::kvm::{cpuid, state, vcpu, vm};
use crate::outcome::{Outcome, Stopper};
use crate::platform::i8042::I8042;
use crate::platform::power::{self, Power};
use crate::platform::pvpanic::PvPanic;
use crate::platform::rtc::{self, Rtc};
use crate::platform::serial::{self, SerialPort};
use crate::refusal::Refusal;
use crate::{acpi, boot, cpu, layout, limits, memory, signals, storage, vmware};

use counters::Counters;
use running::Running;

/// How often the serial line's unfinished lines are written.
const FLUSH_INTERVAL: Duration = Duration::from_millis(100);

/// A machine that is ready to run.
pub struct Machine {
    // Dropped first to last: who changes the machine before what it consists
    // of, vCPUs before the VM, the VM before its memory.
    control: Option<Server>,
    vcpus: Vec<VcpuFd>,
    running: Arc<Running>,
    counters: Arc<Counters>,
    outcomes: Receiver<Outcome>,
    stopper: Stopper,
    time_limit: Option<Duration>,
    hyperv: Option<Arc<Platform>>,
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
        let power = Arc::new(power(&stopper, &interrupts));
        let slots = config.control.as_ref();
        let slots = slots.map(|_| Arc::new(Slots::new(power.clone())));
        add_platform(&spaces, &root, &serial, &power, &stopper)?;
        if let Some(slots) = &slots {
            let device = slots.clone();
            spaces.io.insert(layout::HOTPLUG_PORT, slots::LEN, device)?;
        }
        let hyperv = match config.personality {
            Personality::Kvm | Personality::Vmware => None,
            Personality::Hyperv => Some(Platform::new(&kvm, &vm, &memory)?),
        };
        let vectors = Vectors(interrupts.clone());
        let build = |one| vmware::balloon::build(one, config, &memory, &vectors);
        let balloon = config.balloon.as_ref().map(build).transpose()?;
        let port = balloon.as_ref().map(|parts| parts.port.clone());
        let (vcpus, vmware) = load(&kvm, &vm, &memory, config, hyperv.as_deref(), port.clone())?;
        let port = port.map(|port| -> Arc<dyn BalloonDevice> { port });
        if let Some(hyperv) = &hyperv {
            let settings = hospes_vmbus::Settings {
                max_version: config.vmbus_max_version.0,
            };
            hyperv.start_bus(&vm, &interrupts, config.cpus, settings)?;
        }
        let devices = Devices::new(root, slots, hyperv.clone());
        if let Some(vmci) = balloon.and_then(|parts| parts.vmci) {
            let fail = |refusal: Refusal| ConfigError(refusal.text);
            devices.add(vmware::vmci::ID, vmci).map_err(fail)?;
        }
        add_functions(&devices, config, &memory, &vectors, &stopper)?;
        let running = Arc::<Running>::default();
        let counters = Arc::new(Counters {
            vcpus: vcpus.iter().map(|_| Arc::default()).collect(),
            kvm: vcpus.iter().filter_map(Statistics::of).collect(),
            devices,
            serial: serial.clone(),
            spaces,
            balloon: port.clone(),
            vmware,
        });
        let handle = Handle {
            devices: counters.devices.clone(),
            power,
            vcpus: running.clone(),
            counters: counters.clone(),
            stopper: stopper.clone(),
            balloon: port,
            memory: memory.clone(),
            vectors: Box::new(vectors),
            cpus: config.cpus,
            memory_size: config.memory.0,
            devices_paused: AtomicBool::new(false),
        };
        let control = config.control.as_ref();
        let control = control
            .map(|control| serve(&control.path, handle))
            .transpose()?;
        if config.serial.stdin {
            serial
                .read_stdin()
                .context("standard input cannot be read")?;
        }
        Ok(Self {
            control,
            vcpus,
            running,
            counters,
            outcomes,
            stopper,
            time_limit: config.time_limit.map(Duration::from_secs),
            hyperv,
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
            spaces: self.counters.spaces.clone(),
            stopper: self.stopper.clone(),
            stop: stop.clone(),
            gate: self.running.gate.clone(),
            hyperv: self.hyperv.clone(),
            vmware: self.counters.vmware.clone(),
        };
        let mut outcome = match self.start(&context) {
            Ok(()) => self.wait(),
            Err(text) => Outcome::Error(text),
        };
        // Whoever waits at the gate sees the flag when it opens.
        stop.store(true, Ordering::Release);
        self.running.gate.open();
        for thread in self.running.take() {
            if let Err(text) = thread.join() {
                outcome = Outcome::Error(text);
            }
        }
        // After this nothing is added to the machine any more.
        self.control = None;
        self.counters.devices.reset();
        self.counters.serial.finish();
        outcome
    }

    /// Starts all vCPUs, or some of them and says what is wrong with the next.
    fn start(&mut self, context: &Context) -> Result<(), String> {
        let vcpus = std::mem::take(&mut self.vcpus);
        for ((index, vcpu), counters) in (0u8..).zip(vcpus).zip(&self.counters.vcpus) {
            let vcpu = Vcpu::start(index, vcpu, context.clone(), counters.clone())
                .map_err(|error| format!("vCPU {index}: {error}"))?;
            self.running.lock().push(vcpu);
        }
        Ok(())
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
                Err(RecvTimeoutError::Timeout) => self.counters.serial.flush(),
                Err(RecvTimeoutError::Disconnected) => {
                    return Outcome::Error("nothing is left that could end the machine".to_owned());
                }
            }
        }
    }
}

impl Counted for Machine {
    fn counters(&self) -> Value {
        self.counters.counters()
    }
}

/// Serves the control socket.
fn serve(path: &Path, handle: Handle) -> Result<Server> {
    let service = Box::new(move |request: &_| routes::answer(&handle, request));
    Server::start(path, service)
        .map_err(|error| ConfigError(format!("control: {}: {error}", path.display())).into())
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
    power: &Arc<Power>,
    stopper: &Stopper,
) -> Result<()> {
    let ports: [(u64, u64, Arc<dyn BusDevice>); 5] = [
        (layout::SERIAL_PORT, serial::LEN, serial.clone()),
        (layout::RTC_PORT, rtc::LEN, Arc::new(Rtc::new())),
        (layout::I8042_PORT, 1, Arc::new(I8042(stopper.clone()))),
        (layout::PM_PORT, power::LEN, power.clone()),
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

/// The power registers, whose interrupt is the SCI.
fn power(stopper: &Stopper, interrupts: &Arc<Interrupts>) -> Power {
    let interrupts = interrupts.clone();
    let line = move |active| interrupts.set_level(u32::from(layout::SCI_IRQ), active);
    Power::new(stopper.clone(), Box::new(line))
}

/// Puts pvpanic and all controllers on the PCI bus.
fn add_functions(
    devices: &Devices,
    config: &config::Machine,
    memory: &GuestMemory,
    vectors: &Vectors,
    stopper: &Stopper,
) -> Result<()> {
    let fail = |refusal: Refusal| ConfigError(refusal.text);
    let panic = Arc::new(PvPanic::new(stopper.clone()));
    devices.add("pvpanic", panic).map_err(fail)?;
    for controller in storage::build(config, memory, vectors)? {
        devices.add_controller(&controller).map_err(fail)?;
    }
    Ok(())
}

/// The vCPUs, and what a guest of VMware is told.
type Loaded = (Vec<VcpuFd>, Option<Arc<vmware::platform::Platform>>);

/// Creates the vCPUs and loads the guest; the first one is at its entry.
fn load(
    kvm: &Kvm,
    vm: &VmFd,
    memory: &GuestMemory,
    config: &config::Machine,
    hyperv: Option<&Platform>,
    balloon: Option<Arc<vmware::balloon::Port>>,
) -> Result<Loaded> {
    let base = cpu::build::build(&config.cpu_model, &cpuid::supported(kvm)?)
        .map_err(|error| ConfigError(error.to_string()))?;
    let base = match hyperv {
        Some(hyperv) => hyperv.leaves(kvm, &base, config::MAX_CPUS)?,
        None => base,
    };
    let mut vcpus: Vec<_> = (0..config.cpus)
        .map(|index| create_vcpu(vm, index))
        .collect::<Result<_>>()?;
    let first = vcpus
        .first()
        .ok_or_else(|| anyhow!("a machine without vCPUs"))?;
    let vmware = match config.personality {
        Personality::Vmware => Some(Arc::new(vmware::platform::Platform::new(
            kvm,
            first,
            config.memory.0,
            balloon,
        )?)),
        Personality::Kvm | Personality::Hyperv => None,
    };
    let base = match &vmware {
        Some(vmware) => vmware.leaves(&base)?,
        None => base,
    };
    for (index, vcpu) in (0..).zip(&mut vcpus) {
        set_up_vcpu(vcpu, &base, index, config, hyperv)?;
    }
    let windows = layout::windows(config.memory.0);
    let board = Board {
        hot_plug: match config.control {
            Some(_) => HotPlug::Slots,
            None => HotPlug::None,
        },
        vmbus: hyperv.is_some(),
    };
    let rsdp = acpi::write(memory, config.cpus, &windows, &board)?;
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
    Ok((vcpus, vmware))
}

fn create_vcpu(vm: &VmFd, index: u8) -> Result<VcpuFd> {
    let vcpu = vm.create_vcpu(u64::from(index));
    Ok(vcpu.map_err(vm::refused("create a vCPU"))?)
}

/// Makes a vCPU what the machine's are.
fn set_up_vcpu(
    vcpu: &mut VcpuFd,
    base: &CpuId,
    index: u8,
    config: &config::Machine,
    hyperv: Option<&Platform>,
) -> Result<()> {
    vcpu.set_cpuid2(&cpuid::for_vcpu(base, index, config.cpus))
        .map_err(vm::refused("set a vCPU's CPUID leaves"))?;
    if let Some(hyperv) = hyperv {
        hyperv.enable(vcpu)?;
    }
    if config.personality == Personality::Vmware {
        vmware::platform::Platform::enable(vcpu);
    }
    state::set_msrs(vcpu, config.cpu_model.microcode_msr())?;
    Ok(())
}
