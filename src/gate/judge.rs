//! From a request's head to a verdict, and from a verdict to what happens.

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use http::HeaderMap;

use super::{
    answer::Answer, body::Inspector, client::Client, confirm::Demanded, request::Ctx,
    shared::Shared,
};
use crate::{
    audit::{Decision, Reason},
    config::Denial as Told,
    decide::{Denial, Facts, Verdict, client_tls, source_ip},
    http1::head::{Expectation, Framing},
    policy::{BodyTags, Principal},
    s3::{self, ErrorCode, Operation, RequestHead, Routed, S3Error},
    sigv4::{self, Claim},
    sse::{self, Channel, Encryption, SseRequest},
};

/// Milliseconds since 1970.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// What is known of a request besides its head.
#[derive(Clone, Copy, Debug)]
pub struct Arrived<'a> {
    /// Facts of its connection.
    pub client: &'a Arc<Client>,
    /// How its body is framed.
    pub framing: Framing,
    /// What the client expects.
    pub expectation: Expectation,
}

/// Decides a request by its head. `Some`: it is answered with this and goes no further.
pub fn judge(
    shared: &Shared,
    head: &RequestHead<'_>,
    arrived: Arrived<'_>,
    ctx: &mut Ctx,
) -> Option<Answer> {
    let of_source = ctx.come_from(arrived.client);
    ctx.expects = arrived.expectation == Expectation::Continue;
    if let Framing::Length(n) = arrived.framing {
        ctx.announced = n;
    }
    let client = arrived.client;
    let trusted = if client.unnamed {
        &[][..]
    } else {
        &shared.trusted_proxies[..]
    };
    ctx.source_ip = source_ip(client.ip, head.headers, trusted);
    ctx.tls = client_tls(client.ip, client.tls, head.headers, trusted);
    let answer = examine(shared, head, arrived, of_source, ctx).err();
    if answer.is_some() {
        ctx.bytes_refused = ctx.announced;
    }
    answer
}

fn examine(
    shared: &Shared,
    head: &RequestHead<'_>,
    arrived: Arrived<'_>,
    of_source: u64,
    ctx: &mut Ctx,
) -> Result<(), Answer> {
    let routed = shared
        .served
        .check(head.target, head.host)
        .map_err(s3::RouteError::from)
        .and_then(|()| s3::route(head, shared.served.domains()));
    if let Ok(routed) = &routed {
        ctx.operation = Some(routed.operation);
        ctx.bucket = routed.bucket.as_deref().map(str::to_owned);
        ctx.key = routed.key.as_deref().map(<[u8]>::to_vec);
    }
    // Before all that may be refused: what is one too many costs the least.
    too_many(shared, of_source)?;
    let routed = routed.map_err(|error| unroutable(error.into()))?;
    if arrived.expectation == Expectation::Unknown {
        let error = S3Error::new(
            ErrorCode::ExpectationFailed,
            "The only expectation that can be met is `100-continue`; send the request without the Expect header.",
        );
        return Err(Answer::error(error, Decision::Error, Reason::Expect));
    }
    let claim = sigv4::claim(&routed, head)
        .map_err(|e| Answer::error(e, Decision::Error, Reason::Request))?;
    if let Some(most) = shared.body_bytes.filter(|most| ctx.announced > *most) {
        return Err(too_large(most, Some(ctx.announced)));
    }
    let mut facts = facts(shared, ctx, head, &routed, &claim, None);
    if shared.keeper.asks_body_tags(&routed) {
        facts.tags = BodyTags::ToCome;
    }
    ctx.principal = facts.principal.map(|p| p.arn().to_owned());
    ctx.verified = certified(shared, ctx, facts.now_ms).is_some();
    let request = SseRequest::of(&routed, head);
    ctx.sse_requested = requested(&request);
    settle(shared, ctx, shared.keeper.request(&facts), facts.principal)?;
    if routed.operation != Operation::PostObject {
        encryption(shared, ctx, routed.operation, &request)?;
        ctx.demanded = Demanded::of(shared, &facts, &request, None);
    }
    if shared.process.is_blocked() {
        return Err(Answer::unrecorded());
    }
    ctx.inspector = inspector(shared, &routed, head, ctx)?;
    if !head.target.starts_with(b"/") {
        ctx.origin_form = Some(origin_form(&routed));
    }
    Ok(())
}

