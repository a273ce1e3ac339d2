//! What happened to one request.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use crate::s3::Operation;

/// Gives an enum its closed set of names.
macro_rules! names {
    ($(#[$doc:meta])* $enum:ident { $($(#[$variant_doc:meta])* $variant:ident $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $enum { $($(#[$variant_doc])* $variant,)* }

        impl $enum {
            /// Every value, in the order of the discriminants.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in audit lines and labels.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

names! {
    /// What was decided.
    Decision {
        /// Forwarded; the store's answer is the client's.
        Allow "allow",
        /// Refused here.
        Deny "deny",
        /// Would have been refused; its rule only reports.
        Report "report",
        /// Neither: it could not be understood, or could not be served.
        Error "error",
    }
}

names! {
    /// Why a request was refused or failed: a closed set, as a label must be.
    Reason {
        /// A statement with `Effect: Deny` matched.
        Policy "policy",
        /// The rule wants an Allow and none matched.
        NotAllowed "not_allowed",
        /// No rule is for the bucket.
        NoRule "no_rule",
        /// The encryption headers are not ones that S3 accepts.
        Sse "sse",
        /// SSE-C keys without TLS.
        PlainHttp "plain_http",
        /// The operation is not one that is recognised.
        Operation "operation",
        /// S3 has no such method.
        Method "method",
        /// The request is malformed, or contradicts itself.
        Request "request",
        /// An `Expect` other than `100-continue`.
        Expect "expect",
        /// The listener is for health only.
        Listener "listener",
        /// A limit of the configuration.
        Limit "limit",
        /// The request was not complete in time, or the client left.
        Client "client",
        /// The store could not be reached, or broke off.
        Store "store",
        /// The store did not confirm the encryption.
        Unconfirmed "unconfirmed",
        /// The audit line could not be written.
        Audit "audit",
        /// A fault of Sealgate's own.
        Internal "internal",
    }
}

names! {
    /// What became of `Expect: 100-continue`.
    Continue {
        /// The store's 100 was relayed.
        Store "store",
        /// The store was silent for `continue_timeout`; the 100 was Sealgate's.
        Timeout "timeout",
        /// The store answered without wanting the body.
        EarlyFinal "early_final",
        /// Refused here, before the body.
        Refused "refused",
    }
}

names! {
    /// How a TLS handshake of a client ended.
    Handshake {
        /// The connection is ready.
        Done "done",
        /// The client's certificate is not accepted, or is missing.
        Certificate "certificate",
        /// The two sides have no version, cipher or protocol in common, or it was not TLS.
        Failed "failed",
        /// The client left.
        Gone "gone",
        /// `limits.header_timeout` was over.
        Timeout "timeout",
    }
}

names! {
    /// How the draining of a refused body ended.
    Lingered {
        /// The client sent all of it, or closed.
        Done "done",
        /// `limits.linger.bytes` was reached.
        Bytes "bytes",
        /// `limits.linger.time` was over.
        Time "time",
    }
}

/// One request, as it ended. It borrows from the request: it is made, recorded and gone.
///
/// It has no place for a signature, an SSE-C key, a query or a header's free choice, so none can leak through it.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    /// When the request ended.
    pub time: SystemTime,
    /// `x-amz-request-id` as the client got it.
    pub request_id: &'a str,
    /// The store's own request id.
    pub store_request_id: Option<&'a str>,
    /// The S3 operation, where it was recognised.
    pub operation: Option<Operation>,
    /// The bucket.
    pub bucket: Option<&'a str>,
    /// The key, decoded, byte for byte.
    pub key: Option<&'a [u8]>,
    /// The HTTP method; empty where it is not known.
    pub method: &'a str,
    /// The status that the client got; absent where it left before.
    pub status: Option<u16>,
    /// The S3 error code that the client got from Sealgate.
    pub code: Option<&'a str>,
    /// What was decided.
    pub decision: Decision,
    /// Why, where it was not allowed.
    pub reason: Option<Reason>,
    /// The policy that denied, by the name of its source.
    pub policy: Option<&'a str>,
    /// The statement's Sid.
    pub sid: Option<&'a str>,
    /// The condition that matched, for people.
    pub condition: Option<&'a str>,
    /// The rule that applied, as `rules[2]`.
    pub rule: Option<&'a str>,
    /// The caller's ARN.
    pub principal: Option<&'a str>,
    /// Whether the principal was proved here, and not only claimed.
    pub verified: bool,
    /// The client's address, after trusted proxies.
    pub source_ip: Option<IpAddr>,
    /// The TLS version of the client's connection, `1.2` or `1.3`, from a trusted proxy `unknown` and older ones, too; absent without TLS.
    pub tls: Option<&'a str>,
    /// `User-Agent`; its first 512 bytes are written.
    pub user_agent: Option<&'a [u8]>,
    /// The trace id of `traceparent` (W3C Trace Context): 32 hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// The encryption that the request asks for: `AES256`, `aws:kms`, `aws:kms:dsse`, `sse-c`.
    pub sse_requested: Option<&'a str>,
    /// The encryption that the store confirmed.
    pub sse_confirmed: Option<&'a str>,
    /// The encryption that Sealgate added to the request.
    pub sse_injected: Option<&'a str>,
    /// Whether Sealgate sealed the body itself.
    pub sealed: bool,
    /// Body bytes from the client that went to the store.
    pub bytes_in: u64,
    /// Body bytes to the client.
    pub bytes_out: u64,
    /// Announced body bytes of a refused request that were never read.
    pub bytes_refused: u64,
    /// From the request's head to the end of its answer.
    pub duration: Duration,
    /// The part of it from the head's way to the store to the head of its answer; absent where the store was not asked.
    pub store_time: Option<Duration>,
    /// Objects that a body named (`DeleteObjects`), and how many of them were denied.
    pub objects: Option<(u32, u32)>,
    /// What became of `Expect: 100-continue`, where the request had it.
    pub expect: Option<Continue>,
    /// What went wrong, for people; ours, never a client's text.
    pub error: Option<&'a str>,
}

impl Event<'_> {
    /// An event of which only the time, the id and the method are known; the rest is to be filled in.
    #[must_use]
    pub fn new<'a>(
        time: SystemTime,
        request_id: &'a str,
        method: &'a str,
        decision: Decision,
    ) -> Event<'a> {
        Event {
            time,
            request_id,
            store_request_id: None,
            operation: None,
            bucket: None,
            key: None,
            method,
            status: None,
            code: None,
            decision,
            reason: None,
            policy: None,
            sid: None,
            condition: None,
            rule: None,
            principal: None,
            verified: false,
            source_ip: None,
            tls: None,
            user_agent: None,
            trace_id: None,
            sse_requested: None,
            sse_confirmed: None,
            sse_injected: None,
            sealed: false,
            bytes_in: 0,
            bytes_out: 0,
            bytes_refused: 0,
            duration: Duration::ZERO,
            store_time: None,
            objects: None,
            expect: None,
            error: None,
        }
    }

    /// Whether its line must be in the file before its answer is complete: writes that were answered, and all
    /// that was not simply allowed.
    #[must_use]
    pub fn is_durable(&self) -> bool {
        self.decision != Decision::Allow || !matches!(self.method, "GET" | "HEAD" | "OPTIONS")
    }

    /// How a written object came to be encrypted, for requests that decide it and succeeded:
    /// `client`, `injected`, `sealed`, `none`.
    #[must_use]
    pub fn put_encryption(&self) -> Option<PutEncryption> {
        let done = |operation: Operation| {
            operation.chooses_encryption() && self.status.is_some_and(|s| operation.is_done(s))
        };
        let wrote = self.operation.is_some_and(done)
            && matches!(self.decision, Decision::Allow | Decision::Report);
        wrote.then_some(if self.sealed {
            PutEncryption::Sealed
        } else if self.sse_injected.is_some() {
            PutEncryption::Injected
        } else if self.sse_requested.is_some() {
            PutEncryption::Client
        } else {
            PutEncryption::None
        })
    }
}

