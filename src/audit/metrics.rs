//! Counters and histograms, in a registry of their own. Labels come from closed sets, and each combination is looked
//! up once: counting a request is an addition or two.

use std::sync::{Mutex, OnceLock, PoisonError};

use prometheus::{
    Encoder, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

use super::event::{Continue, Decision, Event, Lingered, PutEncryption, Reason};
use super::process::Process;
use super::sink::AuditSink;
use super::standing::{Gauges, Standing};
use super::transport::Transport;
use crate::s3::Operation;

/// How reading the configuration again ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// The new one is in force.
    Applied,
    /// It has errors; the old one stays in force.
    Refused,
}

impl Reload {
    /// Its row and its label.
    pub(super) fn label(self) -> (usize, &'static str) {
        match self {
            Self::Applied => (0, "applied"),
            Self::Refused => (1, "refused"),
        }
    }
}

/// All metrics of the process.
pub struct Metrics {
    registry: Registry,
    requests: Grid,
    denied: Grid,
    put_encryption: Grid,
    expect: Grid,
    lingers: Grid,
    /// Of what comes before HTTP.
    pub transport: Transport,
    reloads: Grid,
    refused_bytes: IntCounter,
    request_bytes: IntCounter,
    response_bytes: IntCounter,
    unconfirmed: IntCounter,
    standing: Gauges,
    audit_errors: IntCounter,
    audit_lost: IntCounter,
    audit_blocked: IntGauge,
    audit_rotations: IntCounterVec,
    duration: Histogram,
    store_duration: Histogram,
    /// Held while the text is made: its counts are brought up to date before.
    process: Mutex<Process>,
}

/// A counter of labels from closed sets: a cell for each combination, filled when it is first counted, so that
/// what never happened is not in the output.
pub(super) struct Grid {
    pub(super) vec: IntCounterVec,
    columns: usize,
    cells: Box<[OnceLock<IntCounter>]>,
}

impl Grid {
    pub(super) fn new(
        registry: &Registry,
        name: &str,
        help: &str,
        labels: &[&str],
        rows: usize,
        columns: usize,
    ) -> prometheus::Result<Self> {
        let vec = IntCounterVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(vec.clone()))?;
        Ok(Self {
            vec,
            columns,
            cells: (0..rows * columns).map(|_| OnceLock::new()).collect(),
        })
    }

    pub(super) fn count(&self, row: usize, column: usize, labels: &[&str]) {
        match self.cells.get(row * self.columns + column) {
            Some(cell) => cell
                .get_or_init(|| self.vec.with_label_values(labels))
                .inc(),
            None => self.vec.with_label_values(labels).inc(),
        }
    }
}

/// What S3 takes in one request at most (5 GiB).
const LARGEST_BODY: u64 = 5 << 30;
/// From 100 microseconds to 100 seconds.
const BUCKETS: [f64; 13] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 100.0,
];

