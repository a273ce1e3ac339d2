//! A request in words, from a recorded case or a command line, and what a policy says of it.

use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use thiserror::Error;

use super::compiled::Policy;
use super::context::{BodyTags, Multipart, RequestContext, Signing};
use super::evaluate::{Context, Decision, Found, Target, Value};
use super::explain::Explanation;
use super::key::{Key, KeyType};
use super::principal::Principal;
use crate::s3::route::{route, route_presigned};
use crate::s3::{Action, Operation, RequestHead, Resource, Routed, actions};

/// A request as a case or a command line describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path style, with its query: `/bucket/key?query`. What cannot stand in a request line is percent-encoded.
    pub path: String,
    /// Header fields in order.
    pub headers: Vec<(String, String)>,
    /// TLS version, `1.3`; `None` for plain HTTP.
    pub tls: Option<String>,
    /// `REST-HEADER`, `REST-QUERY-STRING`, `POST`; `None` for anonymous.
    pub auth: Option<String>,
    /// `AWS4-HMAC-SHA256` or `AWS`.
    pub sig: Option<String>,
    /// The client's address.
    pub ip: Option<String>,
    /// The caller's ARN; `None` for anonymous.
    pub principal: Option<String>,
    /// The signature's age in milliseconds.
    pub age_ms: Option<i64>,
    /// The tags in the body of `PutObjectTagging`, where they are known.
    pub tags: Option<Vec<(String, String)>>,
    /// `User-Agent`, unless a header says it.
    pub ua: Option<String>,
    /// Condition keys with their values, before all else; no value makes the key absent.
    pub extra: Vec<(String, Vec<String>)>,
    /// Milliseconds since 1970; the clock where nothing is said.
    pub now_ms: Option<i64>,
    /// Whether what the request's head does not show is absent (a recording says all there is) rather than unknown.
    pub recorded: bool,
}

/// A version of TLS as `s3:TlsVersion` has it; `None` for `none`, plain HTTP.
///
/// # Errors
/// Any other text; which ones will do.
pub fn tls_version(text: &str) -> Result<Option<&'static str>, String> {
    if text == "none" {
        return Ok(None);
    }
    ["1.0", "1.1", "1.2", "1.3"]
        .into_iter()
        .find(|version| *version == text.trim_start_matches("TLSv"))
        .map(Some)
        .ok_or_else(|| {
            format!(
                "`{text}` is no version of TLS: write 1.0, 1.1, 1.2, 1.3, or none for plain HTTP"
            )
        })
}

/// Why a request cannot be decided.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RequestError {
    /// A field that cannot be read: which, and why.
    #[error("{0}: {1}")]
    Field(&'static str, String),
    /// Refused before any policy.
    #[error("the request is refused before any policy is asked: {0}")]
    Route(String),
}

/// The decision on one of the actions a request needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The action.
    pub action: Action,
    /// The ARN it is about.
    pub resource: String,
    /// What the policy says.
    pub decision: Decision,
    /// Why.
    pub explanation: Explanation,
}

