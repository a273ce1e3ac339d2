//! Reading `limits`.

use std::time::Duration;

use super::reader::{Fields, Node};
use super::types::{BodyRate, Limits, Linger};

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
    optional(&fields, "body_bytes", Node::size, &mut limits.body_bytes);
    optional(&fields, "body_rate", body_rate, &mut limits.body_rate);
    bound(
        &fields,
        "header_bytes",
        Node::size,
        &mut limits.header_bytes,
    );
    bound(
        &fields,
        "header_count",
        Node::count,
        &mut limits.header_count,
    );
    bound(&fields, "xml_bytes", Node::size, &mut limits.xml_bytes);
    bound(&fields, "form_bytes", Node::size, &mut limits.form_bytes);
    timeout(&fields, "header_timeout", &mut limits.header_timeout);
    timeout(&fields, "idle_timeout", &mut limits.idle_timeout);
    if let Some(node) = fields.get("linger") {
        linger(&node, &mut limits.linger);
    }
    Some(limits)
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
    into: &mut u64,
) {
    let Some(node) = fields.nullable(name) else {
        return;
    };
    if node.is_null() {
        node.warn("is without a bound: one request can take all the memory there is");
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
    let after = match fields.get("after") {
        Some(node) => node.time(),
        None => Some(Duration::from_secs(30)),
    };
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