impl Metrics {
    /// Registers all of them.
    ///
    /// # Errors
    /// A name is not one of Prometheus' or is there twice: not with the names that are written here.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let histogram = |name: &str, help: &str| -> prometheus::Result<Histogram> {
            let opts = HistogramOpts::new(name, help).buckets(BUCKETS.to_vec());
            let histogram = Histogram::with_opts(opts)?;
            registry.register(Box::new(histogram.clone()))?;
            Ok(histogram)
        };
        let grid = |name: &str, help: &str, labels: &[&str], rows: usize, columns: usize| {
            Grid::new(&registry, name, help, labels, rows, columns)
        };
        build_info(&registry)?;
        // The last row is for requests whose operation was not recognised.
        let operations = Operation::ALL.len() + 1;
        let metrics = Self {
            requests: grid(
                "sealgate_requests_total",
                "Requests, by S3 operation and decision.",
                &["operation", "decision"],
                operations,
                Decision::ALL.len(),
            )?,
            denied: grid(
                "sealgate_denied_total",
                "Requests that were refused, by S3 operation and reason.",
                &["operation", "reason"],
                operations,
                Reason::ALL.len(),
            )?,
            put_encryption: grid(
                "sealgate_put_encryption_total",
                "Objects written, by who asked for their encryption.",
                &["how"],
                PutEncryption::ALL.len(),
                1,
            )?,
            expect: grid(
                "sealgate_continue_total",
                "Requests with Expect: 100-continue, by what became of it.",
                &["how"],
                Continue::ALL.len(),
                1,
            )?,
            lingers: grid(
                "sealgate_lingers_total",
                "Connections drained after a refusal, by how that ended.",
                &["end"],
                Lingered::ALL.len(),
                1,
            )?,
            transport: Transport::register(&registry)?,
            reloads: grid(
                "sealgate_config_reloads_total",
                "Reloads of the configuration, by result.",
                &["result"],
                2,
                1,
            )?,
            refused_bytes: counter(
                "sealgate_refused_body_bytes_total",
                "Announced body bytes of refused requests that were never read.",
            )?,
            request_bytes: counter(
                "sealgate_request_body_bytes_total",
                "Body bytes from clients to the store.",
            )?,
            response_bytes: counter(
                "sealgate_response_body_bytes_total",
                "Body bytes to clients.",
            )?,
            unconfirmed: counter(
                "sealgate_store_unconfirmed_total",
                "Writes that the store did not confirm as encrypted.",
            )?,
            standing: Gauges::register(&registry)?,
            audit_errors: counter(
                "sealgate_audit_errors_total",
                "Failed attempts to write audit lines.",
            )?,
            audit_lost: counter("sealgate_audit_lost_total", "Audit lines that were lost.")?,
            audit_blocked: blocked(&registry)?,
            audit_rotations: rotations(&registry)?,
            duration: histogram(
                "sealgate_request_duration_seconds",
                "Time from a request's head to the end of its answer.",
            )?,
            store_duration: histogram(
                "sealgate_store_duration_seconds",
                "Time from sending a head to the store to the head of its answer.",
            )?,
            process: Mutex::new(Process::register(&registry)?),
            registry: registry.clone(),
        };
        metrics.begin_at_zero();
        Ok(metrics)
    }

    /// Alerts ask for these before anything has happened.
    fn begin_at_zero(&self) {
        for operation in Operation::ALL.iter().filter(|o| o.writes_object()) {
            self.requests
                .vec
                .with_label_values(&[operation.name(), Decision::Report.as_str()]);
            for reason in [
                Reason::Policy,
                Reason::NotAllowed,
                Reason::Sse,
                Reason::PlainHttp,
            ] {
                self.denied
                    .vec
                    .with_label_values(&[operation.name(), reason.as_str()]);
            }
        }
        for result in ["applied", "refused"] {
            self.reloads.vec.with_label_values(&[result]);
        }
        for how in PutEncryption::ALL {
            self.put_encryption.vec.with_label_values(&[how.as_str()]);
        }
        for how in Continue::ALL {
            self.expect.vec.with_label_values(&[how.as_str()]);
        }
        for end in Lingered::ALL {
            self.lingers.vec.with_label_values(&[end.as_str()]);
        }
    }

    /// Counts a request.
    pub fn observe(&self, event: &Event<'_>) {
        let (row, operation) = match event.operation {
            Some(operation) => (operation as usize, operation.name()),
            None => (Operation::ALL.len(), "unknown"),
        };
        let decision = event.decision;
        self.requests
            .count(row, decision as usize, &[operation, decision.as_str()]);
        if let (Decision::Deny, Some(reason)) = (decision, event.reason) {
            self.denied
                .count(row, reason as usize, &[operation, reason.as_str()]);
        }
        if event.reason == Some(Reason::Unconfirmed) {
            self.unconfirmed.inc();
        }
        if let Some(how) = event.put_encryption() {
            self.put_encryption.count(how as usize, 0, &[how.as_str()]);
        }
        if let Some(how) = event.expect {
            self.expect.count(how as usize, 0, &[how.as_str()]);
        }
        // Anything can be announced; the counter must not wrap.
        self.refused_bytes
            .inc_by(event.bytes_refused.min(LARGEST_BODY));
        self.request_bytes.inc_by(event.bytes_in);
        self.response_bytes.inc_by(event.bytes_out);
        self.duration.observe(event.duration.as_secs_f64());
        if let Some(time) = event.store_time {
            self.store_duration.observe(time.as_secs_f64());
        }
    }

    /// Counts the end of a connection whose client may still have been sending.
    pub fn lingered(&self, end: Lingered) {
        self.lingers.count(end as usize, 0, &[end.as_str()]);
    }

    /// Counts a reload of the configuration.
    pub fn reloaded(&self, result: Reload) {
        let (row, name) = result.label();
        self.reloads.count(row, 0, &[name]);
    }

    /// Says how the process stands.
    pub fn stand(&self, now: &Standing) {
        self.standing.set(now);
    }

    /// All metrics in Prometheus' text format (`text/plain; version=0.0.4`), with the counts of the audit's sink.
    ///
    /// # Errors
    /// Not with metrics of these kinds.
    pub fn encode(&self, sink: Option<&AuditSink>) -> prometheus::Result<String> {
        let process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        process.update();
        if let Some(sink) = sink {
            for (counter, now) in [
                (&self.audit_errors, sink.errors()),
                (&self.audit_lost, sink.lost()),
            ] {
                counter.inc_by(now.saturating_sub(counter.get()));
            }
            let (done, failed) = sink.rotations();
            for (result, now) in [("done", done), ("failed", failed)] {
                let counter = self.audit_rotations.with_label_values(&[result]);
                counter.inc_by(now.saturating_sub(counter.get()));
            }
            self.audit_blocked.set(i64::from(sink.is_blocked()));
        }
        let mut out = Vec::with_capacity(16 << 10);
        TextEncoder::new().encode(&self.registry.gather(), &mut out)?;
        String::from_utf8(out).map_err(|e| prometheus::Error::Msg(e.to_string()))
    }
}