/// The limits on requests at a time.
fn too_many(shared: &Shared, of_source: u64) -> Result<(), Answer> {
    let too_many_of_all = shared
        .most_requests
        .is_some_and(|most| shared.process.active() as u64 > most);
    if too_many_of_all || shared.too_many_of_one(of_source) {
        let error = S3Error::new(ErrorCode::SlowDown, "Please reduce your request rate.");
        return Err(Answer::error(error, Decision::Error, Reason::Limit));
    }
    Ok(())
}

/// The answer to a body beyond `limits.body_bytes`.
pub fn too_large(most: u64, announced: Option<u64>) -> Answer {
    let error = S3Error::new(
        ErrorCode::EntityTooLarge,
        "Your proposed upload exceeds the maximum allowed size of a request's body here.",
    )
    .with("MaxSizeAllowed", most.to_string());
    let error = match announced {
        Some(announced) => error.with("ProposedSize", announced.to_string()),
        None => error,
    };
    Answer::error(error, Decision::Error, Reason::Limit)
}

/// All that a decision on this request rests on; `form`: the fields of its body, which stand for headers.
pub fn facts<'a>(
    shared: &'a Shared,
    ctx: &Ctx,
    head: &'a RequestHead<'a>,
    routed: &'a Routed<'a>,
    claim: &'a Claim<'a>,
    form: Option<&'a HeaderMap>,
) -> Facts<'a> {
    let now_ms = now_ms();
    Facts {
        head,
        routed,
        claim,
        // What a certificate proves wins over what a signature claims.
        principal: certified(shared, ctx, now_ms).or_else(|| {
            claim
                .access_key
                .as_deref()
                .and_then(|key| shared.keeper.principal(key))
        }),
        ip: ctx.source_ip,
        tls: ctx.tls,
        now_ms,
        form,
        tags: BodyTags::Unread,
    }
}

/// Whom the connection's certificate proves.
fn certified<'a>(shared: &'a Shared, ctx: &Ctx, now_ms: i64) -> Option<&'a Principal> {
    let identity = ctx.client.as_ref()?.certificate.as_ref()?;
    shared.keeper.certified(identity, now_ms / 1000)
}

/// Notes a verdict; an answer where it denies.
pub fn settle(
    shared: &Shared,
    ctx: &mut Ctx,
    verdict: Verdict<'_>,
    principal: Option<&Principal>,
) -> Result<(), Answer> {
    match verdict {
        Verdict::Allow(rule) => {
            if ctx.decision == Decision::Allow {
                ctx.rule = rule.map(str::to_owned);
            }
            Ok(())
        }
        Verdict::Report(denial) => {
            ctx.note(&denial);
            ctx.decision = Decision::Report;
            Ok(())
        }
        Verdict::Deny(denial) => {
            ctx.note(&denial);
            let message = message(shared, &denial, principal);
            Err(Answer::error(
                S3Error::new(ErrorCode::AccessDenied, message),
                Decision::Deny,
                denial.reason,
            ))
        }
    }
}

/// What a denied client is told.
pub fn message(shared: &Shared, denial: &Denial<'_>, principal: Option<&Principal>) -> String {
    match shared.denial {
        Told::Detailed => denial.message(principal),
        Told::Plain => "Access Denied".to_owned(),
    }
}

