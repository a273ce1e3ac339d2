//! One request of the proof: concrete, so that the real router, the real actions and the real evaluator decide it.

use std::fmt;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::policy::{
    BodyTags, Context, Multipart, Outcome, Policy, Principal, RequestContext, Signing, Target,
};
use crate::s3::query::encode;
use crate::s3::{Action, Actions, Operation, RequestHead, Resource, actions, route};

/// How a request is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// `s3:authType`
    pub auth: &'static str,
    /// `s3:signatureversion`
    pub version: &'static str,
    /// `s3:signatureAge`, in milliseconds.
    pub age_ms: Option<i64>,
}

/// A request that stands for its class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it does.
    pub operation: Operation,
    /// The bucket it writes to.
    pub bucket: String,
    /// The key it writes, decoded.
    pub key: String,
    /// Headers; fields of the form where the operation is a POST upload. Lower-case names.
    pub headers: Vec<(String, String)>,
    /// Tags, sent as `x-amz-tagging`.
    pub tags: Vec<(String, String)>,
    /// The version of TLS; none over plain HTTP.
    pub tls: Option<&'static str>,
    /// The client's address, where the policy asks for it.
    pub ip: Option<IpAddr>,
    /// The caller; none where anonymous.
    pub principal: Option<Principal>,
    /// How it is signed, where the policy asks for it.
    pub signed: Option<Signed>,
    /// Milliseconds since 1970, where the policy asks for it.
    pub now_ms: Option<i64>,
}

/// What goes for all requests of one proof.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub account: &'a str,
    pub multipart: Multipart,
    pub authorize: bool,
}

/// What the answer to a question about a request was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    Yes,
    No,
    /// The router refuses it: its class may hold others that it takes.
    NoRequest,
}

/// Headers that are read beside a form, not from its fields.
const NEVER_FIELDS: &[&str] = &[
    "user-agent",
    "referer",
    "if-match",
    "if-none-match",
    "x-amz-content-sha256",
];

/// An address where a policy asks for none.
const SOME_ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

/// A time to decide at where a policy asks for none: 2026-01-01.
pub(super) const SOME_TIME: i64 = 1_767_225_600_000;

