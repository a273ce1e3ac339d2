//! Where audit lines go: a file, standard output, or both.
//!
//! Lines gather in one buffer. A line that must be in the file before its answer is written at once, with all
//! that gathered before it, in one `write`. So are others while they are few; where they are many they wait for such
//! a line, for 32 KiB, or for [`AuditSink::flush`].
//! What could not be written stays in the buffer and is tried again from the very byte where it stopped, so
//! a full disk leaves no torn line behind once there is room.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use super::clock::TimeText;
use super::event::Event;
use super::line::{Stamp, write_line};
use super::tail::{set_mark, tail, take_mark};
use crate::config::Audit;

/// The buffer is written when it has so many bytes.
const GATHER: usize = 32 << 10;

/// So many lines that could wait are written at once between two calls of [`AuditSink::flush`].
const PROMPT: u32 = 8;

/// The most that waits for an output that cannot be written; lines beyond it are lost, and counted.
const MOST: usize = 1 << 20;

/// Why lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be opened.
    #[error("cannot open the audit file {}: {source}; its folder must exist and be writable", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Lines wait in memory; they are tried again.
    #[error("cannot write audit lines to {output}: {source}; they are kept and tried again")]
    Write {
        /// The file, or `standard output`.
        output: String,
        /// What the system said.
        source: io::Error,
    },
    /// A line was lost: too many wait already.
    #[error(
        "an audit line was lost: {MOST} bytes of them already wait for an output that cannot be written"
    )]
    Full,
}

/// Takes events and writes their lines. Shared by all threads.
pub struct AuditSink {
    state: Mutex<State>,
    start: String,
    blocked: AtomicBool,
    errors: AtomicU64,
    lost: AtomicU64,
}

struct State {
    buffer: Vec<u8>,
    clock: TimeText,
    seq: u64,
    unclean: bool,
    /// Lines that need not wait before the next flush.
    prompt: u32,
    outputs: Vec<Output>,
}

struct Output {
    name: String,
    to: Box<dyn Write + Send>,
    /// The bytes of the buffer that are written already.
    done: usize,
    /// The same as `to`, where it is a file, and its path.
    file: Option<(File, PathBuf)>,
}

impl AuditSink {
    /// Opens what the configuration names. A file is made with mode 0600 where it is missing; half a line at its
    /// end, left by a run that was killed, is cut off, and the first new line says `unclean`. Not so with `shared`: another
    /// process still writes to the file, and ends it.
    ///
    /// # Errors
    /// The file cannot be opened or read.
    pub fn open(config: &Audit, shared: bool) -> Result<Self, AuditError> {
        let mut outputs = Vec::new();
        let mut unclean = false;
        if let Some(path) = &config.file {
            let (file, left) = open(path, shared).map_err(|source| AuditError::Open {
                path: path.clone(),
                source,
            })?;
            unclean = left;
            let to = file.try_clone().map_err(|source| AuditError::Open {
                path: path.clone(),
                source,
            })?;
            outputs.push(Output {
                name: path.display().to_string(),
                to: Box::new(to),
                done: 0,
                file: Some((file, path.clone())),
            });
        }
        if config.stdout {
            outputs.push(Output {
                name: "standard output".into(),
                to: Box::new(io::stdout()),
                done: 0,
                file: None,
            });
        }
        Ok(Self::of(outputs, unclean))
    }

    /// Writes to something of one's own.
    #[must_use]
    pub fn to(name: &str, to: Box<dyn Write + Send>) -> Self {
        let output = Output {
            name: name.to_owned(),
            to,
            done: 0,
            file: None,
        };
        Self::of(vec![output], false)
    }

    fn of(outputs: Vec<Output>, unclean: bool) -> Self {
        Self {
            state: Mutex::new(State {
                buffer: Vec::with_capacity(GATHER * 2),
                clock: TimeText::default(),
                seq: 0,
                unclean,
                prompt: PROMPT,
                outputs,
            }),
            start: start_id(),
            blocked: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            lost: AtomicU64::new(0),
        }
    }

