// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The backdoor: a port of VMware's hypervisors that answers in registers.
//!
//! A guest reads the port with a magic number in EAX, a command in CX and an
//! argument in EBX; the answer is in EAX, and for some commands in EBX, ECX,
//! EDX, ESI and EDI. What is here is what Linux 7.3 (`arch/x86/kernel/cpu/vmware.c`)
//! and open-vm-tools ask for.
//!
//! Not obvious: a command that there is not leaves all registers but EAX as they
//! were, and callers look at those: Linux asks for the frequency with all ones in
//! EBX, and takes any other value for an answer.

/// The port.
pub const PORT: u16 = 0x5658;
/// The port for whole buffers, by string I/O. Nothing is behind ours.
pub const HIGH_BANDWIDTH_PORT: u16 = 0x5659;
/// EAX of a call: `VMXh`.
pub const MAGIC: u32 = 0x564d_5868;
/// EAX of an answer to what there is not.
pub const UNKNOWN: u32 = u32::MAX;

/// The version that answers to [`command::GET_VERSION`].
const VERSION: u32 = 6;
/// The product that answers to it: a server.
const PRODUCT: u32 = 2;
/// Bit of [`command::GET_VCPU_INFO`]: x2APIC may be used without interrupt remapping.
pub const VCPU_X2APIC: u32 = 1 << 3;
/// Longest time in microseconds that a clock may be behind, as we tell.
const MAX_TIME_LAG_US: u32 = 1_000_000;

/// Commands: the lower half of ECX.
pub mod command {
    /// The processor's frequency in MHz.
    pub const GET_MHZ: u16 = 1;
    /// Version and product.
    pub const GET_VERSION: u16 = 10;
    /// MiB of memory.
    pub const GET_MEMORY_SIZE: u16 = 20;
    /// The time of day, in 32 bits.
    pub const GET_TIME: u16 = 23;
    /// Frequencies of the counter and of the APIC's bus.
    pub const GET_HZ: u16 = 45;
    /// The time of day, in 64 bits.
    pub const GET_TIME_FULL: u16 = 46;
    /// The same with how far interrupts are behind.
    pub const GET_TIME_FULL_WITH_LAG: u16 = 55;
    /// What a processor can do.
    pub const GET_VCPU_INFO: u16 = 68;
}

/// The registers of a call, and of its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// The magic number, then the answer.
    pub eax: u32,
    /// The argument.
    pub ebx: u32,
    /// The command, in the lower half.
    pub ecx: u32,
    /// The port, in the lower half.
    pub edx: u32,
    /// Another argument.
    pub esi: u32,
    /// Another argument.
    pub edi: u32,
}

/// The time since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Whole seconds.
    pub seconds: u64,
    /// Microseconds beyond.
    pub microseconds: u32,
}

/// What a machine tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Frequency of the time stamp counter.
    pub tsc_hz: u64,
    /// Frequency of the bus that the APICs' timers count.
    pub bus_hz: u32,
    /// Bytes of memory.
    pub memory: u64,
    /// [`VCPU_X2APIC`] or zero.
    pub vcpu_info: u32,
}

impl Registers {
    /// What the registers are after a read of the [`PORT`]. `now` is asked for the time of
    /// day, if that is wanted. `None` if the caller does not know the magic number: then
    /// nothing is behind the port.
    pub fn answer(self, machine: &Machine, now: impl FnOnce() -> Time) -> Option<Self> {
        if self.eax != MAGIC {
            return None;
        }
        let eax = |eax| Self { eax, ..self };
        Some(match self.ecx as u16 {
            command::GET_MHZ => eax((machine.tsc_hz / 1_000_000) as u32),
            command::GET_VERSION => Self {
                ebx: MAGIC,
                ecx: PRODUCT,
                ..eax(VERSION)
            },
            command::GET_MEMORY_SIZE => eax((machine.memory >> 20) as u32),
            command::GET_TIME => self.time(now()),
            command::GET_TIME_FULL => self.time_full(now()),
            command::GET_TIME_FULL_WITH_LAG => Self {
                edi: 0,
                ..self.time_full(now())
            },
            command::GET_HZ => Self {
                ebx: (machine.tsc_hz >> 32) as u32,
                ecx: machine.bus_hz,
                ..eax(machine.tsc_hz as u32)
            },
            command::GET_VCPU_INFO => eax(machine.vcpu_info),
            _ => eax(UNKNOWN),
        })
    }

