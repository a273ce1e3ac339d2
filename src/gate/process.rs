//! What holds for the process, whatever the configuration says meanwhile.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use tokio::sync::watch;

use super::{
    Start, StartError, connections::Connections, files::Files, fixed::Fixed, held::Pool, ids::Ids,
    shared::Shared, store::Uses,
};
use crate::{
    audit::{AuditError, AuditSink, Event, Metrics, Others, Reason},
    config::{Config, WhenBlocked},
    s3::Operation,
};

/// How long the end of another process that writes the audit file is waited for, whatever its drain.
const MOST_WAIT: Duration = Duration::from_secs(30);
/// How long an end waits for the rest of a head, or for a client that may still be sending after its refusal.
const GIVE_UP: Duration = Duration::from_secs(2);

/// One for the process.
pub struct Process {
    /// Takes the lines.
    pub audit: AuditSink,
    /// What happens while they cannot be written.
    when_blocked: WhenBlocked,
    /// Counts.
    pub metrics: Metrics,
    /// Names requests.
    pub ids: Ids,
    /// What the system lets it open.
    pub files: Files,
    /// Bytes that are held back until a decision.
    pub held: Pool,
    /// Who is connected.
    pub connections: Arc<Connections>,
    /// Who is connected to listeners that serve health alone: they must answer when there are too many clients.
    pub probes: Arc<Connections>,
    /// How requests came by their connections to the store.
    pub store_uses: Arc<Uses>,
    /// What stays of the configuration with which it started.
    pub fixed: Fixed,
    /// Requests under way.
    active: AtomicUsize,
    /// Set when the listeners are open.
    listening: AtomicBool,
    /// Set when they are closed again.
    closed: AtomicBool,
    /// Set when the process is to end.
    draining: watch::Sender<bool>,
    /// Set when requests under way are to end, whatever they have come to.
    cut: watch::Sender<bool>,
    /// Set when another process has taken the listeners over.
    handed_over: AtomicBool,
    /// Why the last try to hand over failed.
    not_handed_over: Mutex<Option<String>>,
}

