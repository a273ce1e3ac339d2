//! The configuration read again: on SIGHUP, and when one of its files has changed.
//!
//! Files are looked at once a second by what `stat` says of what their path leads to, so that a swapped symbolic link is
//! seen as well as a written file (Kubernetes swaps one to update a `ConfigMap`). What they are compared with was taken by
//! the reading itself, of each file before it was read: no change is missed, however long that or the start took. It is read once two
//! looks find the same, so that a file which is being written is not taken for whole. A configuration with an error changes nothing,
//! and is read again once a file that it names changes or appears.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use super::{Live, shared::Shared};
use crate::{
    audit::Reload,
    config::{Config, ConfigErrors, Stamps, Warning, are_same, is_pipe, stamp},
};

/// How often files are looked at, and how long after a change for the second time.
const LOOK_EVERY: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// That a file does not rest is said after so many looks.
const MANY_LOOKS: u32 = 20;
/// So often what changes while it is read is read.
const MOST_READINGS: u32 = 3;

/// What a look at the files found.
enum Look {
    /// What was read.
    Same,
    /// Another thing than the look before.
    Moves,
    /// A change that may be read.
    Rests,
}

/// A change of the files, from the first look that found it.
#[derive(Default)]
struct Change {
    found: Option<Stamps>,
    looks: u32,
}

impl Change {
    fn next_look(&self) -> Duration {
        match self.found {
            None => LOOK_EVERY,
            Some(_) => LOOK_AGAIN,
        }
    }

    fn look(&mut self, read: &Stamps) -> Look {
        if are_same(read) {
            return Look::Same;
        }
        let now = read.keys().map(|p| (p.clone(), stamp(p))).collect();
        if self.found.as_ref() == Some(&now) {
            return Look::Rests;
        }
        self.found = Some(now);
        self.looks = self.looks.saturating_add(1);
        if self.looks == MANY_LOOKS {
            tracing::warn!(
                "the configuration's files keep changing: they are read once they rest for half a second, or on SIGHUP"
            );
        }
        Look::Moves
    }
}

/// Has the configuration read again.
#[derive(Clone, Debug)]
pub struct Trigger(SyncSender<()>);

impl Trigger {
    /// Now, or after what is being read.
    pub fn now(&self) {
        // A full channel means that it is about to be read anyway.
        let _ = self.0.try_send(());
    }
}

/// Watches the files of a configuration.
pub struct Reloader {
    path: PathBuf,
    live: Arc<Live>,
    /// The files of the last reading, those of a broken configuration included.
    seen: Stamps,
    /// Whether the last reading failed for something that may pass without a file being changed.
    again: bool,
    /// What was wrong, so that it is said once.
    errors: Option<String>,
    asked: Receiver<()>,
}

impl Reloader {
    /// For the configuration `config`, as it was read from its file.
    #[must_use]
    pub fn new(config: &Config, live: Arc<Live>) -> (Self, Trigger) {
        let (trigger, asked) = sync_channel(1);
        let reloader = Self {
            path: config.file.clone(),
            live,
            seen: config.stamps.clone(),
            again: false,
            errors: None,
            asked,
        };
        (reloader, Trigger(trigger))
    }

    /// Watches until the process ends, on a thread of its own.
    pub fn start(mut self) {
        std::thread::spawn(move || {
            let mut change = Change::default();
            loop {
                match self.asked.recv_timeout(change.next_look()) {
                    Ok(()) => self.reload(false),
                    Err(RecvTimeoutError::Timeout) => match change.look(&self.seen) {
                        Look::Moves => continue,
                        Look::Same if !self.again => {}
                        Look::Same | Look::Rests => self.reload(true),
                    },
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                change = Change::default();
            }
        });
    }

    fn reload(&mut self, waits: bool) {
        // At a start somebody may mean that (`--config <(...)`).
        if is_pipe(&self.path) {
            let why = format!(
                "{}: is a named pipe; put a file in its place",
                self.path.display()
            );
            self.refuse(why, "cannot be read");
            self.again = true;
            return;
        }
        let Some(loaded) = (0..MOST_READINGS).find_map(|_| self.load(waits)) else {
            // The next look finds it changed, and waits until it rests.
            let why = "a file that it names changes while it is read, so half of it may be the former content".to_owned();
            self.refuse(why, "cannot be read");
            // Even where it is as before: that what is in force is what the files say must be found out.
            self.again = true;
            return;
        };
        match loaded {
            Ok((config, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                self.seen.clone_from(&config.stamps);
                self.apply(&config);
            }
            Err(errors) => {
                let text = errors.to_string();
                self.seen = errors.stamps;
                self.again = errors.may_pass;
                self.refuse(text, "has errors");
            }
        }
    }

    /// Reads the files; `None`: one of them has changed meanwhile. `waits`: files that are named for the first time must rest, too.
    fn load(&self, waits: bool) -> Option<Result<(Config, Vec<Warning>), ConfigErrors>> {
        let loaded = Config::load(&self.path);
        let read = match &loaded {
            Ok((config, _)) => &config.stamps,
            Err(errors) => &errors.stamps,
        };
        if waits && read.keys().any(|path| !self.seen.contains_key(path)) {
            std::thread::sleep(LOOK_AGAIN);
        }
        are_same(read).then_some(loaded)
    }

    fn refuse(&mut self, why: String, what: &str) {
        if self.errors.as_ref() == Some(&why) {
            return;
        }
        tracing::error!("the changed configuration {what}; the one before stays in force:\n{why}");
        self.live.refuse(why.clone());
        self.errors = Some(why);
        self.live.process.metrics.reloaded(Reload::Refused);
    }

    fn apply(&mut self, config: &Config) {
        for name in self.live.process.fixed.changed(config) {
            tracing::warn!("{name} has changed, which takes effect after a restart");
        }
        let before = self.live.current();
        let shared = match Shared::after(&before, config) {
            Ok(shared) => shared,
            // It was read without an error a moment ago: a file has changed since, or something is short.
            Err(error) => {
                self.again = true;
                self.refuse(error.to_string(), "cannot be used");
                return;
            }
        };
        self.again = false;
        self.errors = None;
        let generation = shared.generation;
        self.live.replace(shared);
        self.live.process.metrics.reloaded(Reload::Applied);
        tracing::info!(generation, "the changed configuration is in force");
    }
}