    fn time(self, now: Time) -> Self {
        Self {
            eax: u32::try_from(now.seconds).unwrap_or(UNKNOWN),
            ebx: now.microseconds,
            ecx: MAX_TIME_LAG_US,
            ..self
        }
    }

    /// EAX stays the magic number, which is what tells of success.
    fn time_full(self, now: Time) -> Self {
        Self {
            ebx: now.microseconds,
            ecx: MAX_TIME_LAG_US,
            esi: (now.seconds >> 32) as u32,
            edx: now.seconds as u32,
            ..self
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may fail")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MACHINE: Machine = Machine {
        tsc_hz: 0x1_2345_6789,
        bus_hz: 1_000_000_000,
        memory: 512 << 20,
        vcpu_info: VCPU_X2APIC,
    };

    const KNOWN: [u16; 8] = [
        command::GET_MHZ,
        command::GET_VERSION,
        command::GET_MEMORY_SIZE,
        command::GET_TIME,
        command::GET_HZ,
        command::GET_TIME_FULL,
        command::GET_TIME_FULL_WITH_LAG,
        command::GET_VCPU_INFO,
    ];

    fn ask(command: u16) -> Registers {
        let call = Registers {
            eax: MAGIC,
            ebx: u32::MAX,
            ecx: command.into(),
            edx: PORT.into(),
            ..Registers::default()
        };
        let now = || Time {
            seconds: 0x2_0000_0003,
            microseconds: 7,
        };
        call.answer(&MACHINE, now).unwrap()
    }

    #[test]
    fn version_frequency_and_processors() {
        let version = ask(command::GET_VERSION);
        assert_eq!((version.eax, version.ebx), (6, MAGIC));
        let hz = ask(command::GET_HZ);
        assert_eq!((hz.eax, hz.ebx, hz.ecx), (0x2345_6789, 1, 1_000_000_000));
        assert_eq!(ask(command::GET_VCPU_INFO).eax, 8);
        assert_eq!(ask(command::GET_MEMORY_SIZE).eax, 512);
        assert_eq!(ask(command::GET_MHZ).eax, 4886);
    }

    #[test]
    fn time() {
        assert_eq!(ask(command::GET_TIME).eax, UNKNOWN);
        for number in [command::GET_TIME_FULL, command::GET_TIME_FULL_WITH_LAG] {
            let full = ask(number);
            assert_eq!((full.eax, full.esi, full.edx, full.ebx), (MAGIC, 2, 3, 7));
        }
    }

    #[test]
    fn what_there_is_not_leaves_other_registers_alone() {
        // Among them the message channel, the mouse and stolen time.
        for number in [0, 30, 39, 40, 41, 86, 91, u16::MAX] {
            let unknown = ask(number);
            assert_eq!((unknown.eax, unknown.ebx), (UNKNOWN, u32::MAX));
            assert_eq!(unknown.ecx, u32::from(number));
        }
    }

    proptest! {
        #[test]
        fn without_the_magic_number_nothing_is_there(eax: u32, ecx: u32) {
            let call = Registers { eax, ecx, ..Registers::default() };
            let answer = call.answer(&MACHINE, Time::default);
            prop_assert_eq!(answer.is_some(), eax == MAGIC);
        }

        #[test]
        fn an_unknown_command_changes_nothing_but_the_answer(
            command: u16, ebx: u32, high: u16, edx: u32, esi: u32, edi: u32,
        ) {
            let ecx = (u32::from(high) << 16) | u32::from(command);
            let call = Registers { eax: MAGIC, ebx, ecx, edx, esi, edi };
            let answer = call.answer(&MACHINE, Time::default);
            let unknown = Registers { eax: UNKNOWN, ..call };
            // Of this machine nothing known is all ones.
            prop_assert_eq!(answer == Some(unknown), !KNOWN.contains(&command));
        }
    }
}
