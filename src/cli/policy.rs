//! `policy ...`.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{GOOD, UNUSABLE, WRONG, complain, read, say};
use crate::policy::{
    Multipart, Outcome, Policy, Principal,
    cases::{CaseFile, DEFAULT_ACCOUNT, Request, tls_version},
    generate::{self, Choices},
    lint, prove, source,
};
use crate::sigv4::{self, Claim};

/// What can be done with a bucket policy. A policy is a file of AWS's JSON, or of the short form in YAML.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Check a policy as AWS does, and warn of the traps that published policies are full of
    Check {
        /// The policy
        file: PathBuf,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
        /// The same policy also stands at the store, which sees Sealgate's connection and not the client's
        #[arg(long)]
        also_at_store: bool,
    },
    /// Decide recorded requests (--cases), or one request (--policy and the flags that describe it)
    Test(Box<Test>),
    /// Is there any request that this policy lets write an object without encryption, a given key, or TLS?
    Prove(Prove),
    /// Print the bucket policy that a short form stands for
    Expand {
        /// The short form, in YAML
        file: PathBuf,
    },
    /// Make a policy from flags
    Generate(Generate),
}

#[derive(Debug, Args)]
pub struct Test {
    /// A file {"entries":[{"id","policy","cases":[{"name","request","expect"}]}]}; expect is D (denied), A (allowed) or N (no statement speaks).
    /// Each case is about the request's main action alone (of a copy: the writing); a single request is decided on every action it needs
    #[arg(long, value_name = "FILE", conflicts_with_all = ["policy", "method", "path"])]
    cases: Option<PathBuf>,
    /// How the later steps of an upload are read: inherit or literal
    #[arg(long, default_value = "inherit")]
    multipart: Multipart,
    /// The account that owns the buckets
    #[arg(long, default_value = DEFAULT_ACCOUNT)]
    account: String,
    /// The policy that decides one request
    #[arg(long, value_name = "FILE", required_unless_present = "cases")]
    policy: Option<PathBuf>,
    /// Its method
    #[arg(long, default_value = "PUT")]
    method: String,
    /// Its path and query, path style: /bucket/key?query
    #[arg(long, required_unless_present = "cases", value_parser = path)]
    path: Option<String>,
    /// A header, `name: value`; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// A field of a POST form, `name=value`; may be given several times. Fields that sign it say how it is signed
    #[arg(long = "form", value_name = "NAME=VALUE", value_parser = field)]
    form: Vec<(String, String)>,
    /// A tag in the body of PUT ?tagging, `name=value`; may be given several times
    #[arg(long = "tag", value_name = "NAME=VALUE", value_parser = field)]
    tags: Vec<(String, String)>,
    /// The version of TLS, 1.0, 1.1, 1.2 or 1.3; `none`, or without it, plain HTTP
    #[arg(long, value_name = "VERSION", value_parser = tls)]
    tls: Option<Tls>,
    /// The caller's ARN; without it, anonymous
    #[arg(long, value_parser = principal)]
    principal: Option<String>,
    /// The client's address
    #[arg(long)]
    source_ip: Option<std::net::IpAddr>,
    /// How it is signed
    #[arg(long, value_parser = ["REST-HEADER", "REST-QUERY-STRING", "POST"])]
    auth_type: Option<String>,
    /// The signature's version
    #[arg(long, value_parser = ["AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", "AWS"])]
    signature_version: Option<String>,
    /// Milliseconds since signing
    #[arg(long)]
    signature_age: Option<i64>,
    /// The time of the request, RFC 3339; without it, now
    #[arg(long)]
    time: Option<jiff::Timestamp>,
}

#[derive(Debug, Args)]
pub struct Prove {
    /// The policy
    file: PathBuf,
    /// Ask for this KMS key, named as in the header, instead of any encryption
    #[arg(long, conflicts_with = "tls")]
    key_id: Option<String>,
    /// Ask for TLS of this version or newer (1.0 asks for any) instead of encryption
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "1.0")]
    tls: Option<String>,
    /// A request needs an Allow too, as with `authorize: true`
    #[arg(long)]
    authorize: bool,
    /// How the later steps of an upload are read: inherit or literal
    #[arg(long, default_value = "inherit")]
    multipart: Multipart,
    /// The account that owns the buckets
    #[arg(long, default_value = DEFAULT_ACCOUNT)]
    account: String,
}

