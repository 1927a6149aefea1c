// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Putting a machine together, running it, and taking it apart in order.

mod chassis;
mod counters;
mod guest;
mod running;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{channel, Receiver, RecvTimeoutError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hospes_device::counters::Counted;
use hospes_device::memory::GuestMemory;
use hospes_device::thread::{self, Role};
use kvm_ioctls::{VcpuFd, VmFd};
use serde_json::Value;

use crate::balloon::BalloonDevice;
use crate::config::{self, ConfigError, Personality};
use crate::control::routes;
use crate::control::server::Server;
use crate::devices::Devices;
use crate::handle::Handle;
use crate::hyperv::platform::Platform;
use crate::kvm::interrupts::Vectors;
use crate::kvm::stats::Statistics;
use crate::kvm::vcpu::{self, Context, Vcpu};
use crate::outcome::{Outcome, Stopper};
use crate::platform::pvpanic::PvPanic;
use crate::platform::serial::SerialPort;
use crate::refusal::Refusal;
use crate::storage::fault::Faulty;
use crate::vmware::vmci::Vmci;
use crate::{limits, signals, storage, vmware};

use chassis::Chassis;
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
        prepare(config, &stopper)?;
        let chassis = Chassis::new(config, &stopper)?;
        let hyperv = match config.personality {
            Personality::Kvm | Personality::Vmware => None,
            Personality::Hyperv => Some(Platform::new(&chassis.kvm, &chassis.vm, &chassis.memory)?),
        };
        let vectors = Vectors(chassis.interrupts.clone());
        let build = |one| vmware::balloon::build(one, config, &chassis.memory, &vectors);
        let balloon = config.balloon.as_ref().map(build).transpose()?;
        let (port, vmci) = balloon.map_or((None, None), |parts| (Some(parts.port), parts.vmci));
        let (vcpus, vmware) = guest::load(&chassis, config, hyperv.as_deref(), port.clone())?;
        if let Some(hyperv) = &hyperv {
            start_bus(hyperv, &chassis, config)?;
        }
        let devices = Devices::new(chassis.root, chassis.slots, hyperv.clone());
        add_functions(&devices, config, &chassis.memory, &vectors, vmci, &stopper)?;
        let running = Arc::<Running>::default();
        let balloon = port.map(|port| -> Arc<dyn BalloonDevice> { port });
        let counters = Arc::new(Counters {
            vcpus: vcpus.iter().map(|_| Arc::default()).collect(),
            kvm: vcpus.iter().filter_map(Statistics::of).collect(),
            devices,
            serial: chassis.serial,
            spaces: chassis.spaces,
            balloon: balloon.clone(),
            vmware,
        });
        let handle = Handle {
            devices: counters.devices.clone(),
            power: chassis.power,
            vcpus: running.clone(),
            counters: counters.clone(),
            stopper: stopper.clone(),
            balloon,
            memory: chassis.memory.clone(),
            vectors: Box::new(vectors),
            cpus: config.cpus,
            memory_size: config.memory.0,
            devices_paused: AtomicBool::new(false),
        };
        let control = connect(config, handle, &counters.serial)?;
        Ok(Self {
            control,
            vcpus,
            running,
            counters,
            outcomes,
            stopper,
            time_limit: config.time_limit.map(Duration::from_secs),
            hyperv,
            _vm: chassis.vm,
            _memory: chassis.memory,
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

/// Makes the process one that can run a machine, and no more than that.
fn prepare(config: &config::Machine, stopper: &Stopper) -> Result<()> {
    limits::forbid_new_privileges().context("privileges cannot be given up")?;
    signals::block().context("signals cannot be blocked")?;
    thread::start(config.seccomp)?;
    signals::watch(stopper.clone()).context("signals cannot be watched")?;
    vcpu::prepare_kicks().context("signals cannot be handled")?;
    if let Err(error) = limits::raise_open_files() {
        tracing::warn!(%error, "the limit on open files stays as it is");
    }
    Ok(())
}

/// Starts VMBus.
fn start_bus(hyperv: &Platform, chassis: &Chassis, config: &config::Machine) -> Result<()> {
    let settings = hospes_vmbus::Settings {
        max_version: config.vmbus_max_version.0,
    };
    hyperv.start_bus(&chassis.vm, &chassis.interrupts, config.cpus, settings)?;
    let fail = |text| ConfigError(format!("fault: on={}: {text}", crate::hyperv::BUS));
    for fault in config
        .fault
        .iter()
        .filter(|fault| fault.on == crate::hyperv::BUS)
    {
        if let Some(bus) = hyperv.bus() {
            Faulty::inject(bus, fault.fault.clone()).map_err(fail)?;
        }
    }
    Ok(())
}

/// Lets others at the machine: by its control socket, and its serial line.
fn connect(
    config: &config::Machine,
    handle: Handle,
    serial: &Arc<SerialPort>,
) -> Result<Option<Server>> {
    let control = config.control.as_ref();
    let control = control
        .map(|control| serve(&control.path, handle))
        .transpose()?;
    if config.serial.stdin {
        serial
            .read_stdin()
            .context("standard input cannot be read")?;
    }
    Ok(control)
}

/// Serves the control socket.
fn serve(path: &Path, handle: Handle) -> Result<Server> {
    let service = Box::new(move |request: &_| routes::answer(&handle, request));
    Server::start(path, service)
        .map_err(|error| ConfigError(format!("control: {}: {error}", path.display())).into())
}

/// Puts pvpanic, the balloon's doorbell and all controllers where guests find them.
fn add_functions(
    devices: &Devices,
    config: &config::Machine,
    memory: &GuestMemory,
    vectors: &Vectors,
    doorbell: Option<Arc<Vmci>>,
    stopper: &Stopper,
) -> Result<()> {
    let fail = |refusal: Refusal| ConfigError(refusal.text);
    if let Some(doorbell) = doorbell {
        devices.add(vmware::vmci::ID, doorbell).map_err(fail)?;
    }
    let panic = Arc::new(PvPanic::new(stopper.clone()));
    devices.add("pvpanic", panic).map_err(fail)?;
    for controller in storage::build(config, memory, vectors)? {
        devices.add_controller(&controller).map_err(fail)?;
    }
    Ok(())
}
