//! What all connections and requests share.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use ipnet::IpNet;

use super::{body::Pool, door::DoorLimits, ids::Ids, store::Store};
use crate::{
    audit::{AuditError, AuditSink, Event, Metrics},
    config::{Denial, WhenBlocked},
    decide::Keeper,
};

/// One for the process.
pub struct Shared {
    /// The bounds of a connection.
    pub door: DoorLimits,
    /// Decides.
    pub keeper: Keeper,
    /// Takes the lines.
    pub audit: AuditSink,
    /// What happens while they cannot be written.
    pub when_blocked: WhenBlocked,
    /// Counts.
    pub metrics: Metrics,
    /// Names requests.
    pub ids: Ids,
    /// The store.
    pub store: Store,
    /// Its host and port, for a request that names none.
    pub store_authority: String,
    /// The store's silence that ends a request.
    pub response_timeout: Duration,
    /// Whether SSE-C keys may go to the store: over TLS, or on this machine.
    pub store_takes_keys: bool,
    /// Base domains of virtual-host style.
    pub base_domains: Vec<String>,
    /// The hosts that may be named beside those; none: any.
    pub hosts: Vec<String>,
    /// Bytes of bodies that are held back until a decision, in the whole process.
    pub held: Pool,
    /// Whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether SSE-C is accepted without TLS.
    pub sse_c_over_http: bool,
    /// What a denied client is told.
    pub denial: Denial,
    /// The most bytes of an XML body that is read to decide.
    pub xml_bytes: usize,
    /// The most bytes of a form before its file.
    pub form_bytes: usize,
    /// Requests under way.
    pub active: AtomicUsize,
    /// Set when the process is to end.
    pub draining: AtomicBool,
}

impl Shared {
    /// Counts an event and writes its line; `durable`: it must be in the file when this returns.
    ///
    /// # Errors
    /// The line could not be written, and the configuration says that requests are refused then.
    pub fn record(&self, event: &Event<'_>, durable: bool) -> Result<(), AuditError> {
        self.metrics.observe(event);
        match self.audit.record(event, durable) {
            Err(error) if durable && self.when_blocked == WhenBlocked::Refuse => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether requests are refused because their lines could not be written.
    #[must_use]
    pub fn is_blocked(&self) -> bool {
        self.when_blocked == WhenBlocked::Refuse && self.audit.is_blocked()
    }

    /// Counts a request as under way until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::AcqRel);
        Active(Arc::clone(self))
    }
}

/// A request under way.
pub struct Active(Arc<Shared>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}
