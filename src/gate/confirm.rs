//! Holds the store to its word: a write that had to be encrypted is a success only once the store says that it is.
//!
//! Most answers say so themselves, by the echo of the request's headers. Where a store leaves the echo out although it
//! encrypts (`MinIO`: `CopyObject`, `CreateMultipartUpload`, `UploadPartCopy`, `CompleteMultipartUpload`, POST forms),
//! Sealgate looks at what was written, with credentials of its own:
//! - an object by `HEAD`, of the version that the answer names, else of the `ETag` that it names. If another `ETag`
//!   stands there, somebody has written since, and what this request wrote can no longer be looked at: it is not
//!   confirmed, for what stands there now says nothing about it;
//! - an upload that was just created by [`probe`](super::probe);
//! - what was not reported as done by [`leftover`](super::leftover);
//! - a part that was copied not at all: no store tells how a part is encrypted. It is no object before the upload is
//!   completed, and the object is looked at then.

use super::{
    answer::Answer,
    answered::{Answered, bare},
    ask::{Own, Question},
    probe::{self, Remembered, version_query},
    request::Ctx,
    shared::Shared,
};
use crate::{
    audit::{Decision, Reason},
    config::{Config, Denial, Secret, Unconfirmed},
    decide::{Demand, Facts, always_echoes},
    http1::fields::fields,
    s3::{ErrorCode, Operation, S3Error, query::encode},
    sse::{
        Echo, Kind, SseRequest, Wanted,
        headers::{
            BUCKET_KEY, CONTEXT, CUSTOMER_ALGORITHM, CUSTOMER_KEY, CUSTOMER_KEY_MD5, KMS_KEY_ID,
            SSE,
        },
    },
};

/// What is needed to look, and what looking has shown.
pub struct Confirmer {
    /// Speaks to the store; `None` without `store.credentials`.
    pub own: Option<Own>,
    /// Uploads to this bucket that want this were encrypted.
    pub uploads: Remembered<(String, Wanted), Kind>,
    /// Whether a version is deleted by its id, and no other, in this bucket.
    pub versions: Remembered<String, bool>,
    /// Whether `If-Match` is honoured on `DELETE` in this bucket.
    pub if_match: Remembered<String, bool>,
}

impl Confirmer {
    /// As the configuration has it.
    pub fn new(config: &Config) -> Self {
        Self {
            own: Own::of(config),
            uploads: Remembered::default(),
            versions: Remembered::default(),
            if_match: Remembered::default(),
        }
    }
}

/// What the store must confirm of a request, and what a look at it needs.
#[derive(Debug)]
pub struct Demanded {
    /// What must be confirmed.
    pub demand: Demand,
    /// The encryption headers of a request whose answer may leave the echo out; secret.
    headers: Vec<(&'static str, Secret)>,
    /// Whether they came in the query: a store may read them in headers alone.
    in_query: bool,
    /// Whether what the answer names may be what stood there before, or another key's: it must not be deleted.
    ambiguous: bool,
}

impl Demanded {
    /// What is demanded of a request that was let in; `key`: that of a POST form.
    pub fn of(
        shared: &Shared,
        facts: &Facts<'_>,
        asked: &SseRequest<'_>,
        key: Option<&[u8]>,
    ) -> Option<Self> {
        let demand = shared.keeper.demand(facts, asked, key)?;
        let mut headers = Vec::new();
        if !always_echoes(facts.routed.operation) && shared.confirmer.own.is_some() {
            for (name, value) in [
                (SSE, &asked.sse),
                (KMS_KEY_ID, &asked.kms_key_id),
                (CONTEXT, &asked.context),
                (BUCKET_KEY, &asked.bucket_key),
                (CUSTOMER_ALGORITHM, &asked.customer.algorithm),
                (CUSTOMER_KEY, &asked.customer.key),
                (CUSTOMER_KEY_MD5, &asked.customer.key_md5),
            ] {
                if let Some(value) = value {
                    headers.push((name, Secret::new(value.clone().into_owned())));
                }
            }
        }
        let head = facts.head.headers;
        let in_header = head.contains_key(SSE) || head.contains_key(CUSTOMER_ALGORITHM);
        let routed = facts.routed;
        // A copy of an object onto itself names what stood there before.
        let in_place = routed.copy_source.as_ref().is_some_and(|source| {
            routed.bucket.as_deref() == Some(&*source.bucket)
                && (routed.key.as_deref() == Some(&*source.key)
                    || routed.key.as_deref() == source.key_with_spaces.as_deref())
        });
        Some(Self {
            demand,
            headers,
            in_query: routed.presigned && !in_header,
            ambiguous: in_place,
        })
    }

