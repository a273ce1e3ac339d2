//! When a file ends and the next begins: rotation, and the looks that find it moved away, deleted, or left by the run before.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use super::{AuditFile, Next};
use crate::audit::deleted::Deleted;
use crate::audit::opened::{append, begun};
use crate::audit::rotation::claim;

impl AuditFile {
    /// The bytes of a file at most.
    pub fn most(&self) -> Option<u64> {
        self.rotate.and_then(|rotate| rotate.bytes)
    }

    /// Whether so many more bytes are for a new file.
    pub fn is_full(&self, more: usize) -> bool {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.next == Next::Allowed
            && self.size > 0
            && self
                .most()
                .is_some_and(|most| self.size.saturating_add(more) > most)
    }

    /// Whether the file is so old that a new one is due.
    pub fn is_old(&self, now: SystemTime) -> bool {
        let most = self.rotate.and_then(|rotate| rotate.time);
        let age = now.duration_since(self.begun).unwrap_or_default();
        self.next == Next::Allowed && self.size > 0 && most.is_some_and(|most| age >= most)
    }

    /// Gives the file its rotated name and begins a new one. To be called between two lines. Returns whether there
    /// was a rotation: none where the file was moved away, then it is only opened anew.
    ///
    /// # Errors
    /// It cannot be renamed, or a new one cannot be made. Lines go on to the old one.
    pub fn rotate(&mut self, now: SystemTime) -> io::Result<bool> {
        let done = self.try_rotate(now);
        self.next = if done.is_ok() {
            Next::Allowed
        } else {
            Next::Later
        };
        done
    }

    fn try_rotate(&mut self, now: SystemTime) -> io::Result<bool> {
        let Some(turns) = &self.turns else {
            return self.rotate_in_turn(now);
        };
        if turns.begin().is_err() {
            // At the next line.
            return Ok(false);
        }
        let done = self.rotate_in_turn(now);
        if let Some(turns) = &self.turns {
            turns.end();
        }
        done
    }

    fn rotate_in_turn(&mut self, now: SystemTime) -> io::Result<bool> {
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

    /// To be called every second or so: opens the file anew where it was moved away or deleted, and lets a failed rotation be
    /// tried again. Returns whether it was.
    ///
    /// # Errors
    /// It cannot be opened anew. Lines go on to the old one.
    pub fn look(&mut self) -> io::Result<bool> {
        if !self.regular || self.next == Next::Never {
            return Ok(false);
        }
        self.next = Next::Allowed;
        if self.is_moved()? {
            self.reopen()?;
            return Ok(true);
        }
        let length = self.file.metadata()?.len();
        self.tenure.look(&self.file, &self.path, length);
        // Another run may write it too, or an operator may have emptied it.
        self.size = length;
        self.see(length);
        Ok(false)
    }

    /// The same look where so many bytes of a line are written, and the file has its name.
    pub fn look_behind(&mut self, half: usize) {
        if let (Ok(true), Ok(meta)) = (self.is_last(), self.file.metadata()) {
            let half = u64::try_from(half).unwrap_or(0);
            self.see(meta.len().saturating_sub(half));
        }
    }

    fn see(&mut self, length: u64) {
        self.seen = [self.seen[1], (length, self.lines)];
    }

    /// Whether its path leads elsewhere, or through a symbolic link that was put there.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_moved(&self) -> io::Result<bool> {
        if !self.regular {
            return Ok(false);
        }
        let ours = self.file.metadata()?;
        match fs::symlink_metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) != (ours.dev(), ours.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(e) => Err(e),
        }
    }

    /// Whether it has no name any more: nobody will ever read it.
    pub fn is_deleted(&self) -> bool {
        self.regular && self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let before = self.file.metadata()?;
        if before.nlink() > 0 {
            self.see(before.len());
        }
        let file = append(&self.named)?;
        let path = fs::canonicalize(&self.named)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("something else than a file has its name"));
        }
        let same = (meta.dev(), meta.ino()) == (before.dev(), before.ino());
        if same {
            self.file = file;
            self.tenure.again(&self.file);
        } else {
            let old = std::mem::replace(&mut self.file, file);
            self.tenure.renew(&old, &self.file);
            // Emptied and deleted: from its begin.
            let (at, lines) = self.seen[0];
            let at = if at > before.len() { 0 } else { at };
            if before.nlink() == 0 {
                self.deleted
                    .insert(0, Deleted::new(old, at, self.lines - lines));
            }
            self.lines = 0;
            self.seen = [(meta.len(), 0); 2];
        }
        self.path = path;
        self.size = meta.len();
        self.begun = begun(&meta);
        if !self.tenure.is_locked() && self.turns.is_none() {
            tracing::error!(
                file = %self.named.display(),
                "another process writes the audit file; give each its own audit.file"
            );
            self.share();
        }
        Ok(())
    }

    /// Where to delete what is beyond `rotate.keep`, and how many stay.
    pub fn kept(&self) -> Option<(PathBuf, u64)> {
        Some((self.path.clone(), self.rotate?.keep?))
    }
}
