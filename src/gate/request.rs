//! What is known of a request under way, kept from its head to its audit line.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use http::Method;

use super::{
    answer::Answer, body::Inspector, client::Client, confirm::Demanded, ids::RequestId,
    parsed::Parsed, process::Active, shared::Shared,
};
use crate::{
    audit::{AuditError, Continue, Decision, Event, Reason},
    decide::Denial,
    s3::Operation,
};

/// What the audit line takes from the request itself.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    method: &'a Method,
    user_agent: Option<&'a [u8]>,
    trace_id: Option<&'a str>,
    bytes_in: u64,
}

impl<'a> Seen<'a> {
    /// Of a request of whose body so many bytes were read.
    pub fn of(parsed: &'a Parsed, bytes_in: u64) -> Self {
        Self {
            method: &parsed.method,
            user_agent: parsed
                .headers
                .get(http::header::USER_AGENT)
                .map(http::HeaderValue::as_bytes),
            trace_id: parsed.headers.get("traceparent").and_then(trace_id),
            bytes_in,
        }
    }
}

/// The trace id of a `traceparent`, which passes on as it came (W3C Trace Context, section 3.2).
fn trace_id(value: &http::HeaderValue) -> Option<&str> {
    let mut parts = value.to_str().ok()?.trim().split('-');
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let (version, id, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let known = version != "00" || parts.next().is_none();
    let valid = is_hex(version, 2)
        && version != "ff"
        && is_hex(id, 32)
        && id.bytes().any(|b| b != b'0')
        && is_hex(parent, 16)
        && is_hex(flags, 2);
    (known && valid).then_some(id)
}

/// The state of one request.
#[expect(
    clippy::struct_excessive_bools,
    reason = "independent facts, not the states of one thing"
)]
pub struct Ctx {
    /// When its head was there.
    pub started: Instant,
    /// Its id; the store's takes its place where the store gives one.
    pub id: RequestId,
    /// Facts of the connection.
    pub client: Option<Arc<Client>>,
    /// The operation, once recognised.
    pub operation: Option<Operation>,
    /// The bucket.
    pub bucket: Option<String>,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// After trusted proxies.
    pub source_ip: IpAddr,
    /// The TLS version of the client's connection, after trusted proxies.
    pub tls: Option<&'static str>,
    /// Whether the principal is proved.
    pub verified: bool,
    /// The caller's ARN.
    pub principal: Option<String>,
    /// `AES256`, `aws:kms`, `aws:kms:dsse`, `sse-c`.
    pub sse_requested: Option<&'static str>,
    /// What the store says.
    pub sse_confirmed: Option<&'static str>,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Option<Reason>,
    /// The rule that applied.
    pub rule: Option<String>,
    /// The policy that denied.
    pub policy: Option<String>,
    /// Its statement.
    pub sid: Option<String>,
    /// The condition that fired.
    pub condition: Option<String>,
    /// The error code that Sealgate answered.
    pub code: Option<&'static str>,
    /// The final status.
    pub status: Option<u16>,
    /// For people.
    pub error: Option<String>,
    /// The store's id for the request.
    pub store_request_id: Option<String>,
    /// Whether the client expects a 100.
    pub expects: bool,
    /// The announced length of the body.
    pub announced: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Announced bytes that were never read.
    pub bytes_refused: u64,
    /// Objects that the body named, and how many of them were denied.
    pub objects: Option<(u32, u32)>,
    /// When the request went to the store.
    pub store_started: Option<Instant>,
    /// Until its answer's head came.
    pub store_time: Option<Duration>,
    /// Reads the body where the decision depends on it.
    pub inspector: Option<Inspector>,
    /// What the store must confirm.
    pub demanded: Option<Demanded>,
    /// The exchange with the store was cut off, and the store may do yet what was asked.
    pub left_open: bool,
    /// Who sent the client a 100.
    pub continued: Option<Continue>,
    /// The target in origin form, where it came in absolute form.
    pub origin_form: Option<Vec<u8>>,
    /// The client gets an answer of Sealgate's own.
    answered: bool,
    recorded: bool,
    active: Option<Active>,
    of_source: Option<OfSource>,
}

/// A request that counts among those of its client's address until this is dropped.
pub struct OfSource(Arc<AtomicU64>);

impl OfSource {
    /// One of `client`, and how many its address has under way with it.
    pub fn enter(client: &Client) -> (Option<Self>, u64) {
        match &client.requests {
            None => (None, 0),
            Some(requests) => {
                let before = requests.fetch_add(1, Ordering::AcqRel);
                (Some(Self(Arc::clone(requests))), before + 1)
            }
        }
    }
}

impl Drop for OfSource {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Ctx {
    /// A request that has just arrived.
    pub fn new(shared: &Arc<Shared>) -> Self {
        Self {
            started: Instant::now(),
            id: shared.process.ids.next(),
            client: None,
            operation: None,
            bucket: None,
            key: None,
            source_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            tls: None,
            verified: false,
            principal: None,
            sse_requested: None,
            sse_confirmed: None,
            decision: Decision::Allow,
            reason: None,
            rule: None,
            policy: None,
            sid: None,
            condition: None,
            code: None,
            status: None,
            error: None,
            store_request_id: None,
            expects: false,
            announced: 0,
            bytes_out: 0,
            bytes_refused: 0,
            objects: None,
            store_started: None,
            store_time: None,
            inspector: None,
            demanded: None,
            left_open: false,
            continued: None,
            origin_form: None,
            answered: false,
            recorded: false,
            active: Some(shared.process.enter()),
            of_source: None,
        }
    }

