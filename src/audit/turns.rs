//! Taking turns: for the time of a hand-over two processes write the same audit file, one at a time.
//!
//! The turn is the lock on a file of its own, `<file>.lock`, which stays there: the lock of the audit file itself says who
//! runs, and is held as long as that process lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use super::beside::beside;

/// How long to wait before a turn is asked for again: the other process is in the middle of a write.
pub const AGAIN: Duration = Duration::from_micros(200);

/// What is locked for a turn.
#[derive(Debug)]
pub struct Turns(File);

impl Turns {
    /// Of an audit file. The lock file is made with mode 0600 where it is missing.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn of(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(beside(path, ".lock"))?;
        Ok(Self(file))
    }

    /// Begins a turn. On a file system without locks there is always one.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`]: it is the other process' turn.
    pub fn begin(&self) -> io::Result<()> {
        match self.0.try_lock() {
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            _ => Ok(()),
        }
    }

    /// Ends it.
    pub fn end(&self) {
        // Fails only where there are no locks.
        let _ = self.0.unlock();
    }
}
