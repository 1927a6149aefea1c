// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The control socket: what users do to a machine while it runs, as HTTP with
//! JSON on a Unix socket. `openapi.json` describes it.
//!
//! - [`http`]: requests out of bytes, answers into bytes;
//! - [`routes`]: which method and path do what to a [`Handle`](crate::handle::Handle);
//! - [`server`]: connections and their limits, on one thread;
//! - [`client`]: the other end, for `hospes ctl`.
//!
//! Clients are not trusted to be well-behaved. Their number, the size of what
//! they send and the time they take are limited, and the thread shares no lock
//! with vCPUs for longer than it takes to look something up.

pub mod client;
pub mod http;
#[cfg(any(test, feature = "fuzzing"))]
pub mod model;
pub mod routes;
pub mod server;