fn blocked(registry: &Registry) -> prometheus::Result<IntGauge> {
    let blocked = IntGauge::new(
        "sealgate_audit_blocked",
        "1 while audit lines cannot be written, else 0.",
    )?;
    registry.register(Box::new(blocked.clone()))?;
    Ok(blocked)
}

fn rotations(registry: &Registry) -> prometheus::Result<IntCounterVec> {
    let opts = Opts::new(
        "sealgate_audit_rotations_total",
        "Rotations of the audit file, by result.",
    );
    let rotations = IntCounterVec::new(opts, &["result"])?;
    registry.register(Box::new(rotations.clone()))?;
    Ok(rotations)
}

fn build_info(registry: &Registry) -> prometheus::Result<()> {
    let info = IntGaugeVec::new(
        Opts::new("sealgate_build_info", "1, with the version that runs."),
        &["version"],
    )?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::event::Handshake;
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::{Duration, UNIX_EPOCH};

    fn event(decision: Decision, operation: Option<Operation>) -> Event<'static> {
        let mut event = Event::new(UNIX_EPOCH, "r", "PUT", decision);
        event.operation = operation;
        event.status = Some(200);
        event
    }

    fn busy() -> String {
        let metrics = Metrics::new().unwrap();
        for &operation in Operation::ALL {
            metrics.observe(&event(Decision::Allow, Some(operation)));
        }
        for &reason in Reason::ALL {
            let mut event = event(Decision::Deny, Some(Operation::PutObject));
            event.reason = Some(reason);
            event.bytes_refused = 10;
            metrics.observe(&event);
        }
        let mut put = event(Decision::Allow, Some(Operation::PutObject));
        put.sse_requested = Some("AES256");
        put.store_time = Some(Duration::from_millis(3));
        put.expect = Some(Continue::Store);
        metrics.lingered(Lingered::Done);
        metrics.lingered(Lingered::Done);
        metrics.observe(&put);
        metrics.observe(&put);
        metrics.observe(&event(Decision::Error, None));
        metrics.reloaded(Reload::Applied);
        metrics.transport.handshake(Some("1.3"), Handshake::Done);
        metrics.transport.handshake(None, Handshake::Timeout);
        metrics.transport.certificates_reloaded(Reload::Refused);
        let sink = AuditSink::to("nowhere", Box::new(std::io::sink()));
        metrics.encode(Some(&sink)).unwrap()
    }

    #[test]
    fn names_and_labels() {
        let text = busy();
        for line in [
            r#"sealgate_requests_total{decision="allow",operation="PutObject"} 3"#,
            r#"sealgate_requests_total{decision="error",operation="unknown"} 1"#,
            r#"sealgate_denied_total{operation="PutObject",reason="policy"} 1"#,
            r#"sealgate_put_encryption_total{how="client"} 2"#,
            r#"sealgate_put_encryption_total{how="sealed"} 0"#,
            r#"sealgate_continue_total{how="store"} 2"#,
            r#"sealgate_continue_total{how="timeout"} 0"#,
            r#"sealgate_lingers_total{end="done"} 2"#,
            r#"sealgate_lingers_total{end="bytes"} 0"#,
            r#"sealgate_tls_handshakes_total{result="done",version="1.2"} 0"#,
            r#"sealgate_tls_handshakes_total{result="done",version="1.3"} 1"#,
            r#"sealgate_tls_handshakes_total{result="timeout",version="none"} 1"#,
            r#"sealgate_tls_certificate_reloads_total{result="refused"} 1"#,
            "sealgate_proxy_header_refused_total 0",
            r#"sealgate_config_reloads_total{result="applied"} 1"#,
            "sealgate_refused_body_bytes_total 160",
            "sealgate_store_unconfirmed_total 1",
            "sealgate_store_duration_seconds_count 2",
            "sealgate_audit_lost_total 0",
            "sealgate_audit_blocked 0",
            r#"sealgate_audit_rotations_total{result="done"} 0"#,
            r#"sealgate_audit_rotations_total{result="failed"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line} in\n{text}");
        }
        assert!(text.contains("sealgate_build_info{version=\""));
        let value = |name: &str| -> f64 {
            let line = text.lines().find_map(|l| l.strip_prefix(name)).unwrap();
            line.trim().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes ") > 0.0);
        assert!(value("process_virtual_memory_bytes ") >= value("process_resident_memory_bytes "));
        assert!(value("process_max_fds ") > value("process_open_fds "));
        assert!(value("process_open_fds ") > 0.0);
        assert!(text.contains("sealgate_request_duration_seconds_bucket{le=\"0.0001\"}"));
        // PutObject, CopyObject, CreateMultipartUpload and PostObject, each once without an encryption.
        assert!(
            text.contains(r#"sealgate_put_encryption_total{how="none"} 4"#),
            "{text}"
        );
    }

    #[test]
    fn labels_are_closed() {
        assert_eq!(
            Operation::ALL.last().map(|&o| o as usize),
            Some(Operation::ALL.len() - 1)
        );
        for (i, &decision) in Decision::ALL.iter().enumerate() {
            assert_eq!(decision as usize, i);
        }
        for (i, &reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason as usize, i);
        }
    }

    #[test]
    fn promtool_agrees() {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("promtool (Debian package prometheus) is needed: {e}"));
        promtool
            .stdin
            .take()
            .unwrap()
            .write_all(busy().as_bytes())
            .unwrap();
        let output = promtool.wait_with_output().unwrap();
        assert!(
            output.status.success() && output.stderr.is_empty() && output.stdout.is_empty(),
            "{output:?}"
        );
    }
}
