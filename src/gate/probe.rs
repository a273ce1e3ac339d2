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
    if demanded.is_in_query() {
        return Finding::Unconfirmed(
            "its answer names no encryption, and what was asked for in the query cannot be tried out: a store may read it in headers alone"
                .to_owned(),
        );
    }
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
        return Finding::Unconfirmed(
            "the answer to creating an upload like it has no UploadId".to_owned(),
        );
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
        Ok(told) => format!(
            "{what}, with store.credentials, was answered {}",
            told.status
        ),
        Err(error) => format!("{what} failed: {error}"),
    })
}

fn upload_id(body: &[u8]) -> Option<String> {
    let root = Element::parse(body.trim_ascii(), body.len()).ok()?;
    Some(root.one("UploadId").ok()??.text().to_owned())
}

/// Speaks to the store about one object of Sealgate's own.
struct Trial<'a> {
    shared: &'a Shared,
    own: &'a Own,
    bucket: &'a str,
    key: String,
}

impl<'a> Trial<'a> {
    fn new(shared: &'a Shared, own: &'a Own, bucket: &'a str) -> Self {
        let id = shared.process.ids.next();
        Self {
            shared,
            own,
            bucket,
            key: format!(".sealgate-probe-{}", id.as_str()),
        }
    }

    async fn ask(&self, method: &str, query: &str, headers: &[(&str, &str)]) -> Option<Told> {
        let question = Question {
            method,
            bucket: self.bucket,
            key: self.key.as_bytes(),
            query,
            headers,
        };
        self.own.ask(&self.shared.store, &question).await.ok()
    }

    /// Writes it; `None` where that is refused.
    async fn put(&self) -> Option<Told> {
        self.ask("PUT", "", &[]).await.filter(Told::is_good)
    }

    async fn delete(&self, version: &str) -> Option<Told> {
        self.ask("DELETE", &version_query(version), &[]).await
    }

    async fn is_there(&self) -> Option<bool> {
        match self.ask("HEAD", "", &[]).await?.status {
            200..300 => Some(true),
            404 => Some(false),
            _ => None,
        }
    }
}

/// The query that names a version.
pub fn version_query(id: &str) -> String {
    format!("versionId={}", encode(id.as_bytes(), false))
}

/// The version that an answer names; `null` is nobody's own.
fn version(told: &Told) -> Option<&str> {
    told.field("x-amz-version-id")
        .filter(|id| !id.is_empty() && *id != "null")
}

/// Whether a `DELETE` of a version deletes that version and no other: Garage names versions, has none, and deletes
/// whatever stands there. Shown with two versions of an object of Sealgate's own in the same bucket, which are removed.
pub async fn versions(shared: &Shared, own: &Own, bucket: &str) -> bool {
    let known = bucket.to_owned();
    if let Some(honoured) = shared.confirmer.versions.get(&known) {
        return honoured;
    }
    let trial = Trial::new(shared, own, bucket);
    let (first, second) = (trial.put().await, trial.put().await);
    let honoured = async {
        let (first, second) = (version(first.as_ref()?)?, version(second.as_ref()?)?);
        let one = trial.delete(first).await?.is_good();
        let there = trial.is_there().await?;
        let other = trial.delete(second).await?.is_good();
        Some(first != second && one && there && other && !trial.is_there().await?)
    }
    .await;
    if honoured != Some(true) {
        // Its own, whatever became of the trial: it may be there though the answer to its PUT was lost.
        let _ = trial.ask("DELETE", "", &[]).await;
    }
    if let Some(honoured) = honoured {
        shared.confirmer.versions.put(known, honoured);
    }
    honoured == Some(true)
}

/// Whether the store honours `If-Match` on `DELETE`: shown with an object of Sealgate's own in the same bucket, which is
/// removed. `MinIO` and Garage ignore it, and would delete what somebody else has written since.
pub async fn if_match(shared: &Shared, own: &Own, bucket: &str) -> bool {
    let known = bucket.to_owned();
    if let Some(honoured) = shared.confirmer.if_match.get(&known) {
        return honoured;
    }
    let trial = Trial::new(shared, own, bucket);
    let put = trial.put().await;
    let honoured = async {
        let etag = put.as_ref()?.field("etag")?;
        let wrong = trial.ask("DELETE", "", &[("if-match", NO_ETAG)]).await?;
        let there = trial.is_there().await?;
        let right = trial.ask("DELETE", "", &[("if-match", etag)]).await?;
        let gone = !trial.is_there().await?;
        Some(wrong.status == 412 && there && right.is_good() && gone)
    }
    .await;
    if honoured != Some(true) {
        // Its own, whatever became of the trial: it may be there though the answer to its PUT was lost.
        let _ = trial.ask("DELETE", "", &[]).await;
    }
    if let Some(version) = put.as_ref().and_then(version) {
        let _ = trial.delete(version).await;
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
