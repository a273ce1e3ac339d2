//! Counters of what comes before HTTP: TLS handshakes, certificates, PROXY protocol headers.

use prometheus::{IntCounter, Registry};

use super::event::Handshake;
use super::metrics::{Grid, Reload};

/// The first stands for handshakes that did not agree on one.
const TLS_VERSIONS: [&str; 3] = ["none", "1.2", "1.3"];

/// All of them.
pub struct Transport {
    handshakes: Grid,
    certificate_reloads: Grid,
    proxy_refused: IntCounter,
}

impl Transport {
    /// Registers them.
    pub(super) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let proxy_refused = IntCounter::new(
            "sealgate_proxy_header_refused_total",
            "Connections of trusted proxies closed for want of a PROXY protocol header, or for a malformed one.",
        )?;
        registry.register(Box::new(proxy_refused.clone()))?;
        let transport = Self {
            handshakes: Grid::new(
                registry,
                "sealgate_tls_handshakes_total",
                "TLS handshakes with clients, by version (none where it was not agreed) and result.",
                &["version", "result"],
                TLS_VERSIONS.len(),
                Handshake::ALL.len(),
            )?,
            certificate_reloads: Grid::new(
                registry,
                "sealgate_tls_certificate_reloads_total",
                "Certificates of a listener read again after their files changed, by result.",
                &["result"],
                2,
                1,
            )?,
            proxy_refused,
        };
        // Alerts ask for these before anything has happened.
        for result in [Reload::Applied, Reload::Refused] {
            transport
                .certificate_reloads
                .vec
                .with_label_values(&[result.label().1]);
        }
        for version in TLS_VERSIONS {
            for result in Handshake::ALL {
                transport
                    .handshakes
                    .vec
                    .with_label_values(&[version, result.as_str()]);
            }
        }
        Ok(transport)
    }

    /// Counts a TLS handshake; `version` is `1.2`, `1.3`, or absent where none was agreed.
    pub fn handshake(&self, version: Option<&str>, result: Handshake) {
        let found = TLS_VERSIONS.iter().position(|v| version == Some(*v));
        let row = found.unwrap_or(0);
        self.handshakes
            .count(row, result as usize, &[TLS_VERSIONS[row], result.as_str()]);
    }

    /// Counts a reading of changed certificates.
    pub fn certificates_reloaded(&self, result: Reload) {
        let (row, name) = result.label();
        self.certificate_reloads.count(row, 0, &[name]);
    }

    /// Counts a connection that had to begin with a PROXY protocol header and did not.
    pub fn proxy_header_refused(&self) {
        self.proxy_refused.inc();
    }
}
