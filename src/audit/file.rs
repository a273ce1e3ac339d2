//! The audit file: opened where the earlier run left it, rotated between lines, opened anew where it was moved away or
//! deleted, shared with another process for the time of a hand-over.

mod renew;
mod tenure;

use std::fs::{self, File};
use std::io::{self, IoSlice, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::deleted::Deleted;
use super::opened::{alone, append, begun, lock, settle};
use super::pipe::takes;
use super::tail::set_mark;
use super::turns::{AGAIN, Turns};
use crate::config::Rotate;
use tenure::Tenure;

/// What becomes of another process that already writes the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// It hands over to this one: both write for a while, and take turns.
    Share,
    /// There must be none; one that is about to end has so much time for it.
    End(Duration),
}

/// An open audit file.
#[derive(Debug)]
pub struct AuditFile {
    /// As it was named.
    named: PathBuf,
    /// Without symbolic links, so that a rotation renames the file and not the link to it.
    path: PathBuf,
    file: File,
    /// A file on a disk, and not a device or a named pipe.
    regular: bool,
    /// Its length, in bytes.
    size: u64,
    /// When it was made.
    begun: SystemTime,
    /// Its lock, and the run that this one takes over from.
    tenure: Tenure,
    /// It was deleted, and a new one cannot be made.
    pub nowhere: bool,
    /// Another process may write it, too.
    turns: Option<Turns>,
    /// It may end in the middle of a line that is written anew.
    open_ended: bool,
    rotate: Option<Rotate>,
    next: Next,
    /// Lines that this run wrote to it.
    lines: u64,
    /// The latest two looks at which it had a name: the length and the lines. What came after the earlier one is written again
    /// where the file is deleted, so that a line which had its answer just before is not missing.
    seen: [(u64, u64); 2],
    deleted: Vec<Deleted>,
    /// What only lines of this run contain.
    ours: String,
    lost: u64,
}

