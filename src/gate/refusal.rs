//! Answers of Sealgate's own, on their way to the client.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::Method;
use pingora_timeout::timeout;
use tokio::io::AsyncWriteExt;

use super::{
    answer::Answer,
    client::{Client, Rest},
    parsed::Parsed,
    request::{Ctx, OfSource, Seen},
    shared::Shared,
};
use crate::{
    audit::{AuditError, Decision, Event, Reason},
    http1::head::HeadError,
    s3::{ErrorCode, S3Error},
};

/// How long an HTTP/2 client may leave an answer of Sealgate's own untaken, and one that tells it to slow down.
const UNTAKEN: Duration = Duration::from_secs(5);
const UNTAKEN_LIMIT: Duration = Duration::from_millis(100);

/// Answers a head that is refused, or (`None`) that did not arrive in time, and records it.
///
/// # Errors
/// The client cannot be written to.
pub async fn refuse_head(
    shared: &Shared,
    client: &Arc<Client>,
    rest: &mut Rest,
    error: Option<HeadError>,
) -> std::io::Result<()> {
    let (_counted, of_source) = OfSource::enter(client);
    let (code, reason, message) = match error {
        None => (
            ErrorCode::RequestTimeout,
            Reason::Client,
            "Your socket connection to the server was not read from or written to within the timeout period.".to_owned(),
        ),
        Some(error @ (HeadError::TooLarge(_) | HeadError::TooManyFields(_))) => (
            ErrorCode::RequestHeaderSectionTooLarge,
            Reason::Limit,
            error.to_string(),
        ),
        Some(error @ HeadError::Method) => (
            ErrorCode::MethodNotAllowed,
            Reason::Method,
            error.to_string(),
        ),
        Some(error @ HeadError::Target) => (ErrorCode::InvalidUri, Reason::Request, error.to_string()),
        Some(error) => (ErrorCode::BadRequest, Reason::Request, error.to_string()),
    };
    let answer = Answer::error(S3Error::new(code, message), Decision::Error, reason);
    let id = shared.process.ids.next();
    let rendered = answer.render(&shared.process.ids, &id);
    let event = Event {
        status: Some(answer.status),
        code: answer.code,
        reason: Some(reason),
        source_ip: Some(client.ip),
        tls: client.tls,
        error: answer.error.as_deref(),
        bytes_out: rendered.body_bytes(),
        duration: Duration::ZERO,
        // What stands for the method has not been understood.
        ..Event::new(SystemTime::now(), id.as_str(), "", Decision::Error)
    };
    // The request did nothing; a line that cannot be written is counted by the sink and must not hold up the refusal.
    let _ = shared.process.record(&event, false);
    let longest = patience(shared, rest, shared.too_many_of_one(of_source));
    send_within(longest, rest, &rendered.to_bytes(&Method::GET, false)).await
}

/// How long an answer of Sealgate's own waits for its client. In HTTP/1 it fits into what the kernel takes. In HTTP/2 a client
/// says how much it takes, and may say nothing.
fn patience(shared: &Shared, rest: &Rest, too_many: bool) -> Duration {
    match rest.stream.is_unchunked() {
        false => shared.door.idle_timeout,
        true if too_many => UNTAKEN_LIMIT,
        true => shared.door.idle_timeout.min(UNTAKEN),
    }
}

/// Sends `bytes`; a client that does not take them in time has gone.
///
/// # Errors
/// It cannot be written to.
pub async fn send(shared: &Shared, rest: &mut Rest, bytes: &[u8]) -> std::io::Result<()> {
    send_within(shared.door.idle_timeout, rest, bytes).await
}

async fn send_within(longest: Duration, rest: &mut Rest, bytes: &[u8]) -> std::io::Result<()> {
    let sent = async {
        rest.stream.write_all(bytes).await?;
        rest.stream.flush().await
    };
    timeout(longest, sent)
        .await
        .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

/// Answers a request in the store's place, its line first.
///
/// # Errors
/// The client cannot be written to.
pub async fn answer(
    shared: &Shared,
    rest: &mut Rest,
    parsed: &Parsed,
    ctx: &mut Ctx,
    answer: &Answer,
    bytes_in: u64,
    keep: bool,
) -> std::io::Result<()> {
    ctx.note_answer(answer);
    let mut rendered = answer.render(&shared.process.ids, &ctx.id);
    if parsed.method != Method::HEAD {
        ctx.bytes_out = rendered.body_bytes();
    }
    if let Err(error) = ctx.record(shared, Seen::of(parsed, bytes_in)) {
        unrecorded(&error);
        rendered = Answer::unrecorded().render(&shared.process.ids, &ctx.id);
    }
    ctx.leaves();
    let bytes = rendered.to_bytes(&parsed.method, keep);
    let longest = patience(shared, rest, answer.reason == Reason::Limit);
    send_within(longest, rest, &bytes).await
}

/// A request that is refused because of the audit; the log is told once, by the sink itself.
pub fn unrecorded(error: &AuditError) {
    tracing::debug!(%error, "a request is refused: its audit line cannot be written");
}
