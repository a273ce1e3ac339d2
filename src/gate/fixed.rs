//! The parts of a configuration that are used once, when the process starts.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use crate::config::{Audit, Config, Listener};

/// Those of the configuration with which the process started.
#[derive(Clone, Debug)]
pub struct Fixed {
    listen: BTreeSet<SocketAddr>,
    admin: Option<SocketAddr>,
    audit: Audit,
    drain: Duration,
    delay: Duration,
    upgrade_socket: Option<PathBuf>,
}

impl Fixed {
    /// Those of `config`.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        Self {
            listen: config.listen.iter().map(|l| l.address).collect(),
            admin: config.admin,
            audit: config.audit.clone(),
            drain: config.drain,
            delay: config.delay,
            upgrade_socket: config.upgrade_socket.clone(),
        }
    }

    /// Which of them `config` has otherwise: that takes effect after a restart.
    #[must_use]
    pub fn changed(&self, config: &Config) -> Vec<&'static str> {
        let now = Self::of(config);
        [
            ("listen[].address", self.listen != now.listen),
            ("admin", self.admin != now.admin),
            ("audit", self.audit != now.audit),
            ("shutdown.drain", self.drain != now.drain),
            ("shutdown.delay", self.delay != now.delay),
            ("upgrade_socket", self.upgrade_socket != now.upgrade_socket),
        ]
        .into_iter()
        .filter_map(|(name, changed)| changed.then_some(name))
        .collect()
    }

    /// What is in force of `config`, for people, while these stay and `listen` is what the open listeners do.
    #[must_use]
    pub fn masked(&self, config: &Config, listen: Vec<Listener>) -> serde_json::Value {
        let mut shown = config.clone();
        shown.listen = listen;
        shown.admin = self.admin;
        shown.audit = self.audit.clone();
        shown.drain = self.drain;
        shown.delay = self.delay;
        shown.upgrade_socket.clone_from(&self.upgrade_socket);
        shown.masked()
    }
}
