//! What a configuration says, once it has been read: plain values, nothing left to parse.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use super::glob;
use super::limits::Limits;
use super::secret::Secret;
use super::stamp::Stamps;
use crate::policy::{Multipart, Policy, Principal};
use crate::transit::CertificateName;

/// A whole configuration, validated. Made by [`Config::load`](super::Config::load).
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; other paths in it are already relative to this file's folder.
    pub file: PathBuf,
    /// The buckets' owner: 12 digits, for ARNs and `s3:ResourceAccount`. Default `111122223333`.
    pub account: String,
    /// Where clients connect: at least one. Default `127.0.0.1:8080` in the clear.
    pub listen: Vec<Listener>,
    /// Where `/metrics`, `/healthz` and `/readyz` are served. Default: nowhere.
    pub admin: Option<SocketAddr>,
    /// The S3 endpoint behind.
    pub store: Store,
    /// The callers that are known by their access key. Default: none.
    pub clients: Vec<Client>,
    /// The callers that are known by their certificate, in the order in which they are tried. Default: none.
    pub certificates: Vec<CertificateClient>,
    /// Policies that are evaluated for every request, scoped by their own Resources. Default: none.
    pub policies: Vec<PolicySource>,
    /// The rules in the order in which they are tried. Default: none, so every bucket is refused.
    pub rules: Vec<Rule>,
    /// Host names under which a bucket may be a label (`bucket.s3.example.test`), in lower case. Default: none.
    pub base_domains: Vec<String>,
    /// The hosts that requests may name beside the base domains and what is below them, without port. Default: none, which means any.
    pub hosts: Vec<String>,
    /// The peers whose `X-Forwarded-For`, `X-Forwarded-Proto` and PROXY protocol headers count. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// How long the store may stay silent before Sealgate answers 100 itself. Default 200 ms.
    pub continue_timeout: Duration,
    /// What a denied client is told. Default [`Denial::Detailed`].
    pub denial: Denial,
    /// Whether SSE-C is accepted on a connection without TLS. Default [`PlainHttp::Refuse`].
    pub sse_c_over_http: PlainHttp,
    /// The bounds of connections and requests.
    pub limits: Limits,
    /// Where audit lines go.
    pub audit: Audit,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// The Unix socket over which a new process takes the listeners over. Default: none, and it cannot.
    pub upgrade_socket: Option<PathBuf>,
    /// The configuration's file and [`Config::files`], each as it was before it was read.
    pub stamps: Stamps,
}

impl Config {
    /// The files that it names and that are read again when they change.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let of_rules = self
            .rules
            .iter()
            .flat_map(|rule| rule.policy.iter().chain(&rule.short));
        self.policies
            .iter()
            .chain(of_rules)
            .filter_map(|policy| policy.path.as_ref())
            .chain(self.store.tls.files())
    }
}

impl Config {
    /// The rule for a bucket and key: the first that matches. Without one the request is refused.
    #[must_use]
    pub fn rule(&self, bucket: &str, key: Option<&[u8]>) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.matches(bucket, key))
    }
}

/// One address on which clients are served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// TLS, where the listener speaks it. Default: in the clear.
    pub tls: Option<ListenerTls>,
    /// Whether [`Config::trusted_proxies`] must begin a connection with a PROXY protocol header. Default `false`.
    pub proxy_protocol: bool,
    /// What is served. Default [`Serve::All`].
    pub serve: Serve,
}

/// What a listener serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Serve {
    /// S3.
    #[default]
    All,
    /// `/healthz` and `/readyz`; all else is refused.
    Health,
}

/// The TLS of a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerTls {
    /// The certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The lowest version that is spoken. Default 1.2.
    pub min_version: TlsVersion,
    /// The authorities of client certificates, PEM. Default: clients are not asked for one.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show a certificate. Default: [`ClientAuth::Required`] beside `client_ca`, else [`ClientAuth::None`].
    pub client_auth: ClientAuth,
    /// Further chains and keys, chosen by SNI. Default: none.
    pub certificates: Vec<(PathBuf, PathBuf)>,
}

