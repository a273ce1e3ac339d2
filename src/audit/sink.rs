//! Where audit lines go: a file, standard output, a Unix socket, or several of them.
//!
//! Lines gather for each output. A line that must be in the file before its answer is written at once, with all
//! that gathered before it, in one `write`. So are others while they are few; where they are many they wait for such
//! a line, for 32 KiB, or for [`AuditSink::flush`].
//! What could not be written waits and is tried again from the very byte where it stopped, or, where somebody else may have
//! written to the file since, as a whole line: a full disk leaves no torn line behind once there is room. A reader that has stopped is waited for once, for
//! a tenth of a second; until it reads again no thread waits for it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::clock::TimeText;
use super::event::Event;
use super::file::{AuditFile, Others};
use super::line::{Stamp, write_line};
use super::output::{MOST, Output, Target};
use super::pipe::Pipe;
use super::rotation::prune;
use super::socket::Socket;
use crate::config::Audit;

/// So many lines that could wait are written at once between two calls of [`AuditSink::flush`].
const PROMPT: u32 = 8;

/// How long an output that took all so far may take nothing before it counts as blocked. Longer than a busy reader
/// needs for a pipe's 64 KiB, and not so long that the other requests would notice.
const PATIENCE: Duration = Duration::from_millis(100);

/// The same at the end of the process, where no one waits.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// How often it is looked whether the file was moved away and whether the socket's reader has left.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why lines cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The file cannot be opened.
    #[error("cannot open the audit file {}: {source}; its folder must exist and be writable, and a named pipe needs its reader first", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is another process'.
    #[error("another process writes the audit file {}; give each its own audit.file, or start this one with --upgrade to take over from that one", path.display())]
    Taken {
        /// The file.
        path: PathBuf,
    },
    /// Standard output cannot be used.
    #[error("cannot use standard output for audit lines: {0}; set audit.stdout to false")]
    Stdout(io::Error),
    /// Lines wait in memory; they are tried again.
    #[error("cannot write audit lines to {output}: {reason}; they are kept and tried again")]
    Write {
        /// The file, the socket, or `standard output`.
        output: String,
        /// What the system said.
        reason: String,
    },
    /// The process ends, and lines with it.
    #[error("audit lines are lost, not taken until the end: {0}")]
    Left(String),
    /// The note that the run ended well cannot be written.
    #[error("the end of the audit file {} cannot be noted beside it: {source}; the next run's first line says `unclean`", path.display())]
    NotEnded {
        /// The file.
        path: PathBuf,
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
    rotated: AtomicU64,
    not_rotated: AtomicU64,
    not_deleted: AtomicU64,
}

struct State {
    line: Vec<u8>,
    clock: TimeText,
    seq: u64,
    unclean: bool,
    /// Lines that need not wait before the next flush.
    prompt: u32,
    looked: Instant,
    outputs: Vec<Output>,
}

impl AuditSink {
    /// Opens what the configuration names. A file is made with mode 0600 where it is missing; half a line at its
    /// end, left by a run that was killed, is cut off, and the first new line says `unclean`. A socket need not be there yet:
    /// until it is, [`AuditSink::is_blocked`].
    ///
    /// # Errors
    /// The file cannot be opened or read, or another process writes it.
    pub fn open(config: &Audit, others: Others) -> Result<Self, AuditError> {
        let start = start_id();
        let mut outputs = Vec::new();
        let mut unclean = false;
        if let Some(path) = &config.file {
            let opened = AuditFile::open(path, config.rotate, others, &start);
            let (file, left) = opened.map_err(|source| {
                let path = path.clone();
                match source.kind() {
                    io::ErrorKind::ResourceBusy => AuditError::Taken { path },
                    _ => AuditError::Open { path, source },
                }
            })?;
            unclean = left;
            let name = path.display().to_string();
            outputs.push(Output::new(name, Target::File(file)));
        }
        if config.stdout {
            let pipe = Pipe::inherited(&io::stdout()).map_err(AuditError::Stdout)?;
            outputs.push(Output::new("standard output".into(), Target::Pipe(pipe)));
        }
        if let Some(path) = &config.socket {
            let name = path.display().to_string();
            outputs.push(Output::new(name, Target::Socket(Socket::new(path))));
        }
        let sink = Self::of(outputs, unclean, start);
        // Connects; where that fails it is said and tried again.
        let _ = sink.flush();
        Ok(sink)
    }

    /// Writes to something of one's own.
    #[must_use]
    pub fn to(name: &str, to: Box<dyn Write + Send>) -> Self {
        let outputs = vec![Output::new(name.to_owned(), Target::Other(to))];
        Self::of(outputs, false, start_id())
    }

    fn of(outputs: Vec<Output>, unclean: bool, start: String) -> Self {
        Self {
            state: Mutex::new(State {
                line: Vec::with_capacity(4 << 10),
                clock: TimeText::default(),
                seq: 0,
                unclean,
                prompt: PROMPT,
                looked: Instant::now(),
                outputs,
            }),
            start,
            blocked: AtomicBool::new(false),
            errors: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            rotated: AtomicU64::new(0),
            not_rotated: AtomicU64::new(0),
            not_deleted: AtomicU64::new(0),
        }
    }

