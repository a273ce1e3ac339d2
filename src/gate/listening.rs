//! pingora's listening service, and the word that it listens: until then Sealgate is not ready. Where it cannot listen the
//! process ends with a sentence: pingora's panic would leave one behind that lives and does not serve.

use std::{
    fmt::Display,
    net::{SocketAddr, TcpListener},
    sync::{Arc, OnceLock},
    time::Duration,
};

use async_trait::async_trait;
use pingora::{
    server::{ListenFds, ShutdownWatch},
    services::listening::Service,
};

use super::{
    StartError,
    door::Door,
    process::Process,
    successor::{self, Confirmation},
};

/// How often it is looked whether the sockets are there. They are within a moment.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What remains to be done once the sockets are open, before the process counts as ready.
pub type Last = Box<dyn FnOnce() -> Result<(), StartError> + Send + Sync>;

/// See the module.
pub struct Listening {
    service: Option<Service<Door>>,
    addresses: Vec<SocketAddr>,
    process: Arc<Process>,
    sockets: Arc<OnceLock<ListenFds>>,
    last: Option<Last>,
    /// Whether another process may be writing the audit file.
    follows: bool,
}

impl Listening {
    /// `service` listens on `addresses`, as it was told them; its sockets are shown through `sockets`.
    pub fn new(
        service: Service<Door>,
        addresses: Vec<SocketAddr>,
        process: Arc<Process>,
        sockets: Arc<OnceLock<ListenFds>>,
        last: Last,
    ) -> Self {
        Self {
            service: Some(service),
            addresses,
            process,
            sockets,
            last: Some(last),
            follows: false,
        }
    }

    /// The addresses, as they name the sockets.
    fn names(&self) -> Vec<String> {
        self.addresses.iter().map(SocketAddr::to_string).collect()
    }

    /// Looks whether those addresses are free that did not come with the sockets of another process.
    fn free(&self, sockets: &ListenFds) -> Result<(), StartError> {
        let sockets = sockets.lock();
        let others = self
            .addresses
            .iter()
            .filter(|address| sockets.get(&address.to_string()).is_none());
        for &address in others {
            TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })?;
        }
        Ok(())
    }

    /// Ends the process.
    fn give_up(&self, why: &dyn Display) -> ! {
        tracing::error!("{why}");
        if !self.follows {
            // Nothing was served, so the file is as the earlier run left it.
            let _ = self.process.audit.end(true);
        }
        std::process::exit(1);
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
        let (Some(mut service), Some(sockets)) = (self.service.take(), fds.clone()) else {
            return;
        };
        let names = self.names();
        self.follows = sockets.lock().get(successor::NAME).is_some();
        let confirmation = match Confirmation::take(&sockets, &names) {
            Ok(confirmation) => confirmation,
            Err(error) => self.give_up(&format_args!(
                "the process that hands over cannot be told that this one serves, so this one ends: {error}"
            )),
        };
        if let Err(error) = self.free(&sockets) {
            self.give_up(&error);
        }
        let serves = tokio::spawn(async move {
            service.start_service(fds, shutdown, listeners_per_fd).await;
        });
        let last = self.last.take();
        let tell = async {
            // Each socket is put there once it listens.
            let listens = || {
                let sockets = sockets.lock();
                names.iter().all(|name| sockets.get(name).is_some())
            };
            while !listens() {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            if let Some(Err(error)) = last.map(|last| last()) {
                self.give_up(&error);
            }
            self.process.listens();
            tracing::info!(listen = ?self.addresses, "serving");
            let _ = self.sockets.set(Arc::clone(&sockets));
            if let Some(confirmation) = confirmation {
                self.process.audit.serves();
                confirmation.give();
            }
        };
        let watch = async {
            if serves.await.is_err_and(|error| error.is_panic()) {
                self.give_up(&"the listeners cannot be opened or have broken down");
            }
            self.process.listens_no_more();
        };
        tokio::join!(tell, watch);
    }

    fn name(&self) -> &'static str {
        "gate"
    }

    fn listen_addresses(&self) -> Option<Vec<String>> {
        // What is not named here pingora closes where it came from another process.
        let mut names = self.names();
        names.push(successor::NAME.to_owned());
        Some(names)
    }
}