    /// Takes an event's line. With `durable` it is written, with all before it, when this returns `Ok`.
    ///
    /// # Errors
    /// Lines cannot be written. The event's own is kept, and tried again, unless the error is [`AuditError::Full`].
    pub fn record(&self, event: &Event<'_>, durable: bool) -> Result<(), AuditError> {
        let mut state = self.lock();
        self.append(&mut state, |stamp, clock, out| {
            write_line(event, stamp, clock, out);
        })?;
        if !durable && state.buffer.len() < GATHER {
            if state.prompt == 0 {
                return Ok(());
            }
            state.prompt -= 1;
        }
        self.write(&mut state)
    }

    /// Writes what has gathered: to be called every 20 ms or so. This is also what ends [`AuditSink::is_blocked`].
    ///
    /// # Errors
    /// Lines cannot be written.
    pub fn flush(&self) -> Result<(), AuditError> {
        let mut state = self.lock();
        state.prompt = PROMPT;
        if state.buffer.is_empty() {
            return Ok(());
        }
        self.write(&mut state)
    }

    /// Ends the file: writes what has gathered and notes beside the file that this run ended well. To be called once, last.
    ///
    /// # Errors
    /// Lines cannot be written, or the note cannot.
    pub fn end(&self) -> Result<(), AuditError> {
        let mut state = self.lock();
        self.write(&mut state)?;
        for output in &state.outputs {
            let Some((file, path)) = &output.file else {
                continue;
            };
            let ended = file.metadata().and_then(|meta| {
                if !meta.is_file() {
                    return Ok(());
                }
                file.sync_data()?;
                set_mark(path, meta.len())
            });
            ended.map_err(|source| AuditError::Write {
                output: output.name.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Whether the latest try to write failed. With `when_blocked: refuse` no request may go on while it is so.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.blocked.load(Ordering::Acquire)
    }

    /// How often writing failed.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.load(Ordering::Relaxed)
    }

    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The id of this start of the process, as lines bear it: 16 hexadecimal digits.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole lines in the buffer, or at worst half of one that `append` cuts off.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(
        &self,
        state: &mut State,
        line: impl FnOnce(Stamp<'_>, &mut TimeText, &mut Vec<u8>),
    ) -> Result<(), AuditError> {
        state.seq += 1;
        if state.outputs.is_empty() {
            return Ok(());
        }
        let before = state.buffer.len();
        let stamp = Stamp {
            start: &self.start,
            seq: state.seq,
            unclean: state.unclean,
        };
        line(stamp, &mut state.clock, &mut state.buffer);
        if state.buffer.len() > MOST {
            state.buffer.truncate(before);
            self.lost.fetch_add(1, Ordering::Relaxed);
            self.blocked.store(true, Ordering::Release);
            return Err(AuditError::Full);
        }
        state.unclean = false;
        Ok(())
    }

    fn write(&self, state: &mut State) -> Result<(), AuditError> {
        let mut failed = None;
        for output in &mut state.outputs {
            if let Err(source) = output.write(&state.buffer) {
                self.errors.fetch_add(1, Ordering::Relaxed);
                failed = Some(AuditError::Write {
                    output: output.name.clone(),
                    source,
                });
            }
        }
        let done = state.outputs.iter().map(|output| output.done).min();
        let done = done.unwrap_or(state.buffer.len());
        state.buffer.drain(..done);
        for output in &mut state.outputs {
            output.done -= done;
        }
        self.blocked.store(failed.is_some(), Ordering::Release);
        failed.map_or(Ok(()), Err)
    }
}

impl Drop for AuditSink {
    fn drop(&mut self) {
        // Without the note: only who calls `end` says that all went well.
        let _ = self.flush();
    }
}

impl Output {
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        while let Some(rest) = buffer.get(self.done..).filter(|rest| !rest.is_empty()) {
            match self.to.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => self.done += n.min(rest.len()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        self.to.flush()
    }
}

fn open(path: &Path, shared: bool) -> io::Result<(File, bool)> {
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    if shared || !file.metadata()?.is_file() {
        return Ok((file, false));
    }
    let found = tail(&mut File::open(path)?)?;
    let length = file.metadata()?.len();
    let ended = take_mark(path, length)?;
    if found.whole < length {
        file.set_len(found.whole)?;
    }
    if found.open {
        file.write_all(b"\n")?;
    }
    Ok((file, found.torn || (length > 0 && !ended)))
}

/// Random enough to tell starts apart: the system's seed of the standard hash maps, the time and the process.
fn start_id() -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    if let Ok(since) = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        hasher.write_u128(since.as_nanos());
    }
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