/// Whether a new file may be begun.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// Where it is due.
    Allowed,
    /// A rotation failed; the next try is at the next look.
    Later,
    /// Never more: this run ended the file.
    Never,
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
    /// at its end is cut off. `start` is the id that this run's lines bear.
    ///
    /// # Errors
    /// It cannot be opened, read or cut; [`io::ErrorKind::ResourceBusy`]: another process writes it.
    pub fn open(
        path: &Path,
        rotate: Option<Rotate>,
        others: Others,
        start: &str,
    ) -> io::Result<(Self, bool)> {
        let named = path.to_owned();
        let mut file = append(&named)?;
        let regular = file.metadata()?.is_file();
        let mut path = named.clone();
        let mut locked = false;
        if regular {
            path = fs::canonicalize(&named)?;
            locked = match others {
                Others::Share => lock(&file),
                Others::End(most) => {
                    file = alone(&named, file, most)?;
                    path = fs::canonicalize(&named)?;
                    true
                }
            };
        }
        // Where another run still writes it, nothing has ended and nothing may be cut.
        let unclean = locked && settle(&path, &mut file)?;
        let meta = file.metadata()?;
        let mut opened = Self {
            named,
            path,
            file,
            regular,
            size: meta.len(),
            begun: begun(&meta),
            tenure: Tenure::new(locked, regular && !locked && others == Others::Share, start),
            nowhere: false,
            turns: None,
            open_ended: false,
            rotate: rotate.filter(|_| regular),
            next: Next::Allowed,
            lines: 0,
            seen: [(meta.len(), 0); 2],
            deleted: Vec::new(),
            ours: format!("\"start\":\"{start}\""),
            lost: 0,
        };
        if others == Others::Share {
            opened.share();
        }
        Ok((opened, unclean))
    }

    /// Writes as much as it takes; nothing where it took only what was to be written again from a deleted file.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::WouldBlock`]: it is another process' turn.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.restore()?;
        if bytes.is_empty() {
            return Ok(0);
        }
        if self.turns.is_some() {
            return self.write_whole(bytes);
        }
        let newline = self.open_ended && self.ends_open()?;
        let n = write(&mut self.file, newline, bytes)?;
        self.open_ended = false;
        self.count(&bytes[..n]);
        Ok(n)
    }

    fn count(&mut self, wrote: &[u8]) {
        self.size += u64::try_from(wrote.len()).unwrap_or(0);
        let lines = memchr::memchr_iter(b'\n', wrote).count();
        self.lines += u64::try_from(lines).unwrap_or(0);
    }

    /// Writes whole lines, in this process' turn where there is another one: what does not fit is cut off again.
    fn write_whole(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(turns) = &self.turns {
            turns.begin()?;
        }
        let wrote = self.write_in_turn(bytes);
        if let Some(turns) = &self.turns {
            turns.end();
        }
        wrote
    }

    fn write_in_turn(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A process that was killed, or a file that cannot be cut, leaves half a line.
        let mut newline = self.ends_open()?;
        let mut done = 0;
        let mut stopped = None;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            match write(&mut self.file, newline, rest) {
                Ok(0) if newline => newline = false,
                Ok(0) => {
                    stopped = Some(io::ErrorKind::WriteZero.into());
                    break;
                }
                Ok(n) => {
                    newline = false;
                    done += n;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    stopped = Some(e);
                    break;
                }
            }
        }
        if let Some(error) = stopped {
            let whole = memchr::memrchr(b'\n', &bytes[..done]).map_or(0, |end| end + 1);
            self.cut(done - whole);
            done = whole;
            if done == 0 {
                return Err(error);
            }
        }
        self.count(&bytes[..done]);
        self.size = self.file.metadata()?.len();
        Ok(done)
    }

    /// Whether it ends without a newline, or may.
    fn ends_open(&self) -> io::Result<bool> {
        let Some(last) = self.file.metadata()?.len().checked_sub(1) else {
            return Ok(false);
        };
        let mut byte = [0];
        // Not where it may only be written.
        Ok(self.file.read_at(&mut byte, last).is_err() || byte != *b"\n")
    }

    /// Whether it is a file on a disk.
    pub fn is_regular(&self) -> bool {
        self.regular
    }

    /// Whether nobody has written since this process did.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn is_last(&self) -> io::Result<bool> {
        Ok(!self.regular || self.file.metadata()?.len() == (&self.file).stream_position()?)
    }

    /// Cuts off so many bytes of a line that was written in part; where that is not to be had, the next line begins with a newline.
    pub fn cut(&mut self, half: usize) {
        self.open_ended = self.regular;
        let half = u64::try_from(half).unwrap_or(0);
        if half == 0 || !self.regular || !matches!(self.is_last(), Ok(true)) {
            return;
        }
        if let Ok(meta) = self.file.metadata()
            && self.file.set_len(meta.len().saturating_sub(half)).is_ok()
        {
            self.size = meta.len().saturating_sub(half);
        }
    }

    /// From now on another process may write it, too.
    pub fn share(&mut self) {
        if !self.regular {
            return;
        }
        // Anew each time: somebody may have deleted it meanwhile.
        match Turns::of(&self.path) {
            Ok(turns) => self.turns = Some(turns),
            Err(error) => {
                tracing::error!(
                    file = %self.named.display(), %error,
                    "the audit file's .lock cannot be opened: until the hand-over is done, lines that two processes write to a full disk may be torn"
                );
            }
        }
    }

    /// From now on lines of requests come.
    pub fn serves(&mut self) {
        self.tenure.serves(&self.path);
    }

    /// Whether there are lines of a deleted file that are not yet written again.
    pub fn owes(&self) -> bool {
        !self.deleted.is_empty()
    }

    /// How many these are.
    pub fn owed(&self) -> u64 {
        self.deleted.iter().map(Deleted::left).sum()
    }

    fn restore(&mut self) -> io::Result<()> {
        while let Some(mut deleted) = self.deleted.pop() {
            let next = deleted.next(self.ours.as_bytes());
            if next.is_empty() {
                self.lost += deleted.lost();
                continue;
            }
            let wrote = self.write_whole(next);
            deleted.wrote(*wrote.as_ref().unwrap_or(&0));
            self.deleted.push(deleted);
            wrote?;
        }
        Ok(())
    }

    /// How many lines of deleted files could not be read back since this was asked.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Whether it was found since this was asked that the run which handed over did not end the file.
    pub fn take_unclean(&mut self) -> bool {
        self.tenure.take_unclean()
    }

    /// Waits until it takes bytes, for so long at most; whether it does.
    pub fn wait(&self, most: Duration) -> io::Result<bool> {
        if self.regular {
            std::thread::sleep(most.min(AGAIN));
            return Ok(true);
        }
        takes(&self.file, most)
    }

    /// Notes beside the file that this run ended it.
    ///
    /// # Errors
    /// The note cannot be written.
    pub fn end(&mut self) -> io::Result<()> {
        if !self.regular {
            return Ok(());
        }
        self.next = Next::Never;
        self.file.sync_data()?;
        if self.tenure.follows() {
            // It may have ended since the latest look.
            let length = self.file.metadata()?.len();
            self.tenure.look(&self.file, &self.path, length);
        }
        if self.tenure.is_unclean() {
            // No line has said it, and none will: the next run finds no mark, or this one's note.
            return Ok(());
        }
        // While the run before goes on, the file's end is that one's to say. Who has the lock next learns that this one ended.
        if !self.tenure.follows() {
            set_mark(&self.path, Some(self.file.metadata()?.len()))?;
        } else if self.tenure.is_locked() {
            set_mark(&self.path, None)?;
        }
        self.tenure.forget_before();
        Ok(())
    }
}

/// Writes once; how much of `bytes`, which a newline may precede.
fn write(file: &mut File, newline: bool, bytes: &[u8]) -> io::Result<usize> {
    if !newline {
        return file.write(bytes);
    }
    let n = file.write_vectored(&[IoSlice::new(b"\n"), IoSlice::new(bytes)])?;
    Ok(n.saturating_sub(1))
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
