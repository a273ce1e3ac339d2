//! The audit file: opened where the earlier run left it, rotated between lines, opened anew where it was moved away.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::pipe::{never_waits, takes};
use super::rotation::{claim, rotated};
use super::tail::{set_mark, tail, take_mark};
use crate::config::Rotate;

/// An open audit file.
#[derive(Debug)]
pub struct AuditFile {
    /// Without symbolic links, so that a rotation renames the file and not the link to it.
    path: PathBuf,
    file: File,
    /// A file on a disk, and not a device or a named pipe.
    regular: bool,
    /// Its length, in bytes.
    size: u64,
    /// When it was made.
    begun: SystemTime,
    /// Whether its lock is ours: another run, which this one takes over from, may still hold it.
    locked: bool,
    rotate: Option<Rotate>,
    /// A rotation failed; the next try is at the next look.
    held: bool,
}

/// What rotations came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotations {
    /// Done.
    pub done: u64,
    /// Failed.
    pub failed: u64,
}

impl AuditFile {
    /// Opens the file, made with mode 0600 where it is missing, and says whether the earlier run did not end it. Half a line
    /// at its end is cut off.
    ///
    /// # Errors
    /// It cannot be opened, read or cut.
    pub fn open(path: &Path, rotate: Option<Rotate>) -> io::Result<(Self, bool)> {
        let mut file = append(path)?;
        let meta = file.metadata()?;
        let regular = meta.is_file();
        let path = if regular {
            fs::canonicalize(path)?
        } else {
            path.to_owned()
        };
        let locked = regular && lock(&file);
        // Where another run still writes it, nothing has ended and nothing may be cut.
        let unclean = locked && settle(&path, &mut file)?;
        let mut opened = Self {
            path,
            file,
            regular,
            size: 0,
            begun: begun(&meta),
            locked,
            rotate: rotate.filter(|_| regular),
            held: false,
        };
        opened.size = opened.file.metadata()?.len();
        Ok((opened, unclean))
    }

    /// Writes as much as it takes.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.size += u64::try_from(n).unwrap_or(0);
        Ok(n)
    }

    /// Waits until it takes bytes, for so long at most; whether it does.
    pub fn wait(&self, most: Duration) -> io::Result<bool> {
        takes(&self.file, most)
    }

    /// Whether so many more bytes are for a new file.
    pub fn is_full(&self, more: usize) -> bool {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        let most = self.rotate.and_then(|rotate| rotate.bytes);
        !self.held
            && self.size > 0
            && most.is_some_and(|most| self.size.saturating_add(more) > most)
    }

    /// Whether the file is so old that a new one is due.
    pub fn is_old(&self, now: SystemTime) -> bool {
        let most = self.rotate.and_then(|rotate| rotate.time);
        let age = now.duration_since(self.begun).unwrap_or_default();
        !self.held && self.size > 0 && most.is_some_and(|most| age >= most)
    }

    /// Gives the file its rotated name and begins a new one. To be called between two lines. Returns whether there
    /// was a rotation: none where the file was moved away, then it is only opened anew.
    ///
    /// # Errors
    /// It cannot be renamed, or a new one cannot be made. Lines go on to the old one.
    pub fn rotate(&mut self, now: SystemTime) -> io::Result<bool> {
        let done = self.try_rotate(now);
        self.held = done.is_err();
        done
    }

    fn try_rotate(&mut self, now: SystemTime) -> io::Result<bool> {
        if self.is_moved()? {
            self.reopen()?;
            return Ok(false);
        }
        let claimed = claim(&self.path, now)?;
        if let Err(error) = fs::rename(&self.path, &claimed) {
            // It is empty, and ours.
            let _ = fs::remove_file(&claimed);
            return Err(error);
        }
        // Where this fails, the next look finds the file moved away and tries again.
        self.reopen()?;
        self.begun = now;
        Ok(true)
    }

    /// To be called every second or so: opens the file anew where it was moved away, and lets a failed rotation be tried
    /// again. Returns whether it was moved.
    ///
    /// # Errors
    /// It cannot be opened anew. Lines go on to the old one.
    pub fn look(&mut self) -> io::Result<bool> {
        if !self.regular {
            return Ok(false);
        }
        self.held = false;
        if self.is_moved()? {
            self.reopen()?;
            return Ok(true);
        }
        if !self.locked {
            self.locked = lock(&self.file);
        }
        // Another run may write it too, or an operator may have emptied it.
        self.size = self.file.metadata()?.len();
        Ok(false)
    }

    fn is_moved(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (ours.dev(), ours.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(e),
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = append(&self.path)?;
        let meta = file.metadata()?;
        self.locked = lock(&file);
        self.size = meta.len();
        self.begun = begun(&meta);
        self.file = file;
        Ok(())
    }

    /// Where to delete what is beyond `rotate.keep`, and how many stay.
    pub fn kept(&self) -> Option<(PathBuf, u64)> {
        Some((self.path.clone(), self.rotate?.keep?))
    }

    /// Notes beside the file that this run ended it.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn end(&self) -> io::Result<()> {
        if !self.regular {
            return Ok(());
        }
        self.file.sync_data()?;
        set_mark(&self.path, self.file.metadata()?.len())
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        // For a named pipe; a disk does not mind.
        .custom_flags(never_waits())
        .open(path)
}

/// Whether no other run holds the lock; a file system without locks has none to hold.
fn lock(file: &File) -> bool {
    !matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Not every file system knows when a file was made; then it counts from now.
fn begun(meta: &fs::Metadata) -> SystemTime {
    meta.created().unwrap_or_else(|_| SystemTime::now())
}

/// Cuts half a line off and says whether the earlier run did not end the file.
fn settle(path: &Path, file: &mut File) -> io::Result<bool> {
    let found = tail(&mut File::open(path)?)?;
    let length = file.metadata()?.len();
    let mark = take_mark(path, length)?;
    if found.whole < length {
        file.set_len(found.whole)?;
    }
    if found.open {
        file.write_all(b"\n")?;
    }
    if length == 0 {
        // A run that was killed just after a rotation leaves an empty file and no mark.
        return Ok(mark.is_none() && !rotated(path)?.is_empty());
    }
    Ok(found.torn || mark != Some(true))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
