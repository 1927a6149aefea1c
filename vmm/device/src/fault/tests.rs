// SPDX-License-Identifier: GPL-2.0 OR MIT

//! What waits. Kinds, selection and chance are tested with the devices that have
//! kinds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc};
use std::time::Duration;

use super::*;

#[test]
fn what_is_held_is_dropped_once_and_only_so_much_is() {
    struct Counts(Arc<AtomicUsize>);
    impl Drop for Counts {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let held = Held::new(2);
    for _ in 0..3 {
        let _ = held.keep(Counts(dropped.clone()));
    }
    assert_eq!((held.len(), dropped.load(Ordering::SeqCst)), (2, 1));
    held.release();
    assert!(held.is_empty());
    assert_eq!(dropped.load(Ordering::SeqCst), 3);
}

#[test]
fn late_answers_come_in_time_or_not_at_all() {
    let (sender, receiver) = mpsc::channel();
    let late = Late::default();
    late.start().unwrap();
    let answer = |what: u8, delay: u64| {
        let sender = sender.clone();
        late.after(Duration::from_secs(delay), move || {
            sender.send(what).unwrap()
        });
    };
    answer(1, 3600);
    answer(2, 0);
    assert_eq!(receiver.recv().unwrap(), 2);
    late.release();
    drop(late);
    drop(sender);
    assert!(receiver.recv().is_err(), "the one that waited was dropped");
}

#[test]
fn late_answers_wait_for_the_end_of_a_pause() {
    let (sender, receiver) = mpsc::channel();
    let late = Late::default();
    late.start().unwrap();
    late.set_paused(true);
    late.after(Duration::ZERO, move || sender.send(()).unwrap());
    late.set_paused(true);
    assert!(receiver.try_recv().is_err());
    late.set_paused(false);
    receiver.recv().unwrap();
}
