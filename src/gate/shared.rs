//! What a configuration makes of the gate.

use std::{
    net::IpAddr,
    panic::catch_unwind,
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use pingora::connectors::ConnectorOptions;

use super::{
    MOST_FIELDS, StartError,
    confirm::Confirmer,
    door::DoorLimits,
    enter::Entries,
    linger::Linger,
    process::Process,
    store::{Store, StoreAddress},
};
use crate::{
    config::{BodyRate, Config, Denial, PlainHttp, Stamp, stamp},
    decide::Keeper,
    http1::head::HeadLimits,
    s3::served::Served,
};

/// Bytes of a head that are parsed at most.
const MOST_HEAD_BYTES: u64 = (1 << 20) - 1;
/// Idle connections to the store that are kept at most.
const STORE_CONNECTIONS_KEPT: usize = 256;
/// Shorter than the idle timeout of common stores, so that a kept connection is rarely closed under a request.
const STORE_IDLE_TIMEOUT: Duration = Duration::from_secs(25);
/// What "no timeout" is to those who want a number.
const FOREVER: Duration = Duration::from_hours(365 * 24);

/// One for each configuration that is put into force.
pub struct Shared {
    /// What outlives the configuration.
    pub process: Arc<Process>,
    /// How many configurations were in force before it, and one.
    pub generation: u64,
    /// When it was put into force.
    pub since: SystemTime,
    /// What is in force, for people: secrets are stars.
    pub masked: serde_json::Value,
    /// What of it takes effect after a restart.
    pub needs_restart: Vec<&'static str>,
    /// Connections at a time at most.
    pub most: Option<u64>,
    /// Of one address.
    pub most_of_one: Option<u64>,
    /// Requests at a time at most.
    pub most_requests: Option<u64>,
    /// Of one address.
    pub most_requests_of_one: Option<u64>,
    /// Bytes of a request's body at most.
    pub body_bytes: Option<u64>,
    /// The least speed of a request's body.
    pub body_rate: Option<BodyRate>,
    /// The bounds of a connection.
    pub door: DoorLimits,
    /// Decides.
    pub keeper: Keeper,
    /// The store.
    pub store: Arc<Store>,
    /// Looks at what it wrote.
    pub confirmer: Confirmer,
    store_config: crate::config::Store,
    /// Its certificates as they were read.
    store_files: Vec<Stamp>,
    /// Its host and port, for a request that names none.
    pub store_authority: String,
    /// The store's silence that ends a request.
    pub response_timeout: Duration,
    /// Whether SSE-C keys may go to the store: over TLS, or on this machine.
    pub store_takes_keys: bool,
    /// The hosts that requests may name, and the base domains of virtual-host style.
    pub served: Served,
    /// Where clients connect.
    pub entries: Arc<Entries>,
    /// Whose `X-Forwarded-For`, `X-Forwarded-Proto` and PROXY protocol headers count.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether SSE-C is accepted without TLS.
    pub sse_c_over_http: bool,
    /// What a denied client is told.
    pub denial: Denial,
    /// The most bytes of an XML body that is read to decide.
    pub xml_bytes: usize,
    /// The most bytes of a form before its file.
    pub form_bytes: usize,
}

impl Shared {
    /// What the configuration says with which the process starts.
    ///
    /// # Errors
    /// A file that it names cannot be used.
    pub fn first(config: &Config, process: Arc<Process>) -> Result<Self, StartError> {
        let entries = Arc::new(Entries::new(config)?);
        let store_files = store_files(config);
        let store = store(config, &process)?;
        Ok(Self::new(config, process, 1, (store, store_files), entries))
    }

    /// What the configuration says that takes the place of `before`.
    ///
    /// # Errors
    /// A file that it names cannot be used.
    pub fn after(before: &Self, config: &Config) -> Result<Self, StartError> {
        // Before the files are read: what changes meanwhile is seen at the next look.
        let store_files = store_files(config);
        let same = before.store_config == config.store && before.store_files == store_files;
        let store = if same {
            // Its kept connections go on.
            Arc::clone(&before.store)
        } else {
            store(config, &before.process)?
        };
        let entries = before.entries.after(config)?;
        let process = Arc::clone(&before.process);
        Ok(Self::new(
            config,
            process,
            before.generation + 1,
            (store, store_files),
            entries,
        ))
    }

    /// Whether what this peer says of its client counts.
    #[must_use]
    pub fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }

    /// Whether `requests` under way are more than one address may have.
    #[must_use]
    pub fn too_many_of_one(&self, requests: u64) -> bool {
        self.most_requests_of_one
            .is_some_and(|most| requests > most)
    }

    fn new(
        config: &Config,
        process: Arc<Process>,
        generation: u64,
        (store, store_files): (Arc<Store>, Vec<Stamp>),
        entries: Arc<Entries>,
    ) -> Self {
        let limits = &config.limits;
        let capped = |n: u64, most: u64| usize::try_from(n.min(most)).unwrap_or(usize::MAX);
        Self {
            generation,
            since: SystemTime::now(),
            masked: process.fixed.masked(config, entries.listeners()),
            needs_restart: process.fixed.changed(config),
            most: process.files.bound(limits.connections),
            most_of_one: process
                .files
                .bound_of_one(limits.connections_per_source, limits.connections),
            most_requests: process.files.bound(limits.requests),
            most_requests_of_one: process
                .files
                .bound_of_one(limits.requests_per_source, limits.requests),
            process,
            body_bytes: limits.body_bytes,
            body_rate: limits.body_rate,
            door: DoorLimits {
                head: HeadLimits {
                    bytes: capped(limits.header_bytes, MOST_HEAD_BYTES),
                    fields: capped(limits.header_count, MOST_FIELDS as u64),
                },
                header_timeout: limits.header_timeout.unwrap_or(FOREVER),
                idle_timeout: limits.idle_timeout.unwrap_or(FOREVER),
                linger: Linger {
                    bytes: limits.linger.bytes,
                    time: limits.linger.time,
                },
                continue_timeout: config.continue_timeout,
            },
            keeper: Keeper::new(config),
            confirmer: Confirmer::new(config),
            store,
            store_config: config.store.clone(),
            store_files,
            store_authority: config.store.endpoint.authority(),
            response_timeout: config.store.response_timeout,
            store_takes_keys: config.store.endpoint.tls || config.store.endpoint.is_loopback(),
            served: Served::new(
                config.hosts.clone(),
                config.base_domains.clone(),
                &config.store.endpoint.host,
            ),
            entries,
            trusted_proxies: config.trusted_proxies.clone(),
            sse_c_over_http: config.sse_c_over_http == PlainHttp::Allow,
            denial: config.denial,
            xml_bytes: capped(limits.xml_bytes, u64::MAX),
            form_bytes: capped(limits.form_bytes, u64::MAX),
        }
    }
}