impl ListenerTls {
    /// Every chain with its key, the one for unknown names first.
    pub fn pairs(&self) -> impl Iterator<Item = (&Path, &Path)> {
        std::iter::once((self.cert.as_path(), self.key.as_path())).chain(
            self.certificates
                .iter()
                .map(|(c, k)| (c.as_path(), k.as_path())),
        )
    }

    /// Every file.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        self.pairs()
            .flat_map(|(cert, key)| [cert, key])
            .chain(self.client_ca.as_deref())
    }
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; one that is shown must be of `client_ca`.
    Optional,
    /// Without one there is no connection.
    Required,
}

/// A TLS version that Sealgate speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

impl TlsVersion {
    /// As the configuration and `s3:TlsVersion` write it: `1.2`, `1.3`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_2 => "1.2",
            Self::V1_3 => "1.3",
        }
    }
}

/// The S3 endpoint behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Scheme, host and port. Required.
    pub endpoint: Endpoint,
    /// The store's region. Default `us-east-1`.
    pub region: String,
    /// How the store wants buckets addressed. Default [`Addressing::Path`].
    pub addressing: Addressing,
    /// TLS beyond the system's roots; only beside an `https` endpoint.
    pub tls: StoreTls,
    /// How long the store may be silent before, and within, a response. Default 120 s.
    pub response_timeout: Duration,
    /// How long a connection to one of its addresses may take, TLS included. Default 5 s.
    pub connect_timeout: Duration,
    /// What Sealgate's own requests to the store are signed with. Default: none, so it makes none.
    pub credentials: Option<Credentials>,
}

/// A key pair of the store's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The access key id.
    pub access_key: String,
    /// The secret key.
    pub secret_key: Secret,
}

/// Scheme, host and port of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https` (`true`) or `http`.
    pub tls: bool,
    /// A name, an IPv4 address, or an IPv6 address without brackets; in lower case.
    pub host: String,
    /// The port; 443 or 80 where the URL names none.
    pub port: u16,
}

impl Endpoint {
    /// Whether the host is this machine's loopback: the only plain-HTTP store that SSE-C keys are sent to.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.host == "localhost"
            || self.host.ends_with(".localhost")
            || self.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }

    /// `host:port`, an IPv6 address in brackets: what a connection is made to.
    #[must_use]
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// How the store wants buckets addressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressing {
    /// `host/bucket/key`.
    Path,
    /// `bucket.host/key`.
    Virtual,
}

/// TLS towards the store, beyond the system's roots.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// The authorities that are trusted instead of the system's, PEM.
    pub ca: Option<PathBuf>,
    /// The name that the store's certificate must bear, where it is not the endpoint's host.
    pub server_name: Option<String>,
    /// The certificate that Sealgate shows to the store, PEM, and its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

impl StoreTls {
    /// The files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let client = self.client.iter().flat_map(|(cert, key)| [cert, key]);
        self.ca.iter().chain(client)
    }
}

/// A caller that is known by its access key.
#[derive(Clone, Debug)]
pub struct Client {
    /// The access key id that its requests claim.
    pub access_key: String,
    /// Its secret key. Kept, and not used in this version: the store checks signatures.
    pub secret_key: Option<Secret>,
    /// Who it is.
    pub principal: Principal,
}

/// A caller that is known by its certificate.
#[derive(Clone, Debug)]
pub struct CertificateClient {
    /// What its certificate says.
    pub certificate: CertificateName,
    /// Who it is.
    pub principal: Principal,
}

/// A policy, and where it came from.
#[derive(Clone, Debug)]
pub struct PolicySource {
    /// How messages and the audit line name it: the path as the configuration wrote it, or `rules[2].policy`, `rules[2]` (short form).
    pub name: String,
    /// Its file, where it is one.
    pub path: Option<PathBuf>,
    /// A bucket policy's JSON, or the short form in YAML or JSON.
    pub text: String,
    /// The line of the configuration that names it, from 1.
    pub line: Option<usize>,
    /// Compiled, ready to decide.
    pub policy: Arc<Policy>,
}

