//! What a write may have left behind that the store did not report as done.
//!
//! A store may write first and fail then: versitygw stores an object whose object lock it refuses, and what had come of one
//! that was cut short. So with `store.credentials` Sealgate looks by `HEAD` at what stands under the key: an object without
//! encryption that is no older than the request is what it left, or should not be there either.

use std::time::Duration;

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use pingora_timeout::timeout;

use super::{
    ask::{Question, Told},
    confirm::{Demanded, Finding, judged},
    request::Ctx,
    shared::Shared,
};
use crate::s3::Operation;

/// `Date` and `Last-Modified` are in whole seconds (RFC 9110 section 5.6.7), each rounded in its own way.
const ROUNDING: Duration = Duration::from_secs(2);
/// Nobody waits longer for the answer to a write that has failed.
const LONGEST: Duration = Duration::from_secs(5);

/// Whether an answer with this status may follow a write: not one that says who may not, that there is another object, or that
/// the store has no time.
pub fn may_follow_a_write(status: u16) -> bool {
    status >= 400 && !matches!(status, 401 | 403 | 409 | 412 | 429 | 503)
}

/// Whether it is a gateway's answer, which does not know what the store does (RFC 9110 sections 15.6.3 and 15.6.5).
pub fn is_a_gateways(status: u16) -> bool {
    matches!(status, 502 | 504)
}

/// Whether this writes an object. An upload is none, and what is wrong with its parts shows when it is completed.
pub fn writes_an_object(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::PutObject
            | Operation::PostObject
            | Operation::CopyObject
            | Operation::CompleteMultipartUpload
    )
}

/// Whether the store goes on with it though nobody is there for the answer, and for how long is not known.
pub fn goes_on_alone(operation: Operation) -> bool {
    matches!(
        operation,
        Operation::CopyObject | Operation::CompleteMultipartUpload
    )
}

/// Looks for what a write left that began `age` ago; what it is, where there is something. None where nothing can be looked at.
pub async fn leftover(
    shared: &Shared,
    ctx: &Ctx,
    demanded: &Demanded,
    age: Duration,
) -> Option<String> {
    let own = shared.confirmer.own.as_ref()?;
    let question = Question {
        method: "HEAD",
        bucket: ctx.bucket.as_deref()?,
        key: ctx.key.as_deref()?,
        query: "",
        // What is looked for needs no key.
        headers: &[],
    };
    let told = timeout(LONGEST, own.ask(&shared.store, &question))
        .await
        .ok()?
        .ok()?;
    if !told.is_good() || !is_younger(&told, age) {
        return None;
    }
    match judged(told.fields(), demanded, "a HEAD of what stands there now") {
        Finding::Unencrypted(why) => Some(why),
        _ => None,
    }
}

/// By the store's clock alone. One that names no times is believed to have just written it.
fn is_younger(told: &Told, age: Duration) -> bool {
    let time = |name| {
        let text = told.field(name)?;
        DateTimeParser::new().parse_timestamp(text).ok()
    };
    match (time("date"), time("last-modified")) {
        (Some(now), Some(written)) => is_within(now, written, age),
        _ => true,
    }
}

fn is_within(now: Timestamp, written: Timestamp, age: Duration) -> bool {
    let since = now.duration_since(written);
    since.is_negative() || since.unsigned_abs() <= age.saturating_add(ROUNDING)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_older_than_the_request_is_not_its_own() {
        let at = |text: &str| DateTimeParser::new().parse_timestamp(text).unwrap();
        let now = at("Tue, 01 Dec 2026 12:00:10 GMT");
        for (written, seconds, within) in [
            ("Tue, 01 Dec 2026 12:00:10 GMT", 0, true),
            ("Tue, 01 Dec 2026 12:00:08 GMT", 0, true),
            ("Tue, 01 Dec 2026 12:00:07 GMT", 0, false),
            ("Tue, 01 Dec 2026 12:00:07 GMT", 1, true),
            ("Tue, 01 Dec 2026 12:00:30 GMT", 0, true),
            ("Mon, 30 Nov 2026 12:00:10 GMT", 60, false),
        ] {
            let age = Duration::from_secs(seconds);
            assert_eq!(is_within(now, at(written), age), within, "{written}");
        }
    }
}
