//! `limits`: what they are, and how they are read.

use std::time::Duration;

use super::reader::{Fields, Node};

/// The bounds of connections and requests. `null` in the file is "none".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open connections. Default 10000.
    pub connections: Option<u64>,
    /// Open connections of one address. Default 1000.
    pub connections_per_source: Option<u64>,
    /// Requests at a time. Default 5000.
    pub requests: Option<u64>,
    /// Requests at a time from one address. Default 1000.
    pub requests_per_source: Option<u64>,
    /// The bytes of a request's head. Default 64 KiB; `u64::MAX` for none.
    pub header_bytes: u64,
    /// The fields of a request's head. Default 200; `u64::MAX` for none.
    pub header_count: u64,
    /// How long a request's head may take. Default 15 s.
    pub header_timeout: Option<Duration>,
    /// How long a connection may be idle between requests, and a body silent. Default 60 s.
    pub idle_timeout: Option<Duration>,
    /// The bytes of a request's body. Default none.
    pub body_bytes: Option<u64>,
    /// The least speed of a body. Default 1 KiB a second after 30 s.
    pub body_rate: Option<BodyRate>,
    /// The bytes of an XML body that is read to decide a request. Default 8 MiB; `u64::MAX` for none.
    pub xml_bytes: u64,
    /// The bytes of a POST form before its file. Default 20 KiB; `u64::MAX` for none.
    pub form_bytes: u64,
    /// How much is read of a body after it was refused.
    pub linger: Linger,
}

/// The least speed of a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyRate {
    /// Bytes a second.
    pub bytes: u64,
    /// How long a body may be slower at its start.
    pub after: Duration,
}

/// How a connection is drained after its request was refused (RFC 9112 section 9.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linger {
    /// The bytes that are read and thrown away. Default 128 MiB; `u64::MAX` for no bound.
    pub bytes: u64,
    /// How long the connection is kept. Default 30 s.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: Some(10_000),
            connections_per_source: Some(1_000),
            requests: Some(5_000),
            requests_per_source: Some(1_000),
            header_bytes: 64 << 10,
            header_count: 200,
            header_timeout: Some(Duration::from_secs(15)),
            idle_timeout: Some(Duration::from_mins(1)),
            body_bytes: None,
            body_rate: Some(BodyRate {
                bytes: 1 << 10,
                after: Duration::from_secs(30),
            }),
            xml_bytes: 8 << 20,
            form_bytes: 20 << 10,
            linger: Linger {
                bytes: 128 << 20,
                time: Duration::from_secs(30),
            },
        }
    }
}

const FIELDS: &[&str] = &[
    "linger",
    "connections",
    "connections_per_source",
    "requests",
    "requests_per_source",
    "header_bytes",
    "header_count",
    "header_timeout",
    "idle_timeout",
    "body_bytes",
    "body_rate",
    "xml_bytes",
    "form_bytes",
];

/// Where `null` is none: all but `linger`, a map.
const NULLABLE: &[&str] = FIELDS.split_at(1).1;