/// What is demanded of the requests to some buckets.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Its place in the list, from 0: messages and the audit line say `rules[0]`.
    pub index: usize,
    /// The bucket names that it is for: `*` stands for any characters, `?` for one.
    pub bucket: String,
    /// The start of the keys that it is for. Default: empty, all of them.
    pub prefix: String,
    /// A bucket policy, in a file or in the rule itself.
    pub policy: Option<PolicySource>,
    /// `require`, `deny` and `tls`, where the rule has one of them: the short form as one JSON document of these keys.
    pub short: Option<PolicySource>,
    /// Whether a denial refuses the request. Default [`Mode::Enforce`].
    pub mode: Mode,
    /// How the parts of an upload count. Default [`Multipart::Inherit`].
    pub multipart: Multipart,
    /// Whether a request also needs an Allow. Default `false`: all that is not denied is the store's to decide.
    pub authorize: bool,
    /// What happens to a write that the store did not confirm as encrypted. Default [`Unconfirmed::Fail`].
    pub unconfirmed: Unconfirmed,
}

impl Rule {
    /// Whether the rule is for this bucket and key; a request without a key is for rules without a prefix.
    #[must_use]
    pub fn matches(&self, bucket: &str, key: Option<&[u8]>) -> bool {
        key.unwrap_or_default().starts_with(self.prefix.as_bytes())
            && glob::matches(&self.bucket, bucket)
    }
}

/// Whether a denial refuses the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is decided, counted and logged; the request goes through.
    Report,
}

/// What happens to a write that had to be encrypted and that the store did not confirm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unconfirmed {
    /// The client gets an error.
    #[default]
    Fail,
    /// The client gets an error and the object is deleted.
    Delete,
    /// It is counted and logged.
    Report,
}

/// What a denied client is told; the audit line always has it all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Denial {
    /// The policy, the Sid, the condition and the header to set.
    #[default]
    Detailed,
    /// `Access Denied`.
    Plain,
}

/// Whether SSE-C, whose keys travel in headers, is accepted without TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlainHttp {
    /// 400 `InvalidRequest`, as S3 answers.
    #[default]
    Refuse,
    /// Accepted.
    Allow,
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// How long requests under way may still take. Default 30 s.
    pub drain: Duration,
    /// How long the listeners stay open after SIGTERM, while `/readyz` says 503 already. Default 0.
    pub delay: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            drain: Duration::from_secs(30),
            delay: Duration::ZERO,
        }
    }
}

/// Where audit lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whether lines go to standard output. Default: where there is neither a file nor a socket.
    pub stdout: bool,
    /// The file that lines are appended to. Default: none.
    pub file: Option<PathBuf>,
    /// When the file is put aside and a new one begun. Default: never.
    pub rotate: Option<Rotate>,
    /// The Unix socket that lines are sent to, a stream's or a syslog daemon's. Default: none.
    pub socket: Option<PathBuf>,
    /// What happens to requests while lines cannot be written. Default [`WhenBlocked::Refuse`].
    pub when_blocked: WhenBlocked,
}

/// When the audit file is put aside and a new one begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotate {
    /// Before it would have more bytes than these. Default 256 MiB; 1 or more.
    pub bytes: Option<u64>,
    /// When it is so old. Default 24 h; more than 0.
    pub time: Option<Duration>,
    /// How many rotated files stay. Default 14; 1 or more.
    pub keep: Option<u64>,
}

impl Default for Rotate {
    fn default() -> Self {
        Self {
            bytes: Some(256 << 20),
            time: Some(Duration::from_hours(24)),
            keep: Some(14),
        }
    }
}

/// What happens to requests while audit lines cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenBlocked {
    /// They are refused: what cannot be seen must not happen.
    #[default]
    Refuse,
    /// They go on; the lines that are lost are counted.
    Count,
}

impl Default for Audit {
    fn default() -> Self {
        Self {
            stdout: true,
            file: None,
            rotate: None,
            socket: None,
            when_blocked: WhenBlocked::Refuse,
        }
    }
}
