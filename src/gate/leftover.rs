//! What a write may have left behind that the store did not report as done.
//!
//! A store may write first and fail then: versitygw stores an object whose object lock it refuses, and what had come of one
//! that was cut short. So with `store.credentials` Sealgate looks by `HEAD` at what stands under the key: an object without
//! encryption that is no older than the request is what it left, or should not be there either. Where versions are kept, what
//! was written or deleted since does not hide it.

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

/// So many versions of a key are looked at, of so many that are listed.
const MOST_VERSIONS: usize = 8;
const MOST_LISTED: usize = 50;

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
    let look = Look {
        shared,
        own,
        bucket,
        key,
        demanded,
        since,
    };
    timeout(LONGEST, look.at_key()).await.unwrap_or_else(|_| {
        let seconds = LONGEST.as_secs();
        Leftover::Unknown(format!("a look at it did not end within {seconds} s"))
    })
}

struct Look<'a> {
    shared: &'a Shared,
    own: &'a Own,
    bucket: &'a str,
    key: &'a [u8],
    demanded: &'a Demanded,
    since: Instant,
}

impl Look<'_> {
    async fn ask(&self, method: &str, key: &[u8], query: &str) -> Result<Told, String> {
        let question = Question {
            method,
            bucket: self.bucket,
            key,
            query,
            // What is looked for needs no key.
            headers: &[],
        };
        let told = self.own.ask(&self.shared.store, &question).await;
        told.map_err(|error| format!("a {method} of it failed: {error}"))
    }

    /// At what stands under the key.
    async fn at_key(&self) -> Leftover {
        let told = match self.ask("HEAD", self.key, "").await {
            Ok(told) => told,
            Err(why) => return Leftover::Unknown(why),
        };
        let is_hidden = match told.status {
            200..300 => told
                .field("x-amz-version-id")
                .is_some_and(|id| id != "null"),
            404 => told.field("x-amz-delete-marker") == Some("true"),
            _ => false,
        };
        if told.is_good() && !self.is_younger(&told) {
            return Leftover::Nothing;
        }
        match self.judged(&told) {
            Leftover::Nothing if is_hidden => self.at_versions().await,
            found => found,
        }
    }

    /// Somebody has written or deleted the key since, but its versions are kept.
    async fn at_versions(&self) -> Leftover {
        // The key itself comes first, its newest version before all.
        let key = encode(self.key, false);
        let query = format!("max-keys={MOST_LISTED}&prefix={key}&versions=");
        let listed = match self.ask("GET", b"", &query).await {
            Ok(told) if told.is_good() => told,
            Ok(told) => return refused("a list of its versions", &told),
            Err(why) => return Leftover::Unknown(why),
        };
        let Ok(root) = Element::parse(listed.body.trim_ascii(), listed.body.len()) else {
            return Leftover::Unknown("the list of its versions cannot be read".to_owned());
        };
        let mut unknown = None;
        for (at, id) in self.young(&listed, &root).enumerate() {
            if at == MOST_VERSIONS {
                unknown = Some("it has too many versions".to_owned());
                break;
            }
            match self.ask("HEAD", self.key, &version_query(id)).await {
                Ok(told) => match self.judged(&told) {
                    Leftover::Nothing => {}
                    Leftover::Unknown(why) => unknown = Some(why),
                    found @ Leftover::Unencrypted(_) => return found,
                },
                Err(why) => unknown = Some(why),
            }
        }
        unknown.map_or(Leftover::Nothing, Leftover::Unknown)
    }

    /// The ids of the key's versions that are no older than the request, the newest first.
    fn young<'a>(&self, listed: &Told, root: &'a Element) -> impl Iterator<Item = &'a str> {
        let now = time(listed, "date");
        root.children().iter().filter_map(move |version| {
            let text = |name| version.one_text(name).ok().flatten();
            let written = text("LastModified").and_then(|text| text.parse().ok());
            let is_young = now
                .zip(written)
                .is_none_or(|(now, written)| is_within(now, written, self.since.elapsed()));
            let is_one =
                version.name() == "Version" && text("Key").map(str::as_bytes) == Some(self.key);
            text("VersionId").filter(|_| is_one && is_young)
        })
    }

    /// What the answer to a `HEAD` says.
    fn judged(&self, told: &Told) -> Leftover {
        match told.status {
            200..300 => match judged(
                told.fields(),
                self.demanded,
                "a HEAD of what stands there now",
            ) {
                Finding::Unencrypted(why) => Leftover::Unencrypted(why),
                _ => Leftover::Nothing,
            },
            // Nothing stands there, or what cannot be read without its key (SSE-C).
            400 | 404 => Leftover::Nothing,
            _ => refused("a HEAD of it", told),
        }
    }

    /// By the store's clock alone. One that names no times is believed to have just written it.
    fn is_younger(&self, told: &Told) -> bool {
        match (time(told, "date"), time(told, "last-modified")) {
            (Some(now), Some(written)) => is_within(now, written, self.since.elapsed()),
            _ => true,
        }
    }
}

fn refused(what: &str, told: &Told) -> Leftover {
    Leftover::Unknown(format!(
        "{what}, with store.credentials, was answered {}",
        told.status
    ))
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