    /// Takes an event's line. With `durable` it is written, with all before it, when this returns `Ok`.
    ///
    /// # Errors
    /// Lines cannot be written. The event's own is kept, and tried again, unless the error is [`AuditError::Full`]: then
    /// the next line has a field `lost` that counts it.
    pub fn record(&self, event: &Event<'_>, durable: bool) -> Result<(), AuditError> {
        let mut guard = self.lock();
        let state = &mut *guard;
        state.seq += 1;
        if state.outputs.is_empty() {
            return Ok(());
        }
        let stamp = Stamp {
            start: &self.start,
            seq: state.seq,
            unclean: state.unclean,
        };
        state.line.clear();
        write_line(event, stamp, &mut state.clock, &mut state.line);
        state.unclean = false;
        let (mut full, mut gathered) = (false, false);
        for output in &mut state.outputs {
            full |= !output.put(&state.line);
            gathered |= output.failing.is_none() && output.waiting() >= output.gathers();
        }
        if full {
            self.count(state);
            self.blocked.store(true, Ordering::Release);
        }
        let wrote = if durable || gathered {
            self.write(state, PATIENCE, event.time, false)
        } else if state.prompt > 0 {
            state.prompt -= 1;
            self.write(state, PATIENCE, event.time, false)
        } else {
            Ok(())
        };
        if full { Err(AuditError::Full) } else { wrote }
    }

    /// Writes what has gathered: to be called every 20 ms or so. This is also what ends [`AuditSink::is_blocked`], begins
    /// a new file where the old one's time is over, and connects to a socket again.
    ///
    /// # Errors
    /// Lines cannot be written.
    pub fn flush(&self) -> Result<(), AuditError> {
        let now = SystemTime::now();
        let mut state = self.lock();
        state.prompt = PROMPT;
        // What is written to a deleted file is nowhere, and is written again.
        let deleted = state.outputs.iter().any(Output::is_deleted);
        if deleted || state.looked.elapsed() >= LOOK_EVERY {
            state.look();
        }
        for output in &mut state.outputs {
            output.rotate(now, true);
        }
        let wrote = self.write(&mut state, PATIENCE, now, true);
        let kept: Vec<_> = state.outputs.iter_mut().filter_map(Output::kept).collect();
        drop(state);
        // Deleting a large file takes its time: not while threads wait for the lock.
        for (path, keep) in kept {
            if let Err(error) = prune(&path, keep) {
                self.not_deleted.fetch_add(1, Ordering::Relaxed);
                tracing::error!(file = %path.display(), %error, "old audit files cannot be deleted");
            }
        }
        wrote
    }

    /// To be called before another process that takes over is given its listeners: from now on it may write the file, too.
    pub fn share(&self) {
        for output in &mut self.lock().outputs {
            output.share();
        }
    }

    /// To be called once this process serves, before the one that handed over is told so.
    pub fn serves(&self) {
        let mut state = self.lock();
        for output in &mut state.outputs {
            output.serves();
        }
        state.look();
    }

    /// Whether lines wait that may still be written.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.lock().outputs.iter().any(Output::waits)
    }

    /// Ends the file: writes what has gathered and notes beside the file that this run ended well, unless lines are missing,
    /// be it those of requests that `complete` denies. To be called once, last.
    ///
    /// # Errors
    /// Lines are lost, or the note cannot be written.
    pub fn end(&self, complete: bool) -> Result<(), AuditError> {
        let mut state = self.lock();
        state.look();
        // What fails is told below, of each output.
        let _ = self.write(&mut state, LAST_PATIENCE, SystemTime::now(), true);
        let left: Vec<_> = state.outputs.iter().filter_map(Output::left).collect();
        let mut ended = if left.is_empty() {
            Ok(())
        } else {
            Err(AuditError::Left(left.join(", ")))
        };
        // That the run before did not end the file no line has said yet: without the note the next run's first one does.
        if !complete || state.unclean {
            return ended;
        }
        for output in &mut state.outputs {
            if let Err(source) = output.end()
                && ended.is_ok()
            {
                let path = output.name.clone().into();
                ended = Err(AuditError::NotEnded { path, source });
            }
        }
        ended
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

    /// Rotations that were done, and how often rotating or deleting old files failed.
    #[must_use]
    pub fn rotations(&self) -> (u64, u64) {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failed = of(&self.not_rotated) + of(&self.not_deleted);
        (of(&self.rotated), failed)
    }

    /// The id of this start of the process, as lines bear it: 16 hexadecimal digits.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere leaves whole lines behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits; to outputs that failed only where `again`, so that requests do not try what cannot be.
    fn write(
        &self,
        state: &mut State,
        patience: Duration,
        now: SystemTime,
        again: bool,
    ) -> Result<(), AuditError> {
        let mut failed = None;
        for output in &mut state.outputs {
            if output.is_idle() {
                continue;
            }
            let patience = if output.failing.is_some() {
                Duration::ZERO
            } else {
                patience
            };
            if again || output.failing.is_none() {
                let wrote = output.write(patience, now);
                self.errors
                    .fetch_add(u64::from(wrote.is_err()), Ordering::Relaxed);
                output.tell(wrote);
            }
            if let Some(reason) = &output.failing {
                failed = Some(AuditError::Write {
                    output: output.name.clone(),
                    reason: reason.clone(),
                });
            }
        }
        self.count(state);
        self.blocked.store(failed.is_some(), Ordering::Release);
        failed.map_or(Ok(()), Err)
    }

    fn count(&self, state: &State) {
        let sum = |of: fn(&Output) -> u64| state.outputs.iter().map(of).sum();
        self.lost
            .store(sum(|output| output.lost), Ordering::Relaxed);
        let done = sum(|output| output.rotations.done);
        self.rotated.store(done, Ordering::Relaxed);
        let failed = sum(|output| output.rotations.failed);
        self.not_rotated.store(failed, Ordering::Relaxed);
    }
}

impl State {
    /// Whether files were moved away, and readers have left.
    fn look(&mut self) {
        self.looked = Instant::now();
        for output in &mut self.outputs {
            self.unclean |= output.look();
        }
    }
}

impl Drop for AuditSink {
    fn drop(&mut self) {
        // Without the note: only who calls `end` says that all went well.
        let _ = self.flush();
    }
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
#[path = "sink_tests.rs"]
mod tests;
