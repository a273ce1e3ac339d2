//! What a write may have left behind that the store did not report as done.
//!
//! A store may write first and fail then: versitygw stores an object whose object lock it refuses, and what had come of one
//! that was cut short. So with `store.credentials` Sealgate looks by `HEAD` at what stands under the key: an object without
//! encryption that is no older than the request is what it left, or should not be there either.

use std::time::{Duration, Instant};

use jiff::{Timestamp, fmt::rfc2822::DateTimeParser};
use pingora_timeout::timeout;

use super::{
    ask::{Own, Question, Told},
    confirm::{Demanded, Finding, judged},
    probe::version_query,
    request::Ctx,
    shared::Shared,
};
use crate::s3::{query::encode, xml::Element};

/// `Date` and `Last-Modified` are in whole seconds (RFC 9110 section 5.6.7), and may be of two machines' clocks.
const APART: Duration = Duration::from_secs(5);
/// Nobody waits longer for the answer to a write that has failed.
const LONGEST: Duration = Duration::from_secs(5);

/// So many versions of a key are looked at.
const MOST_VERSIONS: usize = 8;

/// What such a look has shown.
#[derive(Debug)]
pub enum Leftover {
    /// Nothing that the request wrote, or it is encrypted.
    Nothing,
    /// An object without encryption that is no older than the request; how that shows.
    Unencrypted(String),
    /// Nothing is known; why.
    Unknown(String),
}

/// Looks for what a write left that began at `since`; without `store.credentials` nothing is found.
pub async fn look(shared: &Shared, ctx: &Ctx, demanded: &Demanded, since: Instant) -> Leftover {
    let Some(own) = &shared.confirmer.own else {
        return Leftover::Nothing;
    };
    let (Some(bucket), Some(key)) = (ctx.bucket.as_deref(), ctx.key.as_deref()) else {
        return Leftover::Unknown("it is not known what was written".to_owned());
    };
    let question = Question {
        method: "HEAD",
        bucket,
        key,
        query: "",
        // What is looked for needs no key.
        headers: &[],
    };
    let told = match timeout(LONGEST, own.ask(&shared.store, &question)).await {
        Ok(Ok(told)) => told,
        Ok(Err(error)) => return Leftover::Unknown(format!("it could not be looked at: {error}")),
        Err(_) => {
            let seconds = LONGEST.as_secs();
            return Leftover::Unknown(format!("a HEAD was not answered within {seconds} s"));
        }
    };
    match told.status {
        200..300 if !is_younger(&told, since.elapsed()) => Leftover::Nothing,
        200..300 => match judged(told.fields(), demanded, "a HEAD of what stands there now") {
            Finding::Unencrypted(why) => Leftover::Unencrypted(why),
            _ => Leftover::Nothing,
        },
        404 if told.field("x-amz-delete-marker") == Some("true") => {
            among_versions(shared, own, (bucket, key), demanded, since).await
        }
        // Nothing stands there, or what cannot be read without its key (SSE-C).
        404 | 400 => Leftover::Nothing,
        status => Leftover::Unknown(format!(
            "a HEAD, with store.credentials, was answered {status}"
        )),
    }
}

/// The key was deleted since, but its versions were not.
async fn among_versions(
    shared: &Shared,
    own: &Own,
    (bucket, key): (&str, &[u8]),
    demanded: &Demanded,
    since: Instant,
) -> Leftover {
    let ask = async |method, key, query: &str| {
        let question = Question {
            method,
            bucket,
            key,
            query,
            headers: &[],
        };
        let told = timeout(LONGEST, own.ask(&shared.store, &question)).await;
        told.ok()?.ok().filter(Told::is_good)
    };
    let unknown = |what: &str| Leftover::Unknown(format!("the key was deleted since, and {what}"));
    let query = format!("prefix={}&versions=", encode(key, false));
    let Some(listed) = ask("GET", b"", &query).await else {
        return unknown("its versions cannot be listed with store.credentials");
    };
    let Ok(root) = Element::parse(listed.body.trim_ascii(), listed.body.len()) else {
        return unknown("the list of its versions cannot be read");
    };
    let now = time(&listed, "date");
    let versions = root.children().iter().filter(|version| {
        let text = |name| version.one_text(name).ok().flatten();
        let written = text("LastModified").and_then(|text| text.parse().ok());
        version.name() == "Version"
            && text("Key").is_some_and(|text| text.as_bytes() == key)
            && now
                .zip(written)
                .is_none_or(|(now, written)| is_within(now, written, since.elapsed()))
    });
    // Newest first.
    for version in versions.take(MOST_VERSIONS) {
        let Ok(Some(id)) = version.one_text("VersionId") else {
            continue;
        };
        let Some(told) = ask("HEAD", key, &version_query(id)).await else {
            continue;
        };
        if let Finding::Unencrypted(why) = judged(told.fields(), demanded, "a HEAD of a version") {
            return Leftover::Unencrypted(why);
        }
    }
    Leftover::Nothing
}

/// By the store's clock alone. One that names no times is believed to have just written it.
fn is_younger(told: &Told, age: Duration) -> bool {
    match (time(told, "date"), time(told, "last-modified")) {
        (Some(now), Some(written)) => is_within(now, written, age),
        _ => true,
    }
}

fn time(told: &Told, name: &str) -> Option<Timestamp> {
    DateTimeParser::new()
        .parse_timestamp(told.field(name)?)
        .ok()
}

fn is_within(now: Timestamp, written: Timestamp, age: Duration) -> bool {
    let since = now.duration_since(written);
    since.is_negative() || since.unsigned_abs() <= age.saturating_add(APART)
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
            ("Tue, 01 Dec 2026 12:00:05 GMT", 0, true),
            ("Tue, 01 Dec 2026 12:00:04 GMT", 0, false),
            ("Tue, 01 Dec 2026 12:00:04 GMT", 1, true),
            ("Tue, 01 Dec 2026 12:00:30 GMT", 0, true),
            ("Mon, 30 Nov 2026 12:00:10 GMT", 60, false),
        ] {
            let age = Duration::from_secs(seconds);
            assert_eq!(is_within(now, at(written), age), within, "{written}");
        }
    }
}
