//! Every file of `config/` loads, and the policies decide as their names promise.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use sealgate::config::Config;
use sealgate::policy::cases::Request;
use sealgate::policy::short::ShortForm;
use sealgate::policy::{Keys, Multipart, Outcome, Policy};

fn examples(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn configurations_load_without_a_warning() {
    for path in examples("config", "yaml") {
        let (_, warnings) = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn the_reference_writes_the_defaults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let (reference, _) = Config::load(&folder.join("sealgate.yaml")).unwrap();
    let (minimal, _) = Config::load(&folder.join("minimal.yaml")).unwrap();
    let (reference, minimal) = (reference.masked(), minimal.masked());
    for field in [
        "account",
        "listen",
        "store",
        "continue_timeout",
        "denial",
        "sse_c_over_http",
        "limits",
        "audit",
        "shutdown",
    ] {
        assert_eq!(reference[field], minimal[field], "{field}");
    }
}

const KEY: &str = "arn:aws:kms:us-east-2:111122223333:key/01234567-89ab-cdef-0123-456789abcdef";
const OTHER_KEY: &str =
    "arn:aws:kms:us-east-2:444455556666:key/01234567-89ab-cdef-0123-456789abcdef";
const SSE: &str = "x-amz-server-side-encryption";
const SSE_KEY: &str = "x-amz-server-side-encryption-aws-kms-key-id";
const SSE_C: &str = "x-amz-server-side-encryption-customer-algorithm";

type Headers = &'static [(&'static str, &'static str)];

/// A PUT over TLS 1.3, or another version, or none.
fn put(headers: &[(&str, &str)], tls: Option<&str>) -> Request {
    let mut request = Request::new("PUT", "/examplebucket/photo.jpg");
    request.headers = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    request.tls = tls.map(str::to_owned);
    request.signed_by("arn:aws:iam::111122223333:user/app")
}

fn outcome(policy: &Policy, request: &Request) -> Outcome {
    let judged = request
        .decide(policy, Multipart::Inherit, "111122223333")
        .unwrap();
    judged[0].decision.outcome
}

/// Each policy of the cookbook with requests that it denies, and requests that it does not.
fn cookbook() -> Vec<(&'static str, Vec<Request>, Vec<Request>)> {
    let tls = Some("1.3");
    let none = || put(&[], tls);
    let s3 = || put(&[(SSE, "AES256")], tls);
    let kms = || put(&[(SSE, "aws:kms")], tls);
    let key = || put(&[(SSE, "aws:kms"), (SSE_KEY, KEY)], tls);
    let other = || put(&[(SSE, "aws:kms"), (SSE_KEY, OTHER_KEY)], tls);
    let dsse = || put(&[(SSE, "aws:kms:dsse")], tls);
    let sse_c = || put(&[(SSE_C, "AES256")], tls);
    let plain = || put(&[(SSE, "aws:kms"), (SSE_KEY, KEY)], None);
    let old = || put(&[(SSE, "aws:kms"), (SSE_KEY, KEY)], Some("1.1"));
    vec![
        ("sse-s3", vec![none(), kms(), sse_c()], vec![s3()]),
        (
            "sse-kms",
            vec![none(), s3(), dsse(), sse_c()],
            vec![kms(), key()],
        ),
        ("sse-kms-key-named", vec![none(), kms(), s3()], vec![key()]),
        (
            "sse-kms-specific-key",
            vec![other(), none(), kms()],
            vec![key()],
        ),
        ("sse-kms-key-in-account", vec![other(), none()], vec![key()]),
        ("dsse-kms", vec![none(), kms(), s3()], vec![dsse()]),
        ("sse-c-required", vec![none(), s3()], vec![sse_c()]),
        ("sse-c-denied", vec![sse_c()], vec![s3(), none()]),
        ("tls-only", vec![plain()], vec![old(), key()]),
        ("tls-1.2", vec![plain(), old()], vec![key()]),
        (
            "full-enforcing",
            vec![none(), kms(), other(), plain(), old(), sse_c()],
            vec![key()],
        ),
        ("any", vec![none()], vec![s3(), kms(), dsse(), sse_c()]),
    ]
}

#[test]
fn policies_decide_as_they_are_named() {
    let cookbook = cookbook();
    let mut files = examples("config/policies", "json");
    files.extend(examples("config/policies", "yaml"));
    for (name, ..) in &cookbook {
        assert!(
            files.iter().any(|path| path.file_stem().unwrap() == *name),
            "{name}"
        );
    }
    for path in files {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (_, denied, passed) = cookbook
            .iter()
            .find(|(known, ..)| *known == name)
            .unwrap_or_else(|| panic!("{name} is not in the cookbook"));
        let text = fs::read_to_string(&path).unwrap();
        let policy = if path.extension().unwrap() == "json" {
            Policy::load(&text).unwrap()
        } else {
            let document = ShortForm::parse(&text).unwrap().expand().unwrap();
            Policy::compile(document, Keys::Known).unwrap()
        };
        for request in denied {
            assert_eq!(
                outcome(&policy, request),
                Outcome::Denied,
                "{path:?}: {request:?}"
            );
        }
        for request in passed {
            assert_eq!(
                outcome(&policy, request),
                Outcome::NoMatch,
                "{path:?}: {request:?}"
            );
        }
    }
}

/// Whether a policy of the configuration denies a request; `None` where no rule is for its bucket.
fn denied(config: &Config, request: &Request) -> Option<bool> {
    let (bucket, key) = request
        .path
        .trim_start_matches('/')
        .split_once('/')
        .unwrap();
    let rule = config.rule(bucket, Some(key.as_bytes()))?;
    let policies = config
        .policies
        .iter()
        .chain(&rule.policy)
        .chain(&rule.short);
    Some(
        policies
            .into_iter()
            .any(|source| outcome(&source.policy, request) == Outcome::Denied),
    )
}

#[test]
fn configurations_decide() {
    let to = |path: &str, headers: &[(&str, &str)]| {
        let mut request = put(headers, Some("1.3"));
        request.path = path.to_owned();
        request
    };
    let s3 = &[(SSE, "AES256")][..];
    let kms = &[(SSE, "aws:kms"), (SSE_KEY, KEY)][..];
    let sse_c = &[(SSE_C, "AES256")][..];
    // File, bucket and key, what is denied, what is not.
    let table: [(&str, &str, Headers, Headers); 9] = [
        ("minimal", "/any/k", &[], s3),
        ("demo", "/demo/k", &[], s3),
        ("demo", "/demo/k", sse_c, s3),
        ("report", "/any/k", sse_c, kms),
        ("policies", "/examplebucket/k", s3, kms),
        ("policies", "/archive-1/k", &[], s3),
        ("sealgate", "/examplebucket/k", s3, kms),
        ("sealgate", "/finance-eu/reports/k", s3, kms),
        ("sealgate", "/finance-eu/other/k", &[], sse_c),
    ];
    for path in examples("config", "yaml") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let (config, _) = Config::load(&path).unwrap();
        let mut tried = 0;
        for (_, path, no, yes) in table.iter().filter(|(file, ..)| *file == name) {
            assert_eq!(
                denied(&config, &to(path, no)),
                Some(true),
                "{name} {path} {no:?}"
            );
            assert_eq!(
                denied(&config, &to(path, yes)),
                Some(false),
                "{name} {path} {yes:?}"
            );
            tried += 1;
        }
        assert!(tried > 0, "{name} is not tried");
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let (policies, _) = Config::load(&folder.join("policies.yaml")).unwrap();
    assert_eq!(denied(&policies, &to("/public-assets/k", &[])), Some(false));
    assert_eq!(denied(&policies, &to("/unknown/k", s3)), None);
}