#[derive(Debug, Args)]
pub struct Generate {
    /// The bucket
    #[arg(long)]
    bucket: String,
    /// Only keys that begin so, for what is about encryption
    #[arg(long, default_value = "")]
    prefix: String,
    /// What writes must ask for: any, AES256, aws:kms, aws:kms:dsse or sse-c
    #[arg(long)]
    require: Option<generate::Require>,
    /// A KMS key's ARN that may be named; one of them must be
    #[arg(long = "key-id", value_name = "ARN")]
    key_ids: Vec<String>,
    /// Refuse SSE-C
    #[arg(long)]
    deny_sse_c: bool,
    /// The oldest version of TLS; 1.0 asks for any
    #[arg(long, value_name = "VERSION")]
    tls: Option<String>,
    /// An account or ARN that may use the bucket; everybody else is denied
    #[arg(long = "allow-principal", value_name = "ARN")]
    allow_principals: Vec<String>,
    /// An address or range to come from; everywhere else is denied
    #[arg(long = "source-ip", value_name = "CIDR")]
    source_ips: Vec<String>,
}

/// Does it.
pub fn run(command: PolicyCommand) -> u8 {
    let done = match command {
        PolicyCommand::Check {
            file,
            strict,
            also_at_store,
        } => check(&file, strict, also_at_store),
        PolicyCommand::Test(test) => match &test.cases {
            Some(cases) => recorded(cases, &test),
            None => one(*test),
        },
        PolicyCommand::Prove(prove) => prove_it(&prove),
        PolicyCommand::Expand { file } => expand(&file),
        PolicyCommand::Generate(choices) => Ok(generate_it(choices)),
    };
    done.unwrap_or_else(|code| code)
}

/// What is wrong with a file, said with its name.
fn wrong(file: &Path, what: &impl std::fmt::Display) -> u8 {
    complain(&format!("{}: {what}", file.display()), WRONG)
}

fn compiled(file: &Path) -> Result<Policy, u8> {
    Policy::load_any(&read(file)?).map_err(|e| wrong(file, &e))
}

fn expand(file: &Path) -> Result<u8, u8> {
    let document = source::read_any(&read(file)?)
        .map_err(|e| wrong(file, &e))?
        .into_result()
        .map_err(|e| wrong(file, &e))?;
    say(&document.to_json_pretty());
    Ok(GOOD)
}

fn check(file: &Path, strict: bool, also_at_store: bool) -> Result<u8, u8> {
    let report = lint::Report::of(&read(file)?, lint::Options { also_at_store })
        .map_err(|e| wrong(file, &e))?;
    for line in report.to_string().lines() {
        say(&format!("{}: {line}", file.display()));
    }
    Ok(report.exit_code(strict))
}

fn recorded(cases: &Path, test: &Test) -> Result<u8, u8> {
    let file = CaseFile::parse(&read(cases)?)
        .map_err(|e| complain(&format!("{}: {e}", cases.display()), UNUSABLE))?;
    let report = file.run(test.multipart, &test.account);
    say(&report);
    Ok(if report.differences.is_empty() {
        GOOD
    } else {
        WRONG
    })
}

fn one(test: Test) -> Result<u8, u8> {
    let (Some(file), Some(path)) = (test.policy, test.path) else {
        return Err(complain(
            &"--policy and --path describe a request",
            UNUSABLE,
        ));
    };
    let policy = compiled(&file)?;
    let signed = test.principal.is_some();
    let mut headers = test.headers;
    let claim =
        claim_of(&test.form).map_err(|e| complain(&format!("{REFUSED_BEFORE}: {e}"), WRONG))?;
    let now_ms = test
        .time
        .unwrap_or_else(jiff::Timestamp::now)
        .as_millisecond();
    let form = !test.form.is_empty() || is_form(&test.method, &headers);
    if !test.form.is_empty() {
        // What makes a POST to a bucket a form; its fields stand for headers.
        headers.push((
            "content-type".to_owned(),
            "multipart/form-data; boundary=form".to_owned(),
        ));
        headers.extend(test.form);
    }
    let request = Request {
        headers,
        tls: test.tls.and_then(|tls| tls.0).map(str::to_owned),
        auth: test
            .auth_type
            .or_else(|| claim.auth.condition_value().map(str::to_owned))
            .or_else(|| signed.then(|| if form { "POST" } else { "REST-HEADER" }.to_owned())),
        sig: test
            .signature_version
            .or_else(|| {
                claim
                    .version
                    .map(|version| version.condition_value().to_owned())
            })
            .or_else(|| signed.then(|| "AWS4-HMAC-SHA256".to_owned())),
        ip: test.source_ip.map(|ip| ip.to_string()),
        principal: test.principal,
        tags: (!test.tags.is_empty()).then_some(test.tags),
        // A form has an age; where nothing else is said it has just been signed.
        age_ms: test
            .signature_age
            .or_else(|| claim.age_ms(now_ms))
            .or_else(|| (form && signed).then_some(0)),
        now_ms: Some(now_ms),
        ..Request::new(&test.method, &path)
    };
    let judged = request
        .decide(&policy, test.multipart, &test.account)
        .map_err(|e| complain(&e, WRONG))?;
    let mut denied = false;
    for judgement in &judged {
        let word = match judgement.decision.outcome {
            Outcome::Denied => "denied",
            Outcome::Allowed => "allowed",
            Outcome::NoMatch => "no statement speaks",
        };
        denied |= judgement.decision.outcome == Outcome::Denied;
        say(&format!(
            "{} on {}: {word}: {}",
            judgement.action, judgement.resource, judgement.explanation
        ));
    }
    say(&if denied {
        "The request is denied."
    } else {
        "The request is not denied."
    });
    Ok(if denied { WRONG } else { GOOD })
}

