// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bytes that clients send to the control socket.
//!
//! The machine behind it is real enough to have controllers and disks, so run
//! this where files are of no worth: `scripts/fuzz` does so in a directory of
//! its own, as a user without rights.

use std::cell::RefCell;
use std::fs::File;

use hospes::control::model::Model;

/// After so many runs there is a new machine: the old one may be full of disks.
const RUNS: usize = 256;

thread_local! {
    static MACHINE: RefCell<(Model, usize)> = RefCell::new((machine(), 0));
}

/// A machine with the controller `s0` and a disk.
fn machine() -> Model {
    let image = File::create("0.img").expect("a directory to write to");
    image.set_len(4096).expect("some space");
    let model = Model::new();
    for (path, body) in [
        ("/scsi", r#"{"type":"virtio","id":"s0"}"#),
        ("/disk", r#"{"path":"0.img","on":"s0"}"#),
    ] {
        let request = format!(
            "POST {path} HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(model.feed(request.as_bytes()), 1);
    }
    model
}

/// Has the machine answer.
///
/// # Panics
///
/// If the machine does.
pub fn run(data: &[u8]) {
    MACHINE.with_borrow_mut(|(model, runs)| {
        if *runs == RUNS {
            (*model, *runs) = (machine(), 0);
        }
        *runs += 1;
        model.feed(data);
        // Nobody takes these away otherwise.
        while model.outcomes.try_recv().is_ok() {}
    });
}
