//! What is not counted but looked at when the metrics are asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// How the process stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Open connections of clients.
    pub connections: u64,
    /// Connections that were closed at once because there were too many, so far.
    pub refused: u64,
    /// Connections to the store, so far: opened, used again, and tried in vain.
    pub store: [u64; 3],
    /// Connections to the store that wait for a request.
    pub store_idle: u64,
    /// Requests under way.
    pub requests: u64,
    /// Configurations that were in force, this one included.
    pub generation: u64,
    /// When this one was put into force.
    pub since: SystemTime,
    /// Whether the file's has errors, and is not in force therefore.
    pub outdated: bool,
    /// Listeners whose changed certificates cannot be used.
    pub certificates_refused: usize,
    /// When the first certificate that a listener shows expires, in seconds since 1970.
    pub certificates_until: Option<i64>,
}

/// The gauges that show it.
pub struct Gauges {
    connections: IntGauge,
    refused: IntCounter,
    store: [IntCounter; 3],
    store_idle: IntGauge,
    requests: IntGauge,
    generation: IntGauge,
    loaded: Gauge,
    age: Gauge,
    outdated: IntGauge,
    certificates_refused: IntGauge,
    /// Without a series where no listener shows a certificate.
    certificates_until: IntGaugeVec,
}

impl Gauges {
    /// Registers them.
    ///
    /// # Errors
    /// As [`Metrics::new`](super::Metrics::new).
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let whole = |name: &str, help: &str| -> prometheus::Result<IntGauge> {
            let gauge = IntGauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let seconds = |name: &str, help: &str| -> prometheus::Result<Gauge> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let refused = IntCounter::new(
            "sealgate_connections_refused_total",
            "Connections that were closed at once: there were too many.",
        )?;
        registry.register(Box::new(refused.clone()))?;
        let store = IntCounterVec::new(
            Opts::new(
                "sealgate_store_connections_total",
                "Connections to the store that requests got, or did not.",
            ),
            &["result"],
        )?;
        registry.register(Box::new(store.clone()))?;
        let certificates_until = IntGaugeVec::new(
            Opts::new(
                "sealgate_tls_certificate_not_after_timestamp_seconds",
                "When the first certificate that a listener shows expires, in Unix time.",
            ),
            &[],
        )?;
        registry.register(Box::new(certificates_until.clone()))?;
        Ok(Self {
            certificates_until,
            connections: whole("sealgate_connections", "Open connections of clients.")?,
            refused,
            store: ["opened", "reused", "failed"].map(|r| store.with_label_values(&[r])),
            store_idle: whole(
                "sealgate_store_connections_idle",
                "Connections to the store that wait for a request.",
            )?,
            requests: whole("sealgate_requests_active", "Requests under way.")?,
            generation: whole(
                "sealgate_config_generation",
                "Configurations that were in force, this one included.",
            )?,
            loaded: seconds(
                "sealgate_config_loaded_timestamp_seconds",
                "When the configuration was put into force, in Unix time.",
            )?,
            age: seconds(
                "sealgate_config_age_seconds",
                "How long the configuration has been in force.",
            )?,
            outdated: whole(
                "sealgate_config_refused",
                "1 while the configuration in the file has errors and is not in force.",
            )?,
            certificates_refused: whole(
                "sealgate_tls_certificates_refused",
                "Listeners whose changed certificates cannot be used, so that they show the old ones.",
            )?,
        })
    }

    /// Sets them.
    pub fn set(&self, now: &Standing) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.connections.set(whole(now.connections));
        // Counted elsewhere: brought up to date here.
        let counts = self.store.iter().zip(now.store);
        for (counter, now) in counts.chain([(&self.refused, now.refused)]) {
            counter.inc_by(now.saturating_sub(counter.get()));
        }
        self.store_idle.set(whole(now.store_idle));
        self.requests.set(whole(now.requests));
        self.generation.set(whole(now.generation));
        self.outdated.set(i64::from(now.outdated));
        self.certificates_refused
            .set(whole(now.certificates_refused as u64));
        self.certificates_until.reset();
        if let Some(until) = now.certificates_until {
            self.certificates_until
                .with_label_values::<&str>(&[])
                .set(until);
        }
        let since = now.since.duration_since(UNIX_EPOCH);
        self.loaded.set(since.map_or(0.0, |t| t.as_secs_f64()));
        let age = now.since.elapsed();
        self.age.set(age.map_or(0.0, |t| t.as_secs_f64()));
    }
}
