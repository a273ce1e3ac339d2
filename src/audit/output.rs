//! One place that lines go to, with those that it has not taken yet.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use super::file::{AuditFile, Rotations};
use super::pipe::Pipe;
use super::socket::{Sent, Socket, UNREAD};

/// Lines are written when they have so many bytes.
const GATHER: usize = 32 << 10;
/// The most bytes of lines that wait for an output; lines beyond them are lost, and counted.
pub const MOST: usize = 1 << 20;

/// What takes the bytes.
pub enum Target {
    File(AuditFile),
    Pipe(Pipe),
    Socket(Socket),
    /// Something of the caller's own.
    Other(Box<dyn Write + Send>),
}

// Each says a thing of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Output {
    pub name: String,
    pub to: Target,
    /// Lines that are taken in part or not at all, behind those that may be sent again. Begins with a whole line.
    lines: Vec<u8>,
    /// The bytes of `lines` that are taken.
    taken: usize,
    /// Whether the latest byte that was taken was not the end of a line.
    torn: bool,
    /// Lines lost since the last one that was put.
    gap: u64,
    /// Lines lost, in all.
    pub lost: u64,
    /// Why the latest try failed.
    pub failing: Option<String>,
    /// Its only reader has gone, and nobody can come in its place.
    gone: bool,
    pub rotations: Rotations,
    /// The latest rotation failed, and it was said.
    unrotated: bool,
    /// There is one more rotated file than there was.
    grown: bool,
    /// `lost` when it began to fail.
    before: u64,
}

impl Output {
    pub fn new(name: String, to: Target) -> Self {
        Self {
            name,
            to,
            lines: Vec::new(),
            taken: 0,
            torn: false,
            gap: 0,
            lost: 0,
            failing: None,
            gone: false,
            rotations: Rotations::default(),
            unrotated: false,
            grown: false,
            before: 0,
        }
    }

    /// The bytes that wait.
    pub fn waiting(&self) -> usize {
        self.lines.len() - self.taken
    }

    /// Whether lines were lost and no later line has said so.
    pub fn has_gap(&self) -> bool {
        self.gap > 0
    }

    /// Takes a line, which ends with `}\n`; says how many are lost before it. `false`: there is no room, it is lost.
    pub fn put(&mut self, line: &[u8]) -> bool {
        if self.waiting() + line.len() > MOST {
            self.gap += 1;
            self.lost += 1;
            return false;
        }
        match line.strip_suffix(b"}\n") {
            Some(open) if self.gap > 0 => {
                self.lines.extend_from_slice(open);
                self.lines
                    .extend_from_slice(format!(",\"lost\":{}}}\n", self.gap).as_bytes());
            }
            _ => self.lines.extend_from_slice(line),
        }
        self.gap = 0;
        true
    }

    /// Writes what waits. An output that takes nothing is given `patience` in all.
    ///
    /// # Errors
    /// Something waits still. It is kept.
    pub fn write(&mut self, patience: Duration, now: SystemTime) -> io::Result<()> {
        self.rotate(now, false);
        let done = self.send(patience);
        self.count_lost();
        self.trim();
        done
    }