    /// Says that it is not known under which key the store wrote.
    pub fn of_two_keys(&mut self) {
        self.ambiguous = true;
    }

    /// Whether the encryption was asked for in the query.
    pub fn is_in_query(&self) -> bool {
        self.in_query
    }

    /// The headers that create an object or upload like this one.
    pub fn all(&self) -> Vec<(&'static str, &str)> {
        self.headers.iter().map(|(n, v)| (*n, v.reveal())).collect()
    }

    /// Those that reading it, or adding a part to it, needs.
    pub fn customer(&self) -> Vec<(&'static str, &str)> {
        let mut headers = self.all();
        headers.retain(|(name, _)| {
            [CUSTOMER_ALGORITHM, CUSTOMER_KEY, CUSTOMER_KEY_MD5].contains(name)
        });
        headers
    }
}

/// What came of a look.
#[derive(Debug)]
pub enum Finding {
    /// The store encrypted as was demanded.
    Confirmed(Kind),
    /// A part whose encryption shows when its upload is completed.
    Later,
    /// The store answered 200 and an error.
    Failed,
    /// A look at what was written shows no encryption; how.
    Unencrypted(String),
    /// It did not encrypt as was demanded, or it does not show; why.
    Unconfirmed(String),
}

/// Whether the head of an answer itself confirms what was demanded.
pub fn is_echoed(raw: &[u8], demanded: &Demanded) -> bool {
    let mut echo = Echo::default();
    for field in fields(raw) {
        echo.note(field.name, field.value);
    }
    echo.confirms(&demanded.demand.wanted)
}

/// Looks at what was written, where the answer does not say it.
pub async fn look(shared: &Shared, ctx: &Ctx, demanded: &Demanded, answered: &Answered) -> Finding {
    let operation = ctx.operation.unwrap_or(Operation::PutObject);
    if answered
        .document()
        .is_some_and(|root| root.name() == "Error")
    {
        return Finding::Failed;
    }
    if let Some(said) = &answered.said {
        return Finding::Unconfirmed(format!(
            "its answer says {said}, which is not what was demanded"
        ));
    }
    if always_echoes(operation) {
        return Finding::Unconfirmed("its answer names no encryption".to_owned());
    }
    let Some(own) = &shared.confirmer.own else {
        return Finding::Unconfirmed(
            "its answer names no encryption, and without store.credentials nothing can be looked at"
                .to_owned(),
        );
    };
    let (Some(bucket), Some(key)) = (ctx.bucket.as_deref(), ctx.key.as_deref()) else {
        return Finding::Unconfirmed("it is not known what was written".to_owned());
    };
    match operation {
        Operation::UploadPartCopy => Finding::Later,
        Operation::CreateMultipartUpload => {
            probe::upload(shared, own, (bucket, key), demanded).await
        }
        _ => object(shared, own, (bucket, key), demanded, answered).await,
    }
}

/// Looks at an object.
async fn object(
    shared: &Shared,
    own: &Own,
    (bucket, key): (&str, &[u8]),
    demanded: &Demanded,
    answered: &Answered,
) -> Finding {
    let written = answered.written();
    let query = match (&answered.version_id, &written) {
        (Some(id), _) => version_query(id),
        (None, Some(_)) => String::new(),
        (None, None) => {
            return Finding::Unconfirmed(
                "its answer names neither an encryption nor a version nor an ETag".to_owned(),
            );
        }
    };
    let question = Question {
        method: "HEAD",
        bucket,
        key,
        query: &query,
        headers: &demanded.customer(),
    };
    let told = match own.ask(&shared.store, &question).await {
        Ok(told) => told,
        Err(error) => {
            return Finding::Unconfirmed(format!("it could not be looked at: {error}"));
        }
    };
    if !told.is_good() {
        return Finding::Unconfirmed(format!(
            "a HEAD of what was written, with store.credentials, was answered {}",
            told.status
        ));
    }
    // A store may name versions and yet have none: what it shows must be what was written.
    let same = match (&answered.version_id, told.field("x-amz-version-id")) {
        (Some(id), Some(shown)) => id == shown,
        _ => written.is_some() && told.field("etag").map(bare) == written.as_deref(),
    };
    if !same {
        return Finding::Unconfirmed(
            "somebody else has written the key since, so it could not be looked at".to_owned(),
        );
    }
    judged(told.fields(), demanded, "a HEAD of what was written")
}

/// What the fields of an answer to a question of ours say.
pub fn judged<'a>(
    fields: impl Iterator<Item = crate::http1::fields::Field<'a>>,
    demanded: &Demanded,
    what: &str,
) -> Finding {
    let mut echo = Echo::default();
    for field in fields {
        echo.note(field.name, field.value);
    }
    match echo.kind() {
        Some(kind) if echo.confirms(&demanded.demand.wanted) => Finding::Confirmed(kind),
        Some(kind) => Finding::Unconfirmed(format!(
            "{what} says {}, which is not what was demanded",
            kind.as_str()
        )),
        None => Finding::Unencrypted(format!("{what} names no encryption")),
    }
}

