//! pingora's listening service, and the word that it listens: until then Sealgate is not ready.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use pingora::{
    server::{ListenFds, ShutdownWatch},
    services::listening::Service,
};

use super::{door::Door, process::Process};

/// How often it is looked whether the sockets are there. They are within a moment.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// See the module.
pub struct Listening {
    service: Service<Door>,
    addresses: Vec<String>,
    process: Arc<Process>,
}

impl Listening {
    /// `service` listens on `addresses`, as it was told them.
    pub fn new(service: Service<Door>, addresses: Vec<String>, process: Arc<Process>) -> Self {
        Self {
            service,
            addresses,
            process,
        }
    }
}

#[async_trait]
impl pingora::services::Service for Listening {
    async fn start_service(
        &mut self,
        fds: Option<ListenFds>,
        shutdown: ShutdownWatch,
        listeners_per_fd: usize,
    ) {
        let (sockets, addresses, process) = (fds.clone(), &self.addresses, &self.process);
        let tell = async move {
            // Each socket is put there once it listens.
            let listens = || {
                sockets.as_ref().is_none_or(|sockets| {
                    let sockets = sockets.lock();
                    addresses
                        .iter()
                        .all(|address| sockets.get(address).is_some())
                })
            };
            while !listens() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            process.listens();
        };
        let serve = self.service.start_service(fds, shutdown, listeners_per_fd);
        tokio::join!(serve, tell);
    }

    fn name(&self) -> &str {
        self.service.name()
    }

    fn threads(&self) -> Option<usize> {
        self.service.threads()
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        self.service.listen_addresses()
    }
}