    fn send(&mut self, patience: Duration) -> io::Result<()> {
        if self.is_nowhere() {
            return Err(io::Error::other("it was deleted, and cannot be made anew"));
        }
        let mut until = None;
        loop {
            self.resume()?;
            if let Target::Socket(socket) = &mut self.to
                && !socket.is_connected()
            {
                socket.connect()?;
            }
            let rest = self.lines.get(self.taken..).unwrap_or_default();
            if rest.is_empty() && !self.owes() {
                break;
            }
            let wrote = match &mut self.to {
                Target::File(file) => file.write(rest),
                Target::Pipe(pipe) => pipe.write(rest),
                Target::Socket(socket) => socket.write(rest),
                Target::Other(other) => other.write(rest),
            };
            match wrote {
                // Only lines of a deleted file were owed.
                Ok(0) if rest.is_empty() => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.taken += n.min(rest.len());
                    self.torn = self.lines.get(self.taken.saturating_sub(1)) != Some(&b'\n');
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let now = Instant::now();
                    let until = *until.get_or_insert(now + patience);
                    if now >= until {
                        let why = match &self.to {
                            Target::File(file) if file.is_regular() => {
                                "the process that hands over, or takes over, is in the middle of a line"
                            }
                            _ => "its reader takes nothing",
                        };
                        return Err(io::Error::new(e.kind(), why));
                    }
                    self.wait(until - now)?;
                }
                Err(e) => self.failed(e)?,
            }
        }
        match &mut self.to {
            Target::Other(other) => other.flush(),
            _ => Ok(()),
        }
    }

    /// A line that was written in part goes on where it stopped, unless somebody else has written meanwhile.
    fn resume(&mut self) -> io::Result<()> {
        if self.torn
            && let Target::File(file) = &self.to
            && !file.is_last()?
        {
            self.begin_anew();
        }
        Ok(())
    }

    /// What was written of a line is cut off, where that can be, and the line is to be written anew.
    fn begin_anew(&mut self) {
        let begin = self.line_begin(self.taken);
        let Target::File(file) = &mut self.to else {
            return;
        };
        if std::mem::take(&mut self.torn) {
            file.cut(self.taken - begin);
            self.taken = begin;
        }
    }

    /// From now on another process may write the file, too.
    pub fn share(&mut self) {
        self.begin_anew();
        if let Target::File(file) = &mut self.to {
            file.share();
        }
    }

    /// From now on lines of requests come.
    pub fn serves(&mut self) {
        if let Target::File(file) = &mut self.to {
            file.serves();
        }
    }

    fn owes(&self) -> bool {
        matches!(&self.to, Target::File(file) if file.owes())
    }

    fn is_nowhere(&self) -> bool {
        matches!(&self.to, Target::File(file) if file.nowhere)
    }

    /// Whether what is written goes to a file that has no name any more.
    pub fn is_deleted(&self) -> bool {
        matches!(&self.to, Target::File(file) if file.is_deleted())
    }

    /// Lines of a deleted file that could not be read back.
    fn count_lost(&mut self) {
        if let Target::File(file) = &mut self.to {
            let lost = file.take_lost();
            self.gap += lost;
            self.lost += lost;
        }
    }

    fn wait(&self, most: Duration) -> io::Result<()> {
        match &self.to {
            Target::File(file) => file.wait(most)?,
            Target::Pipe(pipe) => pipe.wait(most)?,
            Target::Socket(socket) => socket.wait(most)?,
            Target::Other(_) => {
                std::thread::sleep(most.min(Duration::from_millis(1)));
                true
            }
        };
        Ok(())
    }

    /// A lost connection is connected again; all else is an error.
    fn failed(&mut self, error: io::Error) -> io::Result<()> {
        let Target::Socket(socket) = &mut self.to else {
            return Err(error);
        };
        if socket.takes_datagrams()
            && error.raw_os_error() == Some(rustix::io::Errno::MSGSIZE.raw_os_error())
        {
            // It will never be taken, and must not stand in the way of the others.
            let rest = self.lines.get(self.taken..).unwrap_or_default();
            self.taken += memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
            self.gap += 1;
            self.lost += 1;
            return Ok(());
        }
        self.disconnect();
        Ok(())
    }

    /// What the reader may not have, or has in part, is for the next connection.
    fn disconnect(&mut self) {
        let Target::Socket(socket) = &mut self.to else {
            return;
        };
        let unread = match socket.disconnect() {
            Sent::Unknown => UNREAD,
            Sent::Read => 0,
        };
        self.taken = self.line_begin(self.taken.saturating_sub(unread));
        self.torn = false;
    }

    /// Where the line begins of which `at` is a byte or the end of the one before.
    fn line_begin(&self, at: usize) -> usize {
        let before = self.lines.get(..at).unwrap_or_default();
        memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1)
    }

    /// Drops what is taken, but for what a stream's reader may have to be sent again.
    fn trim(&mut self) {
        let cut = match &self.to {
            Target::Socket(socket) if !socket.takes_datagrams() => {
                // Half of what is kept at a time: moving the rest costs.
                if self.taken < 2 * UNREAD {
                    return;
                }
                self.line_begin(self.taken - UNREAD)
            }
            // A line that was taken in part may have to be written anew.
            _ if self.torn => self.line_begin(self.taken),
            _ => self.taken,
        };
        self.lines.drain(..cut);
        self.taken -= cut;
    }

    /// So many bytes are gathered at most: a file that is to stay small is filled in small pieces, so that it does.
    pub fn gathers(&self) -> usize {
        let most = match &self.to {
            Target::File(file) => file.most(),
            _ => None,
        };
        most.map_or(GATHER, |most| {
            GATHER.min(usize::try_from(most / 8).unwrap_or(GATHER))
        })
    }

    /// Begins a new file where one is due and no line is written in part. The age counts only where `aged`.
    pub fn rotate(&mut self, now: SystemTime, aged: bool) {
        let waiting = self.waiting();
        let Target::File(file) = &mut self.to else {
            return;
        };
        let due = (waiting > 0 && file.is_full(waiting)) || (aged && file.is_old(now));
        if !due || self.torn {
            return;
        }
        match file.rotate(now) {
            Ok(done) => {
                self.rotations.done += u64::from(done);
                self.grown |= done;
                self.unrotated = false;
            }
            Err(error) => self.not_rotated(&error, "cannot be rotated"),
        }
    }

    /// To be called every second or so: notices a file that was moved away, and a reader that left. Returns whether the run
    /// that handed over was killed.
    pub fn look(&mut self) -> bool {
        let half = self.taken - self.line_begin(self.taken);
        if self.torn
            && let Target::File(file) = &mut self.to
        {
            match file.is_moved() {
                Ok(true) => self.begin_anew(),
                Ok(false) => file.look_behind(half),
                Err(_) => {}
            }
        }
        match &mut self.to {
            Target::File(file) if !self.torn => match file.look() {
                Ok(false) => {}
                Ok(true) => {
                    self.unrotated = false;
                    tracing::info!(
                        file = self.name,
                        "the audit file was moved away or deleted; a new one is begun"
                    );
                }
                Err(error) => {
                    self.not_rotated(&error, "was moved away or deleted, and cannot be made anew");
                }
            },
            Target::Socket(socket) if socket.is_lost() => self.disconnect(),
            _ => {}
        }
        match &mut self.to {
            Target::File(file) => {
                file.nowhere = file.is_deleted();
                file.take_unclean()
            }
            _ => false,
        }
    }

    /// Says it once.
    fn not_rotated(&mut self, error: &io::Error, what: &str) {
        self.rotations.failed += 1;
        if !std::mem::replace(&mut self.unrotated, true) {
            tracing::error!(
                file = self.name,
                %error,
                "the audit file {what}; lines go on to the old one, and it is tried again every second"
            );
        }
    }

    /// After a rotation, once: the file whose rotated ones are to be counted, and how many of them stay.
    pub fn kept(&mut self) -> Option<(PathBuf, u64)> {
        match &self.to {
            Target::File(file) if std::mem::take(&mut self.grown) => file.kept(),
            _ => None,
        }
    }

    /// Notes how a try to write ended, and says it where it ended otherwise than the one before.
    pub fn tell(&mut self, wrote: io::Result<()>) {
        match (wrote, self.failing.take()) {
            (Ok(()), None) => {}
            (Ok(()), Some(_)) => {
                let lost = self.lost - self.before;
                tracing::warn!(
                    output = self.name,
                    lost,
                    "audit lines are written again; {lost} of them were lost"
                );
            }
            (Err(error), before) => {
                let why = error.to_string();
                self.gone =
                    matches!(self.to, Target::Pipe(_)) && error.kind() == io::ErrorKind::BrokenPipe;
                if before.is_none() {
                    self.before = self.lost;
                    tracing::error!(output = self.name, why, "audit lines cannot be written");
                }
                self.failing = Some(why);
            }
        }
    }

    /// Whether there is anything for [`Output::write`] to do.
    pub fn is_idle(&self) -> bool {
        let connected = match &self.to {
            Target::Socket(socket) => socket.is_connected(),
            _ => true,
        };
        connected
            && !self.is_nowhere()
            && self.failing.is_none()
            && self.waiting() == 0
            && !self.owes()
    }

    /// Whether lines wait that it may still take.
    pub fn waits(&self) -> bool {
        !self.gone && (self.waiting() > 0 || self.owes())
    }

    /// At the end of the process: how many lines it did not take, those included that had no room since it failed, and why.
    pub fn left(&self) -> Option<String> {
        let waiting = self.lines.get(self.taken..).unwrap_or_default();
        let lines = memchr::memchr_iter(b'\n', waiting).count() as u64;
        let owed = match &self.to {
            Target::File(file) => file.owed(),
            _ => 0,
        };
        let untold = match self.failing {
            Some(_) => self.lost - self.before,
            None => self.gap,
        };
        let left = lines + owed + untold;
        let why = self.failing.as_deref().unwrap_or("it was not tried");
        (left > 0).then(|| format!("{left} for {} ({why})", self.name))
    }

    /// Notes beside a file that this run ended it, unless lines are missing there.
    pub fn end(&mut self) -> io::Result<()> {
        let missing = self.waiting() > 0 || self.has_gap() || self.owes();
        match &mut self.to {
            Target::File(file) if !missing => file.end(),
            _ => Ok(()),
        }
    }
}