/// Does what the configuration says about a write whose answer cannot be held back and looked at.
///
/// # Errors
/// The answer, where it is not passed on.
pub fn not_held(
    shared: &Shared,
    ctx: &mut Ctx,
    unconfirmed: Unconfirmed,
    why: &str,
) -> Result<(), Answer> {
    not_touched(
        shared,
        ctx,
        unconfirmed,
        why,
        "what was written is left there",
    )
}

/// Does it about what a write left that the store did not report as done. It may be another's, so it is never deleted.
///
/// # Errors
/// The answer, where it is not passed on.
pub fn left_behind(
    shared: &Shared,
    ctx: &mut Ctx,
    unconfirmed: Unconfirmed,
    why: &str,
) -> Result<(), Answer> {
    let what =
        "it is left there, as it may be another's: the operator must look at it, and delete it";
    not_touched(shared, ctx, unconfirmed, why, what)
}

fn not_touched(
    shared: &Shared,
    ctx: &mut Ctx,
    unconfirmed: Unconfirmed,
    why: &str,
    what: &str,
) -> Result<(), Answer> {
    ctx.sse_confirmed = None;
    if unconfirmed == Unconfirmed::Report {
        report(ctx, why);
        return Ok(());
    }
    note(ctx, why);
    Err(self::unconfirmed(shared, &format!("{why}; {what}")))
}

/// For the log, and the line, which says what happened, whatever a reported denial said before.
fn note(ctx: &mut Ctx, why: &str) {
    ctx.condition = None;
    tracing::warn!(
        operation = ctx.operation.map_or("unknown", Operation::name),
        request_id = ctx.id.as_str(),
        cause = why,
        "the store did not confirm the encryption of a write"
    );
}

/// Marks a write that was not done as far as its client is told, and may have been.
pub fn leave_open(ctx: &mut Ctx, why: &str) {
    note(ctx, why);
    mark(ctx, why);
}

fn mark(ctx: &mut Ctx, why: &str) {
    ctx.sse_confirmed = None;
    ctx.note_unconfirmed(format!("the store did not confirm the encryption: {why}"));
}

/// Marks a write whose answer goes on to the client.
fn report(ctx: &mut Ctx, why: &str) {
    let why = format!("{why}; not refused, as unconfirmed: report says");
    mark(ctx, &why);
}