/// Reads the map; what it leaves out keeps its default.
pub fn limits(node: &Node<'_>) -> Option<Limits> {
    let fields = node.fields_or_null(FIELDS, NULLABLE)?;
    let mut limits = Limits::default();
    optional(&fields, "connections", some, &mut limits.connections);
    optional(
        &fields,
        "connections_per_source",
        some,
        &mut limits.connections_per_source,
    );
    optional(&fields, "requests", some, &mut limits.requests);
    optional(
        &fields,
        "requests_per_source",
        some,
        &mut limits.requests_per_source,
    );
    for (all, of_all, one, of_one) in [
        (
            "connections",
            limits.connections,
            "connections_per_source",
            limits.connections_per_source,
        ),
        (
            "requests",
            limits.requests,
            "requests_per_source",
            limits.requests_per_source,
        ),
    ] {
        if let (Some(node), None) = (fields.nullable(all), fields.nullable(one))
            && let (Some(of_all), Some(of_one)) = (of_all, of_one)
            && of_one >= of_all
        {
            node.warn(format!(
                "one address may take all of it, as {one} is {of_one} where it is not written: write it, too"
            ));
        }
    }
    optional(&fields, "body_bytes", Node::size, &mut limits.body_bytes);
    optional(&fields, "body_rate", body_rate, &mut limits.body_rate);
    bound(
        &fields,
        "header_bytes",
        Node::size,
        "is without a bound: heads of up to 1 MiB are read",
        &mut limits.header_bytes,
    );
    bound(
        &fields,
        "header_count",
        Node::count,
        "is without a bound: up to 256 fields are read",
        &mut limits.header_count,
    );
    let held = "is without a bound: one request can take all the memory that such bodies may take";
    bound(
        &fields,
        "xml_bytes",
        Node::size,
        held,
        &mut limits.xml_bytes,
    );
    bound(
        &fields,
        "form_bytes",
        Node::size,
        held,
        &mut limits.form_bytes,
    );
    timeout(&fields, "header_timeout", &mut limits.header_timeout);
    timeout(&fields, "idle_timeout", &mut limits.idle_timeout);
    if let Some(node) = fields.get("linger") {
        linger(&node, &mut limits.linger);
    }
    Some(limits)
}

/// A time, which may be left out.
pub fn time_or(fields: &Fields<'_>, name: &str, default: Duration) -> Option<Duration> {
    match fields.get(name) {
        Some(node) => node.time(),
        None => Some(default),
    }
}

/// A limit that may be `null`, which is none.
pub fn optional<'t, T>(
    fields: &Fields<'t>,
    name: &str,
    read: impl FnOnce(&Node<'t>) -> Option<T>,
    into: &mut Option<T>,
) {
    let Some(node) = fields.nullable(name) else {
        return;
    };
    if node.is_null() {
        *into = None;
    } else if let Some(value) = read(&node) {
        *into = Some(value);
    }
}

/// A bound on what is held in memory: 0 would refuse everything, `null` is no bound.
fn bound<'t>(
    fields: &Fields<'t>,
    name: &str,
    read: impl FnOnce(&Node<'t>) -> Option<u64>,
    unbounded: &str,
    into: &mut u64,
) {
    let Some(node) = fields.nullable(name) else {
        return;
    };
    if node.is_null() {
        node.warn(unbounded);
        *into = u64::MAX;
        return;
    }
    match read(&node) {
        Some(0) => node.error("is 0, which refuses every request; null is no bound"),
        Some(value) => *into = value,
        None => {}
    }
}

fn timeout(fields: &Fields<'_>, name: &str, into: &mut Option<Duration>) {
    let Some(node) = fields.nullable(name) else {
        return;
    };
    if node.is_null() {
        *into = None;
        return;
    }
    match node.time() {
        Some(Duration::ZERO) => node.error("is 0, which refuses every request; null is no bound"),
        Some(value) => *into = Some(value),
        None => {}
    }
}

/// How many there may be: with none nothing would be served.
fn some(node: &Node<'_>) -> Option<u64> {
    let count = node.count()?;
    if count == 0 {
        node.error("would refuse everything: write 1 or more, or null for any number");
        return None;
    }
    Some(count)
}

fn body_rate(node: &Node<'_>) -> Option<BodyRate> {
    let fields = node.fields(&["bytes", "after"])?;
    let bytes = match fields.get("bytes") {
        Some(node) => node.size(),
        None => Some(1 << 10),
    };
    let after = time_or(&fields, "after", Duration::from_secs(30));
    Some(BodyRate {
        bytes: bytes?,
        after: after?,
    })
}

fn linger(node: &Node<'_>, into: &mut Linger) {
    let Some(fields) = node.fields_or_null(&["bytes", "time"], &["bytes", "time"]) else {
        return;
    };
    if let Some(node) = fields.nullable("bytes") {
        if node.is_null() {
            into.bytes = u64::MAX;
        } else if let Some(bytes) = node.size() {
            into.bytes = bytes;
        }
    }
    if let Some(node) = fields.nullable("time") {
        if node.is_null() {
            node.error("cannot be null: a refused client could hold its connection for ever");
        } else if let Some(time) = node.time() {
            into.time = time;
        }
    }
}
