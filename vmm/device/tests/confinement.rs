// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What happens to a process whose thread leaves its filter.
//!
//! Filters cannot be taken off, so each case is a process of its own: this
//! program starts itself with the case's name.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::process::{Command, Output};
use std::{env, fs};

use hospes_device::thread::{self, Mode, Role};

const VARIABLE: &str = "CONFINEMENT_CASE";

fn main() {
    if let Ok(case) = env::var(VARIABLE) {
        return child(&case);
    }
    permitted_calls_work();
    a_forbidden_call_ends_the_process();
    a_thread_inherits_nothing_from_its_starter();
    filters_can_be_left_out();
}

/// The part of a case that runs confined.
fn child(case: &str) {
    let (mode, role) = match case {
        "off" => (Mode::Off, Role::Device),
        "control" => (Mode::On, Role::Control),
        "by-console" => {
            thread::start(Mode::On).unwrap();
            let start = || run(Role::Control);
            thread::spawn(Role::Console, "console", start)
                .unwrap()
                .join()
                .unwrap();
            return;
        }
        _ => (Mode::On, Role::Device),
    };
    thread::start(mode).unwrap();
    run(role);
}

/// Opens a file on a thread of `role`.
fn run(role: Role) {
    let body = || println!("read {}", fs::read("/proc/version").is_ok());
    thread::spawn(role, "worker", body).unwrap().join().unwrap();
}

fn start(case: &str) -> (Output, String) {
    let mut command = Command::new(env::current_exe().unwrap());
    let output = command.env(VARIABLE, case).output().unwrap();
    let errors = String::from_utf8(output.stderr.clone()).unwrap();
    (output, errors)
}

fn succeeds(case: &str) {
    let (output, errors) = start(case);
    assert!(output.status.success(), "{case}: {errors}");
    assert_eq!(output.stdout, b"read true\n", "{case}");
}

fn permitted_calls_work() {
    succeeds("control");
}

fn a_forbidden_call_ends_the_process() {
    let (output, errors) = start("device");
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert_eq!(output.stdout, b"");
    assert!(
        errors.contains("thread worker made the system call openat (257)"),
        "{errors}"
    );
}

fn a_thread_inherits_nothing_from_its_starter() {
    succeeds("by-console");
}

fn filters_can_be_left_out() {
    succeeds("off");
}
