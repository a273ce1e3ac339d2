//! The parts of a configuration that are used once, when the process starts.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf};

use crate::config::{Audit, Config, Listener, Shutdown};

/// Those of the configuration with which the process started.
#[derive(Clone, Debug)]
pub struct Fixed {
    listen: BTreeSet<SocketAddr>,
    admin: Option<SocketAddr>,
    audit: Audit,
    shutdown: Shutdown,
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
            shutdown: config.shutdown,
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
            ("shutdown.drain", self.shutdown.drain != now.shutdown.drain),
            ("shutdown.delay", self.shutdown.delay != now.shutdown.delay),
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
        shown.shutdown = self.shutdown;
        shown.upgrade_socket.clone_from(&self.upgrade_socket);
        shown.masked()
    }
}