/// Checks the encryption headers, or the fields of a form, as S3 does.
pub fn encryption(
    shared: &Shared,
    ctx: &Ctx,
    operation: Operation,
    request: &SseRequest<'_>,
) -> Result<(), Answer> {
    let channel = Channel {
        tls: ctx.tls.is_some(),
        allow_plain_http: shared.sse_c_over_http,
        kms_needs_v4: false,
        signed_v4: true,
    };
    let validated = sse::validate(operation, request, channel).map_err(|error| {
        let reason = if error.code == ErrorCode::InvalidRequest {
            Reason::PlainHttp
        } else {
            Reason::Sse
        };
        Answer::error(error, Decision::Deny, reason)
    })?;
    let has_key =
        matches!(validated.encryption, Encryption::Customer(_)) || validated.source.is_some();
    if has_key && !shared.store_takes_keys {
        let error = S3Error::new(
            ErrorCode::InvalidRequest,
            "SSE-C keys are not sent to a store over plain HTTP. The operator must configure an https endpoint.",
        );
        return Err(Answer::error(error, Decision::Deny, Reason::PlainHttp));
    }
    Ok(())
}

/// The name that the audit line gives to what a request asks for.
pub fn requested(request: &SseRequest<'_>) -> Option<&'static str> {
    if request.customer.any() {
        return Some("sse-c");
    }
    request.sse.as_deref().map(known_sse)
}

/// A value of `x-amz-server-side-encryption`, or `invalid`: never a client's own text.
pub fn known_sse(value: &str) -> &'static str {
    ["AES256", "aws:kms", "aws:kms:dsse", "aws:fsx"]
        .into_iter()
        .find(|known| *known == value)
        .unwrap_or("invalid")
}

fn inspector(
    shared: &Shared,
    routed: &Routed<'_>,
    head: &RequestHead<'_>,
    ctx: &Ctx,
) -> Result<Option<Inspector>, Answer> {
    let bucket = routed.bucket.as_deref().unwrap_or_default();
    match routed.operation {
        Operation::DeleteObjects if shared.keeper.tells_objects_apart(bucket) => {
            fits_xml(
                shared,
                ctx,
                "The XML body is larger than this gateway reads; name fewer objects in one request.",
            )?;
            Ok(Some(Inspector::delete(shared.xml_bytes)))
        }
        Operation::PutObjectTagging if shared.keeper.asks_body_tags(routed) => {
            fits_xml(
                shared,
                ctx,
                "The XML body is larger than this gateway reads; an object has at most 10 tags.",
            )?;
            Ok(Some(Inspector::tagging(shared.xml_bytes)))
        }
        Operation::PostObject => Inspector::form(head.headers, shared.form_bytes)
            .map(Some)
            .map_err(|e| Answer::error(e.into(), Decision::Error, Reason::Request)),
        _ => Ok(None),
    }
}

/// An XML body that announces more than is read is not begun with.
fn fits_xml(shared: &Shared, ctx: &Ctx, message: &'static str) -> Result<(), Answer> {
    if ctx.announced <= shared.xml_bytes as u64 {
        return Ok(());
    }
    let error = S3Error::new(ErrorCode::EntityTooLarge, message)
        .with("ProposedSize", ctx.announced.to_string())
        .with("MaxSizeAllowed", shared.xml_bytes.to_string());
    Err(Answer::error(error, Decision::Error, Reason::Limit))
}

/// A target in absolute form goes on in origin form, as RFC 9112 section 3.2.2 has a proxy do.
fn origin_form(routed: &Routed<'_>) -> Vec<u8> {
    let mut target = if routed.path.is_empty() {
        b"/".to_vec()
    } else {
        routed.path.to_vec()
    };
    if !routed.query.raw().is_empty() {
        target.push(b'?');
        target.extend_from_slice(routed.query.raw());
    }
    target
}

fn unroutable(error: S3Error) -> Answer {
    let reason = match error.code {
        ErrorCode::MethodNotAllowed => Reason::Method,
        ErrorCode::NotImplemented => Reason::Operation,
        _ => Reason::Request,
    };
    Answer::error(error, Decision::Error, reason)
}
