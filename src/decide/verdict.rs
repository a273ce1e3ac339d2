//! What is asked, and what is answered.

use std::net::IpAddr;

use http::HeaderMap;

use crate::{
    audit::Reason,
    policy::{BodyTags, Principal},
    s3::{Action, RequestHead, Routed},
    sigv4::Claim,
};

/// All that a decision rests on.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The request's head.
    pub head: &'a RequestHead<'a>,
    /// What it is.
    pub routed: &'a Routed<'a>,
    /// What it claims of its signer.
    pub claim: &'a Claim<'a>,
    /// Who that is, where the certificate or the access key is known.
    pub principal: Option<&'a Principal>,
    /// The client's address, after trusted proxies.
    pub ip: IpAddr,
    /// The version of TLS on the client's side, `1.0` to `1.3` or [`UNKNOWN_TLS`](crate::policy::UNKNOWN_TLS); `None` for plain HTTP.
    pub tls: Option<&'a str>,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// The fields of a POST form, which stand for headers.
    pub form: Option<&'a HeaderMap>,
    /// The tags in the body of `PutObjectTagging`.
    pub tags: BodyTags<'a>,
}

/// An object that a body names.
#[derive(Clone, Copy, Debug)]
pub struct Object<'a> {
    /// Its key.
    pub key: &'a [u8],
    /// Whether one version of it is meant.
    pub versioned: bool,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict<'k> {
    /// Forwarded. The rule that was for it, where there is one.
    Allow(Option<&'k str>),
    /// Forwarded, although it is denied: the rule only reports.
    Report(Box<Denial<'k>>),
    /// Refused with 403.
    Deny(Box<Denial<'k>>),
}

/// Why a request is denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial<'k> {
    /// Which kind of reason.
    pub reason: Reason,
    /// What was to be done.
    pub action: Action,
    /// To what: an ARN.
    pub resource: String,
    /// The rule, as `rules[2]`.
    pub rule: Option<&'k str>,
    /// The policy that denied.
    pub policy: Option<&'k str>,
    /// Its statement, by Sid or as `statement 3`.
    pub sid: Option<String>,
    /// The conditions that fired, in words.
    pub condition: Option<String>,
    /// What would avoid the denial, as an imperative.
    pub advice: Option<String>,
}

impl Denial<'_> {
    /// The error's message for the client, after AWS's own words.
    #[must_use]
    pub fn message(&self, principal: Option<&Principal>) -> String {
        use std::fmt::Write as _;
        let who = principal.map_or("anonymous or unknown", Principal::arn);
        let mut text = format!(
            "User: {who} is not authorized to perform: {} on resource: \"{}\"",
            self.action, self.resource
        );
        match self.reason {
            Reason::NoRule => {
                text.push_str(" because no rule of this gateway is for the bucket. Use a bucket that it serves, or have a rule added.");
                return text;
            }
            Reason::NotAllowed => {
                let _ = write!(
                    text,
                    " because no resource-based policy allows the {} action.",
                    self.action
                );
            }
            _ => text.push_str(" with an explicit deny in a resource-based policy."),
        }
        if let Some(policy) = self.policy {
            let _ = write!(text, " Policy {policy}");
            if let Some(sid) = &self.sid {
                let _ = write!(text, ", {sid}");
            }
            if let Some(condition) = &self.condition {
                let _ = write!(text, ": {condition}");
            }
            text.push('.');
        }
        if let Some(advice) = &self.advice {
            let _ = write!(text, " To be accepted: {advice}.");
        }
        text
    }
}
