// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Work on many disks by one process.
//!
//! The disks come as lines, `NUMBER GENERATION PATH`. Some threads take one
//! after the other; a disk that is wrong ends the work of its thread, and all
//! that are wrong are named.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{anyhow, bail, Context, Result};

/// A disk of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its number, which is part of every block.
    pub disk: u64,
    /// The generation that it has, or is to have.
    pub generation: u64,
    /// Its device node or file.
    pub path: PathBuf,
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(3, ' ');
        Some(Self {
            disk: words.next()?.parse().ok()?,
            generation: words.next()?.parse().ok()?,
            path: words.next()?.into(),
        })
    }
}

/// Reads a list.
///
/// # Errors
///
/// A line that is no entry, or what keeps it from being read.
pub fn read(list: impl BufRead) -> Result<Vec<Entry>> {
    let entry = |line: std::io::Result<String>| {
        let line = line.context("cannot read the list of disks")?;
        Entry::parse(&line).ok_or_else(|| anyhow!("'{line}' is not NUMBER GENERATION PATH"))
    };
    list.lines().map(entry).collect()
}

/// Does `work` to each entry, to so many at a time.
///
/// # Errors
///
/// Each failure that ended a thread.
pub fn each(
    entries: &[Entry],
    at_once: usize,
    work: impl Fn(&Entry) -> Result<()> + Sync,
) -> Result<()> {
    let next = Mutex::new(entries.iter());
    let take = || next.lock().unwrap_or_else(PoisonError::into_inner).next();
    let serve = || {
        while let Some(entry) = take() {
            work(entry).with_context(|| format!("disk {}", entry.disk))?;
        }
        Ok(())
    };
    let results: Vec<Result<()>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..at_once).map(|_| scope.spawn(serve)).collect();
        let ended = threads.into_iter().map(|thread| thread.join());
        ended
            .map(|result| result.unwrap_or_else(|_| bail!("a thread panicked")))
            .collect()
    });
    let failures: Vec<String> = (results.into_iter().filter_map(Result::err))
        .map(|error| format!("{error:#}"))
        .collect();
    if failures.is_empty() {
        return Ok(());
    }
    bail!(failures.join("; "))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn lists() {
        let entries = read("3 7 /dev/sda\n4 8 a file\n".as_bytes()).unwrap();
        let path = |text: &str| PathBuf::from(text);
        let found: Vec<_> = (entries.iter())
            .map(|entry| (entry.disk, entry.generation, entry.path.clone()))
            .collect();
        assert_eq!(found, [(3, 7, path("/dev/sda")), (4, 8, path("a file"))]);
        for bad in ["3 7\n", "x 7 /dev/sda\n", "\n"] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn each_disk_is_worked_on_once_and_the_wrong_ones_are_named() {
        let lines: Vec<_> = (0..20).map(|disk| format!("{disk} 1 /dev/x")).collect();
        let entries = read(lines.join("\n").as_bytes()).unwrap();
        for at_once in [1, 4, 64] {
            let seen = Mutex::new(Vec::new());
            each(&entries, at_once, |entry| {
                seen.lock().unwrap().push(entry.disk);
                Ok(())
            })
            .unwrap();
            let seen = seen.into_inner().unwrap();
            assert_eq!(seen.len(), 20);
            assert_eq!(seen.into_iter().collect::<BTreeSet<_>>().len(), 20);
        }
        let error = each(&entries, 2, |entry| {
            if entry.disk % 10 == 5 {
                bail!("is wrong");
            }
            Ok(())
        })
        .unwrap_err();
        let text = error.to_string();
        assert!(text.contains("disk 5: is wrong"), "{text}");
    }
}