impl Process {
    /// Opens the audit outputs that `config` names. Another process that writes the file is taken over from, or has time to
    /// finish its requests and end.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn new(config: &Config, start: Start) -> Result<Self, StartError> {
        let others = match start {
            Start::Fresh => Others::End(config.shutdown.drain.min(MOST_WAIT)),
            Start::Upgrade => Others::Share,
        };
        Ok(Self {
            audit: AuditSink::open(&config.audit, others)?,
            when_blocked: config.audit.when_blocked,
            metrics: Metrics::new()?,
            ids: Ids::default(),
            files: Files::raise(config.limits.connections, config.limits.requests),
            held: Pool::default(),
            connections: Arc::default(),
            probes: Arc::default(),
            store_uses: Arc::default(),
            fixed: Fixed::of(config),
            active: AtomicUsize::new(0),
            listening: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            draining: watch::Sender::new(false),
            cut: watch::Sender::new(false),
            handed_over: AtomicBool::new(false),
            not_handed_over: Mutex::default(),
        })
    }

    /// Counts an event and writes its line; `durable`: it must be in the file when this returns.
    ///
    /// # Errors
    /// The line could not be written, and the configuration says that requests are refused then.
    pub fn record(&self, event: &Event<'_>, durable: bool) -> Result<(), AuditError> {
        self.metrics.observe(event);
        tracing::debug!(
            request_id = event.request_id,
            operation = event.operation.map_or("unknown", Operation::name),
            decision = event.decision.as_str(),
            reason = event.reason.map(Reason::as_str),
            status = event.status,
            "a request ended"
        );
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

    /// Why no request should be sent here now; none: it is ready.
    #[must_use]
    pub fn unready(&self) -> Option<&'static str> {
        if self.is_draining() || self.is_handed_over() {
            Some("ending")
        } else if !self.listening.load(Ordering::Acquire) {
            Some("starting")
        } else if self.is_blocked() {
            Some("audit lines cannot be written")
        } else {
            None
        }
    }

    /// Says that the listeners are open.
    pub fn listens(&self) {
        self.listening.store(true, Ordering::Release);
    }

    /// Says that the listeners are closed.
    pub fn listens_no_more(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Whether the listeners are closed: no connection comes in any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Whether the process is to end: no connection serves another request.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Says that the process is to end.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// For those who wait for [`Process::drain`].
    #[must_use]
    pub fn drains(&self) -> watch::Receiver<bool> {
        self.draining.subscribe()
    }

    /// Returns a moment after the process was told to end: for what would hold the end up and may never come.
    pub async fn gives_up(&self) {
        // Its sender lives as long as `self`.
        let _ = self.drains().wait_for(|told| *told).await;
        tokio::time::sleep(GIVE_UP).await;
    }

    /// Says that requests under way are to end; false: that was said before.
    #[must_use]
    pub fn cut(&self) -> bool {
        !self.cut.send_replace(true)
    }

    /// Whether no request may begin any more.
    #[must_use]
    pub fn is_over(&self) -> bool {
        *self.cut.borrow()
    }

    /// Returns when requests under way are to end.
    pub async fn is_cut(&self) {
        let _ = self.cut.subscribe().wait_for(|told| *told).await;
    }

    /// Whether another process has taken the listeners over.
    #[must_use]
    pub fn is_handed_over(&self) -> bool {
        self.handed_over.load(Ordering::Acquire)
    }

    /// Says that another process is asked to take the listeners over, or why it did not.
    pub fn hands_over(&self, failed: Option<String>) {
        // Before the other one writes its first line.
        self.audit.share();
        *self.failed_hand_over() = failed;
    }

    /// Why the last try to hand over failed; none: it did not, or there was none.
    #[must_use]
    pub fn not_handed_over(&self) -> Option<String> {
        self.failed_hand_over().clone()
    }

    fn failed_hand_over(&self) -> MutexGuard<'_, Option<String>> {
        self.not_handed_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that another process has taken the listeners over.
    pub fn hand_over(&self) {
        self.handed_over.store(true, Ordering::Release);
    }

    /// Requests under way.
    #[must_use]
    pub fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Counts a request as under way until the guard is dropped.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> Active {
        self.active.fetch_add(1, Ordering::AcqRel);
        Active(Arc::clone(self))
    }
}

/// A request under way.
pub struct Active(Arc<Process>);

impl Drop for Active {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The process and the configuration that is in force.
pub struct Live {
    /// What stays.
    pub process: Arc<Process>,
    current: ArcSwap<Shared>,
    /// Why the configuration as it stands in its file is not in force.
    refused: Mutex<Option<String>>,
}

impl Live {
    /// Begins with a configuration.
    ///
    /// # Errors
    /// It cannot be put into force.
    pub fn new(config: &Config, start: Start) -> Result<Self, StartError> {
        let process = Arc::new(Process::new(config, start)?);
        let shared = Shared::first(config, Arc::clone(&process)).inspect_err(|_| {
            if start == Start::Fresh {
                // Nothing was served, so the file is as the earlier run left it.
                let _ = process.audit.end(true);
            }
        })?;
        Ok(Self {
            process,
            current: ArcSwap::from_pointee(shared),
            refused: Mutex::default(),
        })
    }

    /// What is in force now. A request keeps what it began with.
    #[must_use]
    pub fn current(&self) -> Arc<Shared> {
        self.current.load_full()
    }
    /// Puts another one into force.
    pub fn replace(&self, shared: Shared) {
        self.current.store(Arc::new(shared));
        *self.refusal() = None;
    }

    /// Notes that the configuration in the file has errors, and which.
    pub fn refuse(&self, errors: String) {
        *self.refusal() = Some(errors);
    }

    /// The errors of the configuration in the file, where they keep it from being in force.
    #[must_use]
    pub fn refused(&self) -> Option<String> {
        self.refusal().clone()
    }

    fn refusal(&self) -> MutexGuard<'_, Option<String>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