/// Does what the configuration says about a write that was not confirmed; an answer where it is not reported as a success.
/// `shown`: a look at what was written has shown that it is not encrypted.
pub async fn act(
    shared: &Shared,
    ctx: &mut Ctx,
    demanded: &Demanded,
    answered: &Answered,
    why: String,
    shown: bool,
) -> Result<(), Answer> {
    let what = match demanded.demand.unconfirmed {
        Unconfirmed::Report => {
            report(ctx, &why);
            return Ok(());
        }
        // An upload is no object yet, and its id is not told: nobody can want it.
        Unconfirmed::Fail if ctx.operation != Some(Operation::CreateMultipartUpload) => {
            "what was written is left there (unconfirmed: fail)".to_owned()
        }
        Unconfirmed::Fail | Unconfirmed::Delete => {
            match remove(shared, ctx, demanded, answered, shown).await {
                Ok(done) => done.to_owned(),
                Err(kept) => format!("what was written is left there, because {kept}"),
            }
        }
    };
    note(ctx, &why);
    Err(unconfirmed(
        shared,
        &format!(
            "{why}; {what}. The operator must have the store encrypt, name store.credentials where it leaves the \
             confirmation out, or change `unconfirmed`."
        ),
    ))
}

/// What the client is told; with `denial: plain` not what the store is like, which the audit line has.
fn unconfirmed(shared: &Shared, details: &str) -> Answer {
    let plain = "The store did not confirm that it encrypted this write, as is demanded here";
    let detailed = format!("{plain}: {details}");
    let told = match shared.denial {
        Denial::Detailed => detailed.clone(),
        Denial::Plain => format!("{plain}."),
    };
    let error = S3Error::new(ErrorCode::NotImplemented, told);
    Answer::error(error, Decision::Error, Reason::Unconfirmed).because(detailed)
}

/// Deletes exactly what was written; what was done, or why nothing was.
async fn remove(
    shared: &Shared,
    ctx: &Ctx,
    demanded: &Demanded,
    answered: &Answered,
    shown: bool,
) -> Result<&'static str, String> {
    if demanded.ambiguous {
        return Err("the answer may name what stood there before".to_owned());
    }
    // Asked again, a store answers with the object of the first time, which may be as was demanded.
    if ctx.operation == Some(Operation::CompleteMultipartUpload) && !shown {
        return Err("an earlier request may have completed the upload, and nothing shows that the object is not encrypted".to_owned());
    }
    let Some(own) = &shared.confirmer.own else {
        return Err("there are no store.credentials to delete it with".to_owned());
    };
    let (Some(bucket), Some(key)) = (ctx.bucket.as_deref(), ctx.key.as_deref()) else {
        return Err("it is not known what was written".to_owned());
    };
    let if_match;
    let mut headers: Vec<(&str, &str)> = Vec::new();
    let (query, done) = match ctx.operation {
        Some(Operation::UploadPart | Operation::UploadPartCopy) => {
            return Err("a part goes with its upload".to_owned());
        }
        Some(Operation::CreateMultipartUpload) => {
            let id = answered
                .upload_id()
                .ok_or("the answer names no upload".to_owned())?;
            let query = format!("uploadId={}", encode(id.as_bytes(), false));
            (query, "the upload was aborted")
        }
        _ => match (&answered.version_id, answered.written()) {
            (Some(id), _) if probe::versions(shared, own, bucket).await => {
                (version_query(id), "the version that was written is deleted")
            }
            (_, Some(etag)) if probe::if_match(shared, own, bucket).await => {
                if_match = format!("\"{etag}\"");
                headers.push(("if-match", &if_match));
                (String::new(), "the object that was written is deleted")
            }
            _ => {
                return Err("the store neither deletes one version alone nor honours If-Match on DELETE, so another's object could be hit".to_owned());
            }
        },
    };
    let question = Question {
        method: "DELETE",
        bucket,
        key,
        query: &query,
        headers: &headers,
    };
    match own.ask(&shared.store, &question).await {
        Ok(told) if told.is_good() => Ok(done),
        Ok(told) if told.status == 412 => Err("somebody else has written the key since".to_owned()),
        Ok(told) => Err(format!("the store answered {} to the DELETE", told.status)),
        Err(error) => Err(error.to_string()),
    }
}