const REFUSED_BEFORE: &str = "the request is refused before any policy is asked";

/// What the fields of a form claim: how it was signed, and when.
fn claim_of(fields: &[(String, String)]) -> Result<Claim<'static>, String> {
    for (at, (name, _)) in fields.iter().enumerate() {
        if fields[..at]
            .iter()
            .any(|(have, _)| have.eq_ignore_ascii_case(name))
        {
            return Err(format!("the form field {name} is given more than once"));
        }
    }
    let field = |name: &str| {
        fields
            .iter()
            .find(|(have, _)| have.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_bytes())
    };
    let claim = sigv4::claim_of_form(field).map_err(|e| e.to_string())?;
    Ok(Claim {
        auth: claim.auth,
        version: claim.version,
        signed_at: claim.signed_at,
        ..Claim::ANONYMOUS
    })
}

/// Is it a POST form, by its headers?
fn is_form(method: &str, headers: &[(String, String)]) -> bool {
    method == "POST"
        && headers.iter().any(|(name, value)| {
            name.eq_ignore_ascii_case("content-type") && value.starts_with("multipart/form-data")
        })
}

fn prove_it(options: &Prove) -> Result<u8, u8> {
    let policy = compiled(&options.file)?;
    let question = match (&options.key_id, &options.tls) {
        (Some(id), _) => prove::Question::KeyId(id.clone()),
        (None, Some(version)) => {
            if !["1.0", "1.1", "1.2", "1.3"].contains(&version.as_str()) {
                return Err(complain(
                    &format!("`{version}` is no version of TLS: write 1.0, 1.1, 1.2 or 1.3"),
                    UNUSABLE,
                ));
            }
            prove::Question::Tls(version.clone())
        }
        (None, None) => prove::Question::Encryption,
    };
    let verdict = prove::prove(
        &policy,
        &question,
        &prove::Options {
            account: options.account.clone(),
            authorize: options.authorize,
            multipart: options.multipart,
            ..prove::Options::default()
        },
    );
    say(&verdict.render(&question, &options.file.display().to_string()));
    Ok(verdict.exit_code())
}

fn generate_it(options: Generate) -> u8 {
    let choices = Choices {
        bucket: options.bucket,
        prefix: options.prefix,
        require: options.require,
        key_ids: options.key_ids,
        deny_sse_c: options.deny_sse_c,
        tls: options.tls,
        allow_principals: options.allow_principals,
        source_ips: options.source_ips,
    };
    match generate::generate(&choices) {
        Ok(document) => {
            say(&document.to_json_pretty());
            GOOD
        }
        Err(error) => complain(&error, UNUSABLE),
    }
}

/// A version of TLS, or none.
#[derive(Debug, Clone, Copy)]
struct Tls(Option<&'static str>);

fn tls(text: &str) -> Result<Tls, String> {
    tls_version(text).map(Tls)
}

fn principal(text: &str) -> Result<String, String> {
    Principal::parse(text)
        .map(|_| text.to_owned())
        .map_err(|e| e.to_string())
}

fn path(text: &str) -> Result<String, String> {
    text.starts_with('/')
        .then(|| text.to_owned())
        .ok_or_else(|| "write /bucket/key".to_owned())
}

/// `prove --tls 1.2 FILE` means `--tls=1.2`: what follows is a version where it is one, and else the file.
pub fn join_version(words: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut out: Vec<OsString> = Vec::new();
    for word in words {
        let version = word.to_str().is_some_and(|text| tls_version(text).is_ok());
        let prove = out
            .get(1..3)
            .is_some_and(|w| w[0] == "policy" && w[1] == "prove");
        match out.last_mut() {
            Some(flag) if prove && version && *flag == "--tls" => {
                flag.push("=");
                flag.push(word);
            }
            _ => out.push(word),
        }
    }
    out
}

fn header(text: &str) -> Result<(String, String), String> {
    pair(text, ':')
        .map(|(name, value)| (name, value.trim().to_owned()))
        .ok_or_else(|| "write `name: value`".to_owned())
}

fn field(text: &str) -> Result<(String, String), String> {
    pair(text, '=').ok_or_else(|| "write `name=value`".to_owned())
}

fn pair(text: &str, between: char) -> Option<(String, String)> {
    let (name, value) = text.split_once(between)?;
    (!name.trim().is_empty()).then(|| (name.trim().to_owned(), value.to_owned()))
}