    /// Notes whose request it is; how many it has under way, this one included.
    pub fn come_from(&mut self, client: &Arc<Client>) -> u64 {
        self.client = Some(Arc::clone(client));
        let (counted, many) = OfSource::enter(client);
        self.of_source = counted;
        many
    }

    /// Notes a denial, enforced or only reported.
    pub fn note(&mut self, denial: &Denial<'_>) {
        self.reason = Some(denial.reason);
        self.rule = denial.rule.map(str::to_owned);
        self.policy = denial.policy.map(str::to_owned);
        self.sid.clone_from(&denial.sid);
        self.condition.clone_from(&denial.condition);
    }

    /// Notes an answer of Sealgate's own.
    pub fn note_answer(&mut self, answer: &Answer) {
        self.answered = true;
        self.status = Some(answer.status);
        self.code = answer.code;
        self.decision = answer.decision;
        let error = answer.error.as_deref();
        self.end_by(answer.reason, error.filter(|_| self.condition.is_none()));
    }

    /// Notes what ended the request. That the store did not confirm what was demanded stays beside it.
    pub fn end_by(&mut self, reason: Reason, error: Option<&str>) {
        if self.reason == Some(Reason::Unconfirmed) && reason != Reason::Unconfirmed {
            let before = self.error.take().unwrap_or_default();
            let error = error.unwrap_or("the request ended");
            self.error = Some(format!("{before}; then {error}"));
            return;
        }
        self.reason = Some(reason);
        if let Some(error) = error {
            let known = self.error.take().map(|known| known + "; then ");
            self.error = Some(known.unwrap_or_default() + error);
        }
    }

    /// Notes that a write goes through whose encryption the store did not confirm. What was decided of it stays.
    pub fn note_unconfirmed(&mut self, why: String) {
        self.reason = Some(Reason::Unconfirmed);
        self.error = Some(why);
    }

    /// It counts no more as under way. Where an answer of Sealgate's own has its line, a client that does not take it must not
    /// keep others out; it does count among those of its address.
    pub fn leaves(&mut self) {
        self.active = None;
    }

    /// Whether the final response is complete and recorded.
    pub fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// Writes the audit line and counts; once. Anything but an allowed read must be in the file when this returns.
    ///
    /// # Errors
    /// The line could not be written and requests are to be refused then.
    pub fn record(&mut self, shared: &Shared, seen: Seen<'_>) -> Result<(), AuditError> {
        if std::mem::replace(&mut self.recorded, true) {
            return Ok(());
        }
        let forwarded = self.store_started.is_some();
        let expect = match self.continued {
            _ if !self.expects => None,
            Some(by) => Some(by),
            None if !forwarded => Some(Continue::Refused),
            // One whose body is all there may do without a 100.
            None if self.announced > seen.bytes_in => Some(Continue::EarlyFinal),
            None => None,
        };
        let event = Event {
            store_request_id: self.store_request_id.as_deref(),
            operation: self.operation,
            bucket: self.bucket.as_deref(),
            key: self.key.as_deref(),
            status: self.status,
            code: self.code,
            reason: self.reason,
            policy: self.policy.as_deref(),
            sid: self.sid.as_deref(),
            condition: self.condition.as_deref(),
            rule: self.rule.as_deref(),
            principal: self.principal.as_deref(),
            source_ip: Some(self.source_ip),
            verified: self.verified,
            tls: self.tls,
            user_agent: seen.user_agent,
            trace_id: seen.trace_id,
            sse_requested: self.sse_requested,
            sse_confirmed: self.sse_confirmed,
            bytes_in: seen.bytes_in,
            bytes_out: self.bytes_out,
            bytes_refused: self.bytes_refused,
            duration: self.started.elapsed(),
            store_time: self.store_time,
            objects: self.objects,
            expect,
            error: self.error.as_deref(),
            ..Event::new(
                SystemTime::now(),
                self.store_request_id
                    .as_deref()
                    .filter(|_| !self.answered)
                    .unwrap_or(self.id.as_str()),
                seen.method.as_str(),
                self.decision,
            )
        };
        shared.process.record(&event, event.is_durable())
    }
}

#[cfg(test)]
mod tests {
    use super::trace_id;
    use http::HeaderValue;

    #[test]
    fn trace_ids_are_believed_where_they_are_well_formed() {
        let id = "0af7651916cd43dd8448eb211c80319c";
        let of = |text: &str| {
            HeaderValue::from_str(text)
                .ok()
                .and_then(|value| trace_id(&value).map(str::to_owned))
        };
        assert_eq!(
            of(&format!("00-{id}-b7ad6b7169203331-01")).as_deref(),
            Some(id)
        );
        // A later version may say more.
        assert_eq!(
            of(&format!("01-{id}-b7ad6b7169203331-01-x")).as_deref(),
            Some(id)
        );
        for bad in [
            format!("00-{id}-b7ad6b7169203331-01-x"),
            format!("ff-{id}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", id.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{id}-b7ad6b71-01"),
            "secret".to_owned(),
        ] {
            assert_eq!(of(&bad), None, "{bad}");
        }
    }
}
