//! What is not counted but looked at when the metrics are asked for.

use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntGauge, Registry};

/// How the process stands.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// Open connections of clients.
    pub connections: u64,
    /// Requests under way.
    pub requests: u64,
    /// Configurations that were in force, this one included.
    pub generation: u64,
    /// When this one was put into force.
    pub since: SystemTime,
}

/// The gauges that show it.
pub struct Gauges {
    connections: IntGauge,
    requests: IntGauge,
    generation: IntGauge,
    loaded: Gauge,
    age: Gauge,
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
        Ok(Self {
            connections: whole("sealgate_connections", "Open connections of clients.")?,
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
        })
    }

    /// Sets them.
    pub fn set(&self, now: &Standing) {
        let whole = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        self.connections.set(whole(now.connections));
        self.requests.set(whole(now.requests));
        self.generation.set(whole(now.generation));
        let since = now.since.duration_since(UNIX_EPOCH);
        self.loaded.set(since.map_or(0.0, |t| t.as_secs_f64()));
        let age = now.since.elapsed();
        self.age.set(age.map_or(0.0, |t| t.as_secs_f64()));
    }
}
