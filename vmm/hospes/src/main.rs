// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The command line of `hospes`.

mod cli;
mod ctl;

use std::process::ExitCode;

use clap::Parser;
use hospes::config::ConfigError;
use hospes::outcome::{STATUS_ERROR, STATUS_USAGE};

fn main() -> ExitCode {
    let cli::Cli { command } = cli::Cli::parse();
    let result = match command {
        cli::Command::Run(options) => cli::run(&options),
        cli::Command::Ctl(options) => ctl::run(&options),
    };
    match result {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            eprintln!("hospes: {error:#}");
            let usage = error.downcast_ref::<ConfigError>().is_some();
            ExitCode::from(if usage { STATUS_USAGE } else { STATUS_ERROR })
        }
    }
}
