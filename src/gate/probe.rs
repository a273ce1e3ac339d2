//! Tries out what a store does, on uploads and objects of Sealgate's own.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    ask::{AskError, Own, Question, Told},
    confirm::{Demanded, Finding, judged},
    shared::Shared,
};
use crate::s3::{query::encode, xml::Element};

/// How long a result is believed.
const BELIEVED: Duration = Duration::from_mins(5);
/// Results that are kept at most.
const MOST: usize = 1024;
/// An `ETag` that no object has.
const NO_ETAG: &str = "\"sealgate-no-such-etag\"";

/// Results of a few minutes.
pub struct Remembered<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K, V> Default for Remembered<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Hash + Eq, V: Copy> Remembered<K, V> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, (V, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, key: &K) -> Option<V> {
        let (result, since) = *self.lock().get(key)?;
        (since.elapsed() < BELIEVED).then_some(result)
    }

    fn put(&self, key: K, result: V) {
        let mut all = self.lock();
        if all.len() >= MOST {
            all.retain(|_, (_, since)| since.elapsed() < BELIEVED);
        }
        if all.len() < MOST {
            all.insert(key, (result, Instant::now()));
        }
    }
}

/// Whether uploads that want what is demanded are encrypted. Nothing shows of the client's own upload, which is left as
/// it is; but a store that says of a part how it is encrypted says it of one of an upload of Sealgate's own, on the same
/// key with the same headers, which is aborted then. Only a good result is remembered.
pub async fn upload(
    shared: &Shared,
    own: &Own,
    (bucket, key): (&str, &[u8]),
    demanded: &Demanded,
) -> Finding {
    let known = (bucket.to_owned(), demanded.demand.wanted.clone());
    let confirmer = &shared.confirmer;
    if let Some(kind) = confirmer.uploads.get(&known) {
        return Finding::Confirmed(kind);
    }
    let ask = async |method, query: &str, headers: &[(&str, &str)]| {
        let question = Question {
            method,
            bucket,
            key,
            query,
            headers,
        };
        own.ask(&shared.store, &question).await
    };
    let created = match ask("POST", "uploads=", &demanded.all()).await {
        Ok(told) if told.is_good() => told,
        other => return failed("creating an upload like it", &other),
    };
    let Some(id) = upload_id(&created.body) else {
        return Finding::Unconfirmed("the answer to creating an upload like it has no UploadId".to_owned());
    };
    let id = encode(id.as_bytes(), false);
    let part = ask(
        "PUT",
        &format!("partNumber=1&uploadId={id}"),
        &demanded.customer(),
    )
    .await;
    if !matches!(ask("DELETE", &format!("uploadId={id}"), &[]).await, Ok(told) if told.is_good()) {
        tracing::warn!(
            bucket,
            "an upload of Sealgate's own could not be aborted; a lifecycle rule for incomplete uploads removes it"
        );
    }
    let finding = match part {
        Ok(told) if told.is_good() => {
            judged(told.fields(), demanded, "a part of an upload like it")
        }
        other => failed("a part of an upload like it", &other),
    };
    if let Finding::Confirmed(kind) = finding {
        confirmer.uploads.put(known, kind);
    }
    finding
}

fn failed(what: &str, told: &Result<Told, AskError>) -> Finding {
    Finding::Unconfirmed(match told {
        Ok(told) => format!("{what}, with store.credentials, was answered {}", told.status),
        Err(error) => format!("{what} failed: {error}"),
    })
}

fn upload_id(body: &[u8]) -> Option<String> {
    let root = Element::parse(body.trim_ascii(), body.len()).ok()?;
    Some(root.one("UploadId").ok()??.text().to_owned())
}

/// Whether the store honours `If-Match` on `DELETE`: shown with an object of Sealgate's own in the same bucket, which is
/// removed. MinIO and Garage ignore it, and would delete what somebody else has written since.
pub async fn if_match(shared: &Shared, own: &Own, bucket: &str) -> bool {
    let known = bucket.to_owned();
    if let Some(honoured) = shared.confirmer.if_match.get(&known) {
        return honoured;
    }
    let key = format!(".sealgate-probe-{}", shared.process.ids.next().as_str());
    let asked = async |method, query: &str, headers: &[(&str, &str)]| {
        let question = Question {
            method,
            bucket,
            key: key.as_bytes(),
            query,
            headers,
        };
        own.ask(&shared.store, &question).await
    };
    let ask = async |method, headers: &[(&str, &str)]| asked(method, "", headers).await;
    let Ok(put) = ask("PUT", &[]).await else {
        return false;
    };
    if !put.is_good() {
        return false;
    }
    if let Some(id) = put.field("x-amz-version-id").filter(|id| *id != "null") {
        // Here a version is deleted by its id, and a DELETE without one deletes nothing.
        let query = format!("versionId={}", encode(id.as_bytes(), false));
        let _ = asked("DELETE", &query, &[]).await;
        return false;
    }
    let honoured = async {
        let etag = put.field("etag")?.to_owned();
        let wrong = ask("DELETE", &[("if-match", NO_ETAG)]).await.ok()?;
        let there = ask("HEAD", &[]).await.ok()?;
        let right = ask("DELETE", &[("if-match", &etag)]).await.ok()?;
        let gone = ask("HEAD", &[]).await.ok()?;
        Some(wrong.status == 412 && there.is_good() && right.is_good() && gone.status == 404)
    }
    .await;
    if honoured != Some(true) {
        // Its own, whatever became of the trials.
        let _ = ask("DELETE", &[]).await;
    }
    if let Some(honoured) = honoured {
        shared.confirmer.if_match.put(known, honoured);
    }
    honoured == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_kept_and_bounded() {
        let remembered = Remembered::default();
        assert_eq!(remembered.get(&0), None);
        for i in 0..MOST + 5 {
            remembered.put(i, i % 2 == 0);
        }
        assert_eq!(remembered.get(&0), Some(true));
        assert_eq!(remembered.get(&1), Some(false));
        assert_eq!(remembered.get(&(MOST + 1)), None);
        assert_eq!(remembered.lock().len(), MOST);
    }
}
