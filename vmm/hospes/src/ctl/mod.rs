// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `hospes ctl`: what the control socket can do, as words and `key=value`
//! lists like those of `hospes run`.
//!
//! [`words`] has the command line, [`calls`] what each command asks the socket
//! for. The answer's JSON goes to standard output as one line, what is wrong to
//! standard error, and the exit status tells whose fault it is.

mod calls;
mod words;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use hospes::config::ConfigError;
use hospes::control::client::{Client, Reply};
use hospes::outcome::STATUS_ERROR;

pub use words::{help, Options};

use calls::{Call, Until};

/// Exit status if the machine refuses.
const STATUS_REFUSED: u8 = 3;

/// Exit status if something did not happen in time.
const STATUS_WAITED: u8 = 4;

/// How often it is looked whether something happened.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Carries a command out, and returns the exit status.
///
/// # Errors
///
/// [`ConfigError`] for a wrong command, others if the socket does not answer.
pub fn run(options: &Options) -> Result<u8> {
    let environment = || std::env::var_os("HOSPES_SOCKET").map(PathBuf::from);
    let socket = options.socket.clone().or_else(environment).ok_or_else(|| {
        ConfigError("--socket is missing: add --socket PATH, or set HOSPES_SOCKET".to_owned())
    })?;
    let client = Client {
        path: socket,
        timeout: Duration::from_secs(options.timeout),
    };
    let call = options.command.call()?;
    let reply = ask(&client, &call)?;
    match reply.status {
        200..300 => {
            println!("{}", reply.body);
            wait(&client, &call, options)
        }
        status => {
            eprintln!("hospes: {}", error_text(&reply));
            let refused = (400..500).contains(&status);
            Ok(if refused {
                STATUS_REFUSED
            } else {
                STATUS_ERROR
            })
        }
    }
}

fn ask(client: &Client, call: &Call) -> Result<Reply> {
    client
        .request(call.method, &call.path, call.body.as_ref())
        .with_context(|| format!("no answer from {}", client.path.display()))
}

fn error_text(reply: &Reply) -> String {
    match reply.body.get("error").and_then(|text| text.as_str()) {
        Some(text) => text.to_owned(),
        None => format!("status {}: {}", reply.status, reply.body),
    }
}

/// Waits for what the call only began.
fn wait(client: &Client, call: &Call, options: &Options) -> Result<u8> {
    let (until, limit) = match &call.until {
        Until::Done => return Ok(0),
        Until::Paused => (call.clone(), Some(options.timeout)),
        Until::Gone { path, limit } => (Call::new("GET", path.clone(), None), *limit),
    };
    let Some(limit) = limit.map(Duration::from_secs) else {
        return Ok(0);
    };
    let start = Instant::now();
    loop {
        let reply = ask(client, &until)?;
        let state = reply.body.get("state").and_then(|state| state.as_str());
        let happened = match call.until {
            Until::Gone { .. } => reply.status == 404,
            _ => state == Some("paused"),
        };
        if happened {
            return Ok(0);
        }
        if start.elapsed() > limit {
            eprintln!("hospes: not done after {} seconds", limit.as_secs());
            return Ok(STATUS_WAITED);
        }
        thread::sleep(POLL_INTERVAL);
    }
}