names! {
    /// How a written object came to be encrypted.
    PutEncryption {
        /// The client asked for it.
        Client "client",
        /// Sealgate asked for it.
        Injected "injected",
        /// Sealgate encrypted it.
        Sealed "sealed",
        /// Nobody asked; the bucket's default may still encrypt it.
        None "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(method: &'static str, decision: Decision) -> Event<'static> {
        let mut event = Event::new(SystemTime::UNIX_EPOCH, "r", method, decision);
        event.operation = Some(Operation::PutObject);
        event.status = Some(200);
        event
    }

    #[test]
    fn writes_and_denials_are_durable() {
        for (method, decision, expect) in [
            ("PUT", Decision::Allow, true),
            ("POST", Decision::Allow, true),
            ("DELETE", Decision::Allow, true),
            ("GET", Decision::Allow, false),
            ("HEAD", Decision::Allow, false),
            ("GET", Decision::Deny, true),
            ("GET", Decision::Report, true),
        ] {
            assert_eq!(
                event(method, decision).is_durable(),
                expect,
                "{method} {decision:?}"
            );
        }
    }

    #[test]
    fn who_encrypted() {
        let mut put = event("PUT", Decision::Allow);
        assert_eq!(put.put_encryption(), Some(PutEncryption::None));
        put.sse_requested = Some("AES256");
        assert_eq!(put.put_encryption(), Some(PutEncryption::Client));
        put.sse_injected = Some("AES256");
        assert_eq!(put.put_encryption(), Some(PutEncryption::Injected));
        put.sealed = true;
        assert_eq!(put.put_encryption(), Some(PutEncryption::Sealed));
        put.status = Some(500);
        assert_eq!(put.put_encryption(), None);
        assert_eq!(event("PUT", Decision::Deny).put_encryption(), None);
        let mut part = event("PUT", Decision::Allow);
        part.operation = Some(Operation::UploadPart);
        assert_eq!(part.put_encryption(), None);
    }
}
