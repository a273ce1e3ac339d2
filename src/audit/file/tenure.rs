//! A run's hold on the audit file: its lock, and what is known of the run that it takes over from.

use std::fs::File;
use std::path::Path;

use crate::audit::follower::{Note, take_left};
use crate::audit::opened::{held_rotated, is_held, lock};
use crate::audit::tail::{Mark, take_mark};

/// The run that this one takes over from.
#[derive(Debug)]
enum Before {
    /// There is none, or it has ended.
    Ended,
    /// As far as is known, it has not.
    Writes,
    /// It locked this file, which this run rotated away before it locked the next one.
    Holds(File),
}

/// What this run leaves beside the file where it is killed before the one before has ended.
#[derive(Debug)]
enum Trace {
    /// Nothing: it does not serve yet.
    None,
    /// A note, as long as the run before goes on.
    Due,
    Left(Note),
}

/// See the module.
#[derive(Debug)]
pub struct Tenure {
    /// The id of this run.
    start: String,
    /// Whether the file's lock is ours.
    locked: bool,
    before: Before,
    /// The run before was killed.
    unclean: bool,
    trace: Trace,
    /// It was said that no note can be left.
    warned: bool,
    /// The file that this run locked, where another one locked the next: who follows sees by it that this run goes on.
    sign: Option<File>,
}

impl Tenure {
    /// Of a file whose lock is ours or not, for the run `start`; whether it `follows` one that still writes it.
    pub fn new(locked: bool, follows: bool, start: &str) -> Self {
        Self {
            start: start.to_owned(),
            locked,
            before: if follows {
                Before::Writes
            } else {
                Before::Ended
            },
            unclean: false,
            trace: Trace::None,
            warned: false,
            sign: None,
        }
    }

    /// Whether the file's lock is ours.
    pub fn is_locked(&self) -> bool {
        self.locked
    }

    /// Whether the run before goes on, as far as is known.
    pub fn follows(&self) -> bool {
        !matches!(self.before, Before::Ended)
    }

    /// Asks for the lock, and whether the run before has ended: then the note that it left, of `length` bytes, is taken away.
    pub fn look(&mut self, file: &File, path: &Path, length: u64) {
        self.leave_note(path);
        if self.follows() {
            // Another one that followed, too.
            self.unclean |= take_left(path).unwrap_or(false);
        }
        let was_locked = self.locked;
        self.locked = was_locked || lock(file);
        if !self.locked {
            return;
        }
        // The file's own lock says it now.
        self.sign = None;
        let has_ended = match &self.before {
            Before::Holds(file) => !is_held(file),
            Before::Ended | Before::Writes => !was_locked,
        };
        match take_mark(path, length) {
            Ok(Some(Mark::Ended | Mark::Other)) => self.forget_before(),
            Ok(Some(Mark::Open)) => match &self.before {
                // The run that ended said it of itself. The one before it would have said another thing later.
                Before::Ended => {}
                Before::Holds(_) if !has_ended => {}
                Before::Holds(_) | Before::Writes => match held_rotated(path) {
                    Ok(Some(file)) => self.before = Before::Holds(file),
                    Ok(None) => self.tell_unclean(path),
                    // Nothing is known of it any more.
                    Err(_) => self.forget_before(),
                },
            },
            Ok(None) if has_ended => match held_rotated(path) {
                // It was another successor that ended, which had let go of the file's end.
                Ok(Some(file)) if self.follows() => self.before = Before::Holds(file),
                _ => self.tell_unclean(path),
            },
            _ => {}
        }
    }

    /// The run before was killed.
    fn tell_unclean(&mut self, path: &Path) {
        self.forget_before();
        self.unclean = true;
        // It was a successor that was killed, perhaps; and told once is enough.
        let _ = take_left(path);
    }

    /// This run begins to serve.
    pub fn serves(&mut self, path: &Path) {
        if matches!(self.trace, Trace::None) {
            self.trace = Trace::Due;
        }
        self.leave_note(path);
    }

    /// Leaves a note while the run before goes on.
    fn leave_note(&mut self, path: &Path) {
        if !matches!(self.trace, Trace::Due) || !self.follows() {
            return;
        }
        match Note::leave(path, &self.start) {
            Ok(note) => self.trace = Trace::Left(note),
            Err(error) => {
                if !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        file = %path.display(), %error,
                        "no note can be left beside the audit file: should this process be killed before the one that handed over has ended, nothing will tell"
                    );
                }
            }
        }
    }

    /// The run before has ended, or this one has, well.
    pub fn forget_before(&mut self) {
        self.before = Before::Ended;
        match std::mem::replace(&mut self.trace, Trace::Due) {
            Trace::None => self.trace = Trace::None,
            Trace::Due => {}
            Trace::Left(note) => note.take_away(),
        }
    }

    /// The same file was opened anew. The lock is the open file's: the old one's goes with it.
    pub fn again(&mut self, file: &File) {
        self.locked = lock(file);
    }

    /// Lines go on to another file.
    pub fn renew(&mut self, old: &File, new: &File) {
        let had_lock = std::mem::replace(&mut self.locked, lock(new));
        match (had_lock, self.locked) {
            (true, false) => self.sign = old.try_clone().ok(),
            (false, true) if matches!(self.before, Before::Writes) => {
                if let Ok(old) = old.try_clone() {
                    self.before = Before::Holds(old);
                }
            }
            _ => {}
        }
    }

    /// Whether there is something to tell.
    pub fn is_unclean(&self) -> bool {
        self.unclean
    }

    /// Whether it was found since this was asked that the run before did not end the file.
    pub fn take_unclean(&mut self) -> bool {
        std::mem::take(&mut self.unclean)
    }
}