impl Request {
    /// The value of a header, or of a form's field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(have, _)| have == name)
            .map(|(_, value)| value.as_str())
    }

    /// The HTTP method.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.operation {
            Operation::PostObject
            | Operation::CreateMultipartUpload
            | Operation::CompleteMultipartUpload => Method::POST,
            _ => Method::PUT,
        }
    }

    /// The request target, path style.
    #[must_use]
    pub fn target(&self) -> String {
        if self.operation == Operation::PostObject {
            return format!("/{}", self.bucket);
        }
        let query = match self.operation {
            Operation::CreateMultipartUpload => "?uploads",
            Operation::UploadPart | Operation::UploadPartCopy => "?partNumber=1&uploadId=u",
            Operation::CompleteMultipartUpload => "?uploadId=u",
            _ => "",
        };
        format!(
            "/{}/{}{query}",
            self.bucket,
            encode(self.key.as_bytes(), true)
        )
    }

    /// Headers as they are sent, tags among them.
    fn sent(&self) -> Option<(HeaderMap, HeaderMap)> {
        let post = self.operation == Operation::PostObject;
        let (mut headers, mut form) = (HeaderMap::new(), HeaderMap::new());
        let mut tags = String::new();
        for (name, value) in &self.tags {
            if !tags.is_empty() {
                tags.push('&');
            }
            tags.push_str(&encode(name.as_bytes(), false));
            tags.push('=');
            tags.push_str(&encode(value.as_bytes(), false));
        }
        let tagging = (!self.tags.is_empty()).then_some(("x-amz-tagging", tags.as_str()));
        for (name, value) in self
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .chain(tagging)
        {
            let value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
            let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
            if post && !NEVER_FIELDS.contains(&name.as_str()) {
                form.insert(name, value)
            } else {
                headers.insert(name, value)
            };
        }
        if post {
            headers.insert(
                "content-type",
                HeaderValue::from_static("multipart/form-data; boundary=b"),
            );
        }
        Some((headers, form))
    }

    fn signing(&self) -> Signing<'static> {
        if self.principal.is_none() {
            return Signing::default();
        }
        match self.signed {
            Some(signed) => Signing {
                auth_type: Some(signed.auth),
                version: Some(signed.version),
                age_ms: signed.age_ms,
            },
            None if self.operation == Operation::PostObject => Signing {
                auth_type: Some("POST"),
                version: Some("AWS4-HMAC-SHA256"),
                age_ms: Some(0),
            },
            None => Signing {
                auth_type: Some("REST-HEADER"),
                version: Some("AWS4-HMAC-SHA256"),
                age_ms: None,
            },
        }
    }

    /// Calls `judge` with the context and the actions of this request; `None` where the router does not take it.
    fn with<R>(
        &self,
        setting: Setting<'_>,
        judge: impl FnOnce(&RequestContext<'_>, &Actions, Option<(&str, &[u8])>) -> R,
    ) -> Option<R> {
        let (headers, form) = self.sent()?;
        let (method, target) = (self.method(), self.target());
        let head = RequestHead {
            method: &method,
            target: target.as_bytes(),
            host: Some("s3.example.test"),
            headers: &headers,
        };
        let routed = route(&head, &[])
            .ok()
            .filter(|routed| routed.operation == self.operation)?;
        let post = self.operation == Operation::PostObject;
        let needed = if post {
            crate::s3::action::post_actions(&form)
        } else {
            actions(&routed, &head)
        };
        let context = RequestContext {
            head: &head,
            routed: &routed,
            signing: self.signing(),
            ip: Some(self.ip.unwrap_or(SOME_ADDRESS)),
            tls: self.tls,
            principal: self.principal.as_ref(),
            now_ms: self.now_ms.unwrap_or(SOME_TIME),
            account: setting.account,
            multipart: setting.multipart,
            form: post.then_some(&form),
            tags: BodyTags::Unread,
        };
        let source = routed
            .copy_source
            .as_ref()
            .map(|source| (&*source.bucket, &*source.key));
        Some(judge(&context, &needed, source))
    }

    /// Does a policy of one statement deny what every write needs, `s3:PutObject` on the object?
    pub(super) fn denied_by(&self, statement: &Policy, setting: Setting<'_>) -> bool {
        let object = Target::Object(&self.bucket, self.key.as_bytes());
        self.with(setting, |context, _, _| {
            statement.denies(Action::PutObject, object, context).outcome == Outcome::Denied
        }) == Some(true)
    }

    /// Does a policy of one statement allow it? Also where the router does not take the request: nothing is then known.
    pub(super) fn allowed_by(&self, statement: &Policy, setting: Setting<'_>) -> bool {
        let object = Target::Object(&self.bucket, self.key.as_bytes());
        self.with(setting, |context, _, _| {
            statement.decide(Action::PutObject, object, context).outcome == Outcome::Allowed
        }) != Some(false)
    }

    /// Is every action of the request let through?
    pub(super) fn passes(&self, policy: &Policy, setting: Setting<'_>) -> Passed {
        let judged = self.with(setting, |context, needed, source| {
            needed.iter().all(|one| {
                let on = match one.on {
                    Resource::Service => Target::Service,
                    Resource::Bucket => Target::Bucket(&self.bucket),
                    Resource::Object => Target::Object(&self.bucket, self.key.as_bytes()),
                    Resource::CopySource => match source {
                        Some((bucket, key)) => Target::Object(bucket, key),
                        None => return false,
                    },
                };
                lets(
                    policy,
                    one.action,
                    on,
                    context,
                    setting.authorize && one.certain,
                )
            })
        });
        match judged {
            Some(true) => Passed::Yes,
            Some(false) => Passed::No,
            None => Passed::NoRequest,
        }
    }

    /// The same request as a recorded case has it: what `policy test` decides. A form's fields stand among its headers.
    #[must_use]
    pub fn to_case(&self) -> crate::policy::Request {
        let signing = self.signing();
        let mut case = crate::policy::Request::new(self.method().as_str(), &self.target());
        case.headers = self.fields();
        case.tls = self.tls.map(str::to_owned);
        case.auth = signing.auth_type.map(str::to_owned);
        case.sig = signing.version.map(str::to_owned);
        case.age_ms = signing.age_ms;
        case.ip = Some(self.ip.unwrap_or(SOME_ADDRESS).to_string());
        case.principal = self
            .principal
            .as_ref()
            .map(|principal| principal.arn().to_owned());
        case.now_ms = Some(self.now_ms.unwrap_or(SOME_TIME));
        case
    }

    /// Headers, and what a form needs to be one.
    fn fields(&self) -> Vec<(String, String)> {
        let mut out = Vec::new();
        if self.operation == Operation::PostObject {
            out.push((
                "content-type".to_owned(),
                "multipart/form-data; boundary=b".to_owned(),
            ));
            out.push(("key".to_owned(), self.key.clone()));
        }
        out.extend(self.headers.iter().cloned());
        let tags: Vec<String> = self
            .tags
            .iter()
            .map(|(k, v)| {
                format!(
                    "{}={}",
                    encode(k.as_bytes(), false),
                    encode(v.as_bytes(), false)
                )
            })
            .collect();
        if !tags.is_empty() {
            out.push(("x-amz-tagging".to_owned(), tags.join("&")));
        }
        out
    }

    /// The flags of `sealgate policy test` that describe this request; a form's fields stand among its headers.
    #[must_use]
    pub fn flags(&self) -> Vec<String> {
        let mut out = vec![
            "--method".to_owned(),
            self.method().to_string(),
            "--path".to_owned(),
            self.target(),
        ];
        let mut flag = |name: &str, value: String| out.extend([name.to_owned(), value]);
        for (name, value) in self.fields() {
            flag("--header", format!("{name}: {value}"));
        }
        flag("--tls", self.tls.unwrap_or("none").to_owned());
        if let Some(principal) = &self.principal {
            flag("--principal", principal.arn().to_owned());
        }
        if let Some(ip) = self.ip {
            flag("--source-ip", ip.to_string());
        }
        if self.signed.is_some() || self.operation == Operation::PostObject {
            let signing = self.signing();
            let mut said = |name: &str, value: Option<String>| {
                if let Some(value) = value {
                    flag(name, value);
                }
            };
            said("--auth-type", signing.auth_type.map(str::to_owned));
            said("--signature-version", signing.version.map(str::to_owned));
            said("--signature-age", signing.age_ms.map(|age| age.to_string()));
        }
        // A header that was reckoned from the time says the same only at that time.
        let dated = || self.header("x-amz-object-lock-retain-until-date");
        if let Some(now) = self.now_ms.or_else(|| dated().map(|_| SOME_TIME)) {
            flag(
                "--time",
                jiff::Timestamp::from_millisecond(now)
                    .map_or_else(|_| now.to_string(), |time| time.to_string()),
            );
        }
        out
    }
}

fn lets<C: Context>(
    policy: &Policy,
    action: Action,
    on: Target<'_>,
    context: &C,
    wants_allow: bool,
) -> bool {
    match policy.decide(action, on, context).outcome {
        Outcome::Denied => false,
        Outcome::Allowed => true,
        Outcome::NoMatch => !wants_allow,
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut flags = self.flags().into_iter().peekable();
        while let Some(flag) = flags.next() {
            let plain = flag
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c))
                && !flag.is_empty();
            if plain {
                f.write_str(&flag)?;
            } else {
                write!(f, "'{}'", flag.replace('\'', "'\\''"))?;
            }
            if flags.peek().is_some() {
                f.write_str(" ")?;
            }
        }
        Ok(())
    }
}