fn store_files(config: &Config) -> Vec<Stamp> {
    config.store.tls.files().map(|path| stamp(path)).collect()
}

fn store(config: &Config, process: &Process) -> Result<Arc<Store>, StartError> {
    let uses = Arc::clone(&process.store_uses);
    // pingora panics over a certificate that cannot be used. They were checked, but may have changed since.
    let made = catch_unwind(|| {
        let options = connector_options(config);
        Store::new(address(config), STORE_CONNECTIONS_KEPT, options, uses)
    });
    made.map(Arc::new).map_err(|_| StartError::StoreTls)
}

fn address(config: &Config) -> StoreAddress {
    let store = &config.store;
    StoreAddress {
        host: store.endpoint.host.clone(),
        port: store.endpoint.port,
        tls: store.endpoint.tls,
        server_name: store
            .tls
            .server_name
            .clone()
            .unwrap_or_else(|| store.endpoint.host.clone()),
        connect_timeout: store.connect_timeout,
        idle_timeout: STORE_IDLE_TIMEOUT,
    }
}

fn connector_options(config: &Config) -> ConnectorOptions {
    let text = |path: &PathBuf| path.display().to_string();
    let mut options = ConnectorOptions::new(STORE_CONNECTIONS_KEPT);
    options.ca_file = config.store.tls.ca.as_ref().map(text);
    options.cert_key_file = config
        .store
        .tls
        .client
        .as_ref()
        .map(|(cert, key)| (text(cert), text(key)));
    options
}
