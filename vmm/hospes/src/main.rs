// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The command line of `hospes`.

mod cli;

use std::process::ExitCode;

use clap::Parser;
use hospes::config::ConfigError;
use hospes::outcome::{STATUS_ERROR, STATUS_USAGE};

fn main() -> ExitCode {
    let cli::Cli { command } = cli::Cli::parse();
    let cli::Command::Run(options) = command;
    match cli::run(&options) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("hospes: {error:#}");
            let usage = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if usage { STATUS_USAGE } else { STATUS_ERROR })
        }
    }
}
