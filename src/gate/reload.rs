//! The configuration read again: on SIGHUP, and when one of its files has changed.
//!
//! Files are looked at once a second by what `stat` says of what their path leads to, so that a swapped symbolic link is
//! seen as well as a written file (Kubernetes swaps one to update a `ConfigMap`). A configuration with an error changes
//! nothing.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use super::{
    Live,
    shared::Shared,
    stamp::{Stamp, stamp},
};
use crate::{audit::Reload, config::Config};

/// How often files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
    /// What does not change without a restart.
    fixed: Vec<(&'static str, String)>,
    seen: BTreeMap<PathBuf, Stamp>,
    /// The errors of the last reading: it may name files that are not known here, so it is tried again.
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
            fixed: fixed(config),
            seen: stamps(config),
            errors: None,
            asked,
        };
        (reloader, Trigger(trigger))
    }

    /// Watches until the process ends, on a thread of its own.
    pub fn start(mut self) {
        std::thread::spawn(move || {
            loop {
                match self.asked.recv_timeout(LOOK_EVERY) {
                    Ok(()) => self.reload(),
                    Err(RecvTimeoutError::Timeout) if self.errors.is_some() || self.changed() => {
                        self.reload();
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
        });
    }

    fn changed(&self) -> bool {
        self.seen.iter().any(|(path, seen)| stamp(path) != *seen)
    }

    fn reload(&mut self) {
        // Looked at before it is read: what changes meanwhile is read once more.
        for (path, seen) in &mut self.seen {
            *seen = stamp(path);
        }
        match Config::load(&self.path) {
            Ok((config, warnings)) => {
                for warning in warnings {
                    tracing::warn!("{warning}");
                }
                let before = std::mem::replace(&mut self.seen, stamps(&config));
                for (path, seen) in before {
                    self.seen.entry(path).and_modify(|now| *now = seen);
                }
                self.errors = None;
                self.apply(&config);
            }
            Err(errors) => {
                let text = errors.to_string();
                if self.errors.as_ref() == Some(&text) {
                    return;
                }
                tracing::error!(
                    "the changed configuration has errors; the one before stays in force:\n{text}"
                );
                self.live.refuse(text.clone());
                self.errors = Some(text);
                self.live.process.metrics.reloaded(Reload::Refused);
            }
        }
    }

    fn apply(&self, config: &Config) {
        for ((name, before), (_, now)) in self.fixed.iter().zip(fixed(config)) {
            if *before != now {
                tracing::warn!("{name} has changed, which takes effect after a restart");
            }
        }
        let before = self.live.current();
        let shared = match Shared::after(&before, config) {
            Ok(shared) => shared,
            // It was read without an error a moment ago: a file has changed since, and will be looked at again.
            Err(error) => {
                tracing::error!(%error, "the changed configuration cannot be used; the one before stays in force");
                self.live.refuse(error.to_string());
                self.live.process.metrics.reloaded(Reload::Refused);
                return;
            }
        };
        let generation = shared.generation;
        self.live.replace(shared);
        self.live.process.metrics.reloaded(Reload::Applied);
        tracing::info!(generation, "the changed configuration is in force");
    }
}

/// The parts of a configuration that are used once, when the process starts.
fn fixed(config: &Config) -> Vec<(&'static str, String)> {
    vec![
        ("listen[].address", format!("{:?}", addresses(config))),
        ("admin", format!("{:?}", config.admin)),
        ("audit", format!("{:?}", config.audit)),
        ("shutdown.drain", format!("{:?}", config.drain)),
        ("upgrade_socket", format!("{:?}", config.upgrade_socket)),
    ]
}

fn addresses(config: &Config) -> Vec<SocketAddr> {
    config.listen.iter().map(|l| l.address).collect()
}

/// The configuration's file and those it names.
fn stamps(config: &Config) -> BTreeMap<PathBuf, Stamp> {
    std::iter::once(&config.file)
        .chain(config.files())
        .map(|path| (path.clone(), stamp(path)))
        .collect()
}
