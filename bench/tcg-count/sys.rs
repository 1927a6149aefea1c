// SPDX-License-Identifier: GPL-2.0 OR MIT

//! QEMU's plugin interface, version 5 and later, as far as it is used.
//!
//! Declared here because its header is not packaged. QEMU resolves the functions
//! when it loads the plugin.

use std::ffi::{c_char, c_int, c_uint, c_void, CStr};

use crate::instruction::{self, Kind};
use crate::{start, Block, Machine};

/// The version of the interface that the shapes below are of.
#[no_mangle]
pub static qemu_plugin_version: c_int = 7;

#[repr(C)]
struct RawBlock([u8; 0]);
#[repr(C)]
struct RawInstruction([u8; 0]);

type OnTranslate = extern "C" fn(*mut RawBlock, *mut c_void);
type OnExecute = extern "C" fn(c_uint, *mut c_void);
type OnExit = extern "C" fn(*mut c_void);

/// Callbacks look at no registers.
const NO_REGISTERS: c_int = 0;

extern "C" {
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: u64, callback: OnTranslate, data: *mut c_void);
    fn qemu_plugin_register_atexit_cb(id: u64, callback: OnExit, data: *mut c_void);
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut RawBlock,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut RawInstruction,
        callback: OnExecute,
        flags: c_int,
        data: *mut c_void,
    );
    fn qemu_plugin_tb_n_insns(block: *const RawBlock) -> usize;
    fn qemu_plugin_tb_vaddr(block: *const RawBlock) -> u64;
    fn qemu_plugin_tb_get_insn(block: *const RawBlock, index: usize) -> *mut RawInstruction;
    fn qemu_plugin_insn_size(instruction: *const RawInstruction) -> usize;
    fn qemu_plugin_insn_data(
        instruction: *const RawInstruction,
        to: *mut c_void,
        len: usize,
    ) -> usize;
}

/// What happens when something is executed; lives as long as QEMU does.
enum Hook {
    Block(&'static Machine, &'static Block),
    Mark(&'static Machine, u8, u64),
    Vmrun(&'static Machine, u64),
}

/// Called by QEMU once, before the guest runs.
///
/// # Safety
///
/// `arguments` points to `count` strings, as QEMU promises.
#[no_mangle]
pub unsafe extern "C" fn qemu_plugin_install(
    id: u64,
    _info: *const c_void,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    let words: Vec<String> = (0..usize::try_from(count).unwrap_or(0))
        // SAFETY: There are that many strings, by this function's contract.
        .map(|index| {
            unsafe { CStr::from_ptr(*arguments.add(index)) }
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let machine: &'static Machine = match start(&words) {
        Ok(machine) => Box::leak(Box::new(machine)),
        Err(text) => {
            eprintln!("tcg-count: {text}");
            return 1;
        }
    };
    let data = std::ptr::from_ref(machine).cast_mut().cast();
    // SAFETY: `data` is valid for ever, and both callbacks take it for what it is.
    unsafe {
        qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate, data);
        qemu_plugin_register_atexit_cb(id, on_exit, data);
    }
    0
}

extern "C" fn on_translate(raw: *mut RawBlock, data: *mut c_void) {
    // SAFETY: `data` is what `qemu_plugin_install` gave: a machine that lives for ever.
    let machine: &'static Machine = unsafe { &*data.cast::<Machine>() };
    // SAFETY: QEMU gives a block that is valid during this call.
    let (address, count) = unsafe { (qemu_plugin_tb_vaddr(raw), qemu_plugin_tb_n_insns(raw)) };
    let mut block = Block::default();
    (block.start, block.end, block.instructions) = (address, address, count as u64);
    let (mut last, mut mark) = (Kind::Other, None);
    for index in 0..count {
        // SAFETY: The block has that many instructions.
        let instruction = unsafe { qemu_plugin_tb_get_insn(raw, index) };
        let (kind, len) = look_at(instruction);
        block.end = block.end.wrapping_add(len);
        match kind {
            Kind::Vmrun => hook(instruction, Hook::Vmrun(machine, block.end)),
            Kind::Load(value) => {
                if let Some(marked) = mark {
                    hook(
                        marked,
                        Hook::Mark(machine, (value >> 56) as u8, value << 8 >> 8),
                    );
                }
            }
            _ => {}
        }
        mark = (kind == Kind::Mark).then_some(instruction);
        last = kind;
    }
    (block.calls, block.returns) = (last == Kind::Call, last == Kind::Return);
    block.resumes = last == Kind::Iret;
    let block = machine.add(block);
    let data = leak(Hook::Block(machine, block));
    // SAFETY: `data` is a hook that lives for ever, which is what the callback takes.
    unsafe { qemu_plugin_register_vcpu_tb_exec_cb(raw, on_execute, NO_REGISTERS, data) };
}

/// What an instruction is, and its length.
fn look_at(instruction: *mut RawInstruction) -> (Kind, u64) {
    let mut bytes = [0; 16];
    // SAFETY: The instruction is valid during translation, and the buffer has that
    // many bytes.
    let (len, copied) = unsafe {
        let len = qemu_plugin_insn_size(instruction);
        (
            len,
            qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), len.min(bytes.len())),
        )
    };
    (
        instruction::kind(bytes.get(..copied).unwrap_or(&[])),
        len as u64,
    )
}

fn hook(instruction: *mut RawInstruction, hook: Hook) {
    let data = leak(hook);
    // SAFETY: The instruction is valid during translation; `data` is a hook that
    // lives for ever, which is what the callback takes.
    unsafe { qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_execute, NO_REGISTERS, data) };
}

fn leak(hook: Hook) -> *mut c_void {
    std::ptr::from_mut(Box::leak(Box::new(hook))).cast()
}

extern "C" fn on_execute(_vcpu: c_uint, data: *mut c_void) {
    // SAFETY: Only hooks that live for ever are registered with this callback.
    match unsafe { &*data.cast::<Hook>() } {
        Hook::Block(machine, block) => machine.execute(block),
        Hook::Mark(machine, command, value) => machine.mark(*command, sign_extend(*value)),
        Hook::Vmrun(machine, exit) => machine.enter_guest(*exit),
    }
}

/// Kernel addresses are negative; the top byte of a mark is its command.
fn sign_extend(value: u64) -> u64 {
    ((value << 8) as i64 >> 8) as u64
}

extern "C" fn on_exit(data: *mut c_void) {
    // SAFETY: `data` is what `qemu_plugin_install` gave: a machine that lives for ever.
    unsafe { &*data.cast::<Machine>() }.finish();
}