impl Request {
    /// An anonymous request over TLS 1.3 without headers.
    #[must_use]
    pub fn new(method: &str, path: &str) -> Self {
        Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            tls: Some("1.3".into()),
            auth: None,
            sig: None,
            ip: None,
            principal: None,
            age_ms: None,
            tags: None,
            ua: None,
            extra: Vec::new(),
            now_ms: None,
            recorded: false,
        }
    }

    /// Signs it as `principal`, with Signature Version 4 in the header.
    #[must_use]
    pub fn signed_by(mut self, principal: &str) -> Self {
        self.principal = Some(principal.to_owned());
        self.auth = Some("REST-HEADER".into());
        self.sig = Some("AWS4-HMAC-SHA256".into());
        self
    }

    /// Decides every action that the request needs; the main one comes first.
    ///
    /// # Errors
    /// [`RequestError`] where the request itself is wrong.
    pub fn decide(
        &self,
        policy: &Policy,
        multipart: Multipart,
        account: &str,
    ) -> Result<Vec<Judged>, RequestError> {
        let method = Method::from_bytes(self.method.as_bytes())
            .map_err(|e| RequestError::Field("method", e.to_string()))?;
        let target = encode_target(&self.path);
        let headers = self.header_map()?;
        let head = RequestHead {
            method: &method,
            target: target.as_bytes(),
            host: Some("localhost"),
            headers: &headers,
        };
        let routed = if self.auth.as_deref() == Some("REST-QUERY-STRING") {
            // The recording need not have a signature in its query.
            route_presigned(&head, &[])
        } else {
            route(&head, &[])
        };
        let routed = routed.map_err(|e| RequestError::Route(e.to_string()))?;
        let principal = self
            .principal
            .as_deref()
            .map(Principal::parse)
            .transpose()
            .map_err(|e| RequestError::Field("principal", e.to_string()))?;
        let ip = self
            .ip
            .as_deref()
            .map(str::parse::<IpAddr>)
            .transpose()
            .map_err(|e| RequestError::Field("ip", e.to_string()))?;
        let form = routed.operation == Operation::PostObject;
        let inner = RequestContext {
            head: &head,
            routed: &routed,
            signing: Signing {
                auth_type: self.auth.as_deref(),
                version: self.sig.as_deref(),
                // Version 2 does not tell when it was made.
                age_ms: if self.sig.as_deref() == Some("AWS") {
                    self.age_ms.map(|_| 0)
                } else {
                    self.age_ms
                },
            },
            ip,
            tls: self.tls.as_deref().map(|t| t.trim_start_matches("TLSv")),
            principal: principal.as_ref(),
            now_ms: self.now_ms.unwrap_or_else(now),
            account,
            multipart,
            form: form.then_some(&headers),
            tags: self
                .tags
                .as_deref()
                .map_or(BodyTags::Unread, BodyTags::Read),
        };
        let mut extra = Vec::with_capacity(self.extra.len());
        for (name, values) in &self.extra {
            let key = Key::parse_recorded(name).map_err(|_| {
                RequestError::Field("extra", format!("`{name}` is no condition key"))
            })?;
            extra.push((key, values.as_slice()));
        }
        let context = Recorded {
            inner,
            extra,
            whole: self.recorded,
        };
        let needed = actions(&routed, &head);
        Ok(needed
            .iter()
            .map(|n| judge(policy, n.action, n.on, &routed, &headers, &context))
            .collect())
    }

    fn header_map(&self) -> Result<HeaderMap, RequestError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let n = HeaderName::from_bytes(name.as_bytes())
                .map_err(|e| RequestError::Field("headers", format!("`{name}`: {e}")))?;
            let v = HeaderValue::from_bytes(value.as_bytes())
                .map_err(|e| RequestError::Field("headers", format!("`{name}`: {e}")))?;
            map.append(n, v);
        }
        if let Some(ua) = &self.ua
            && !map.contains_key(http::header::USER_AGENT)
        {
            map.insert(
                http::header::USER_AGENT,
                HeaderValue::from_bytes(ua.as_bytes())
                    .map_err(|e| RequestError::Field("ua", e.to_string()))?,
            );
        }
        Ok(map)
    }
}

fn judge(
    policy: &Policy,
    action: Action,
    on: Resource,
    routed: &Routed<'_>,
    headers: &HeaderMap,
    context: &Recorded<'_>,
) -> Judged {
    let bucket = routed.bucket.as_deref().unwrap_or_default();
    // A form names its key in a field; a list of deletions names its keys in its body.
    let key = routed
        .key
        .as_deref()
        .unwrap_or_else(|| headers.get("key").map_or(b"", |k| k.as_bytes()));
    let target = match (on, &routed.copy_source) {
        (Resource::Service, _) => Target::Service,
        (Resource::CopySource, Some(source)) => Target::Object(&source.bucket, &source.key),
        // (The router has refused copies without a source.)
        (Resource::Object, _) | (Resource::CopySource, None) => Target::Object(bucket, key),
        (Resource::Bucket, _) if routed.operation == Operation::PostObject => {
            Target::Object(bucket, key)
        }
        (Resource::Bucket, _) => Target::Bucket(bucket),
    };
    let decision = policy.decide(action, target, context);
    Judged {
        action,
        resource: target.arn(),
        decision,
        explanation: policy.explain(&decision, action, context),
    }
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|d| i64::try_from(d.as_millis()).ok())
        .unwrap_or_default()
}

/// Percent-encodes what no request line can hold.
fn encode_target(path: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        if b <= b' ' || b >= 0x7f || b == b'#' {
            let _ = write!(out, "%{b:02X}");
        } else {
            out.push(char::from(b));
        }
    }
    out
}

/// The facts of a request, with those that a recording says in so many words before them.
struct Recorded<'a> {
    inner: RequestContext<'a>,
    extra: Vec<(Key, &'a [String])>,
    whole: bool,
}

impl Context for Recorded<'_> {
    fn value(&self, action: Action, key: &Key) -> Found<'_> {
        if let Some((_, values)) = self.extra.iter().find(|(k, _)| k == key) {
            return match values {
                [] => Found::Absent,
                [one] if key.kind() != KeyType::Strings => Found::One(Value::from(one.as_str())),
                many => Found::Many(many.iter().map(|v| Value::from(v.as_str())).collect()),
            };
        }
        match self.inner.value(action, key) {
            Found::Unknown if self.whole => Found::Absent,
            other => other,
        }
    }

    fn principal(&self) -> Option<&Principal> {
        self.inner.principal
    }

    fn account(&self) -> &str {
        self.inner.account
    }
}
