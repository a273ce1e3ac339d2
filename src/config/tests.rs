#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// A folder of one test, gone with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("sealgate-config-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// A self-signed certificate as `name.pem` and `name.key`, valid for so many days from now.
    fn certificate(&self, name: &str, days: i32) {
        let file = |kind: &str| self.0.join(format!("{name}.{kind}")).display().to_string();
        let (cert, key, request) = (file("pem"), file("key"), file("csr"));
        let (subject, days) = (format!("/CN={name}"), days.to_string());
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes".split(' ');
        let asked = [
            "req", "-new", "-subj", &subject, "-keyout", &key, "-out", &request,
        ];
        let signed = [
            "x509", "-req", "-in", &request, "-signkey", &key, "-days", &days, "-out", &cert,
        ];
        for arguments in [asked.into_iter().chain(new_key).collect(), signed.to_vec()] {
            let made = std::process::Command::new("openssl")
                .args(arguments)
                .output()
                .unwrap_or_else(|e| panic!("openssl is needed: {e}"));
            assert!(made.status.success(), "{made:?}");
        }
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn env(name: &str) -> Option<String> {
    match name {
        "APP_SECRET" => Some("hunter2".into()),
        "PORT" => Some("9000".into()),
        "ON" => Some("true".into()),
        "MODE" => Some("aws:kms".into()),
        _ => None,
    }
}

pub fn parse(text: &str) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    Config::parse(Path::new("sealgate.yaml"), text, &env)
}

pub fn errors(text: &str) -> Vec<String> {
    parse(text)
        .expect_err("it loads")
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect()
}

pub fn warnings(text: &str) -> Vec<String> {
    let (_, warnings) = parse(text).unwrap();
    warnings.iter().map(ToString::to_string).collect()
}

pub const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": {"Sid": "D", "Effect": "Deny", "Principal": "*",
  "Action": "s3:PutObject", "Resource": "arn:aws:s3:::*/*", "Condition": {"Null": {"s3:x-amz-server-side-encryption": "true"}}}}"#;

pub const STORE: &str = "store: {endpoint: \"http://127.0.0.1:9000\"}\n";
pub const RULE: &str = "rules: [{bucket: '*'}]\n";

/// A configuration of the store, one rule and this.
pub fn with(more: &str) -> String {
    format!("{STORE}{RULE}{more}")
}

#[track_caller]
pub fn one_error(more: &str, expect: &str) {
    let text = with(more);
    let errors = errors(&text);
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(expect), "{errors:?}");
}

#[test]
fn defaults() {
    let (config, warnings) = parse(&with("")).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert_eq!(config.account, "111122223333");
    assert_eq!(config.listen[0].address.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin, None);
    assert_eq!(config.store.region, "us-east-1");
    assert_eq!(config.store.addressing, Addressing::Path);
    assert_eq!(config.store.response_timeout, Duration::from_mins(2));
    assert_eq!(config.continue_timeout, Duration::from_millis(200));
    assert_eq!(config.denial, Denial::Detailed);
    assert_eq!(config.sse_c_over_http, PlainHttp::Refuse);
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.limits.linger.bytes, 128 << 20);
    assert_eq!(config.audit, Audit::default());
    assert_eq!(config.shutdown.drain, Duration::from_secs(30));
    assert_eq!(config.rules[0].mode, Mode::Enforce);
    assert_eq!(config.rules[0].multipart, Multipart::Inherit);
    assert!(!config.rules[0].authorize);
}

#[test]
fn everything() {
    let folder = Folder::new("everything");
    folder.certificate("s", 30);
    folder.certificate("b", 30);
    fs::copy(folder.0.join("s.pem"), folder.0.join("ca.pem")).unwrap();
    folder.write("tls-only.json", POLICY);
    folder.write("finance.json", POLICY);
    let path = folder.write("sealgate.yaml", "");
    let text = r#"
account: 222233334444
listen:
  - address: 127.0.0.1:8080
    proxy_protocol: true
    serve: health
  - address: "[::1]:8443"
    tls: {cert: s.pem, key: s.key, min_version: 1.3, client_ca: ca.pem, client_auth: optional, certificates: [{cert: b.pem, key: b.key}]}
admin: {address: "localhost:9090"}
store:
  endpoint: "https://store.example:${PORT}"
  region: eu-central-1
  addressing: virtual
  tls: {ca: ca.pem, server_name: Store.example, cert: s.pem, key: s.key}
  response_timeout: 2m
clients:
  - {access_key: AK, secret_key: "${APP_SECRET}", principal: "arn:aws:iam::111122223333:user/app"}
  - {certificate: "spiffe://example/app", principal: "arn:aws:iam::111122223333:user/app"}
policies: [tls-only.json]
mode: report
multipart: literal
authorize: "${ON}"
unconfirmed: delete
rules:
  - {bucket: "finance-*", prefix: in/, policy: finance.json, mode: enforce, multipart: inherit, authorize: false}
  - bucket: inline
    policy: {Version: "2012-10-17", Statement: [{Effect: Deny, Principal: "*", Action: "s3:*", Resource: "arn:aws:s3:::inline/${aws:username}/*"}]}
  - {bucket: "*", require: {sse: "${MODE}", key_ids: [a, b]}, deny: [sse-c], tls: 1.2}
base_domains: [S3.Example.test]
hosts: [gate.test, 127.0.0.1, "::1"]
trusted_proxies: [127.0.0.1/32, "::1"]
continue_timeout: 50ms
denial: plain
sse_c_over_http: allow
limits:
  header_bytes: 32KiB
  header_count: 100
  header_timeout: 5s
  idle_timeout: null
  xml_bytes: 1MiB
  form_bytes: 10KiB
  linger: {bytes: 1MiB, time: 3s}
audit: {stdout: false, file: audit.jsonl, rotate: {bytes: 1MiB, keep: null}, socket: audit.sock, when_blocked: count}
shutdown: {drain: 1m}
"#;
    let (config, warnings) = Config::parse(&path, text, &env).unwrap_or_else(|e| panic!("{e}"));
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(config.account, "222233334444");
    assert_eq!(
        config.listen[1].tls.as_ref().unwrap().min_version,
        TlsVersion::V1_3
    );
    assert_eq!(
        config.listen[1].tls.as_ref().unwrap().cert,
        folder.0.join("s.pem")
    );
    let tls = config.listen[1].tls.as_ref().unwrap();
    assert_eq!(tls.client_auth, ClientAuth::Optional);
    assert_eq!((tls.pairs().count(), tls.files().count()), (2, 5));
    assert_eq!(
        (config.listen[0].proxy_protocol, config.listen[0].serve),
        (true, Serve::Health)
    );
    assert_eq!(
        config.certificates[0].certificate.to_string(),
        "spiffe://example/app"
    );
    assert_eq!(config.admin.unwrap().to_string(), "127.0.0.1:9090");
    assert_eq!(config.store.endpoint.authority(), "store.example:9000");
    assert_eq!(
        config.store.tls.server_name.as_deref(),
        Some("store.example")
    );
    assert_eq!(
        config.clients[0].secret_key.as_ref().unwrap().reveal(),
        "hunter2"
    );
    assert_eq!(config.policies[0].text, POLICY);
    assert_eq!(config.policies[0].policy.document().statements.len(), 1);
    assert_eq!(config.policies[0].name, "tls-only.json");
    let [finance, inline, rest] = &config.rules[..] else {
        panic!("{:?}", config.rules)
    };
    assert_eq!(
        (finance.mode, finance.multipart),
        (Mode::Enforce, Multipart::Inherit)
    );
    assert!(!finance.authorize && rest.authorize);
    assert_eq!(rest.unconfirmed, Unconfirmed::Delete);
    assert!(finance.matches("finance-1", Some(b"in/x")));
    assert!(!finance.matches("finance-1", Some(b"out/x")));
    assert!(!finance.matches("finance-1", None));
    assert_eq!(config.rule("finance-1", Some(b"in/x")).unwrap().index, 0);
    assert_eq!(config.rule("finance-1", None).unwrap().index, 2);
    assert_eq!(
        inline.policy.as_ref().unwrap().text,
        r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::inline/${aws:username}/*"}]}"#
    );
    assert_eq!(
        rest.short.as_ref().unwrap().text,
        r#"{"require":{"sse":"aws:kms","key_ids":["a","b"]},"deny":["sse-c"],"tls":1.2}"#
    );
    assert_eq!(rest.short.as_ref().unwrap().line, Some(28));
    assert_eq!(config.base_domains, ["s3.example.test"]);
    assert_eq!(config.hosts, ["gate.test", "127.0.0.1", "[::1]"]);
    assert_eq!(config.trusted_proxies[1].to_string(), "::1/128");
    assert_eq!(config.limits.idle_timeout, None);
    assert_eq!(config.limits.linger.time, Duration::from_secs(3));
    assert_eq!(config.audit.file, Some(folder.0.join("audit.jsonl")));
    assert_eq!(config.audit.socket, Some(folder.0.join("audit.sock")));
    let rotate = Rotate {
        bytes: Some(1 << 20),
        time: Some(Duration::from_hours(24)),
        keep: None,
    };
    assert_eq!(config.audit.rotate, Some(rotate));
    assert!(!format!("{config:?}").contains("hunter2"));
    let masked = config.masked().to_string();
    assert!(
        !masked.contains("hunter2") && masked.contains("\"***\""),
        "{masked}"
    );
}

#[test]
fn all_at_once_with_lines() {
    let text = "\
acount: '1'
listen:
  - address: nowhere
  - adress: 127.0.0.1:8080
store:
  endpoint: http://127.0.0.1:9000/path
  region: us-east-1
  region: eu
rules:
  - bucket: a
  - prefix: x
  - bucket: c
    mode: enforced
limits: {linger: {time: 30}}
denial: ${NOPE}
";
    let got = errors(text);
    let expect = [
        "sealgate.yaml: line 1: acount: is not a field; did you mean account?",
        "sealgate.yaml: line 3: listen[0].address: \"nowhere\" is not an address",
        "sealgate.yaml: line 4: listen[1].adress: is not a field; did you mean address?",
        "sealgate.yaml: line 4: listen[1]: address is missing",
        "sealgate.yaml: line 6: store.endpoint: has a path",
        "sealgate.yaml: line 8: store.region: is there twice",
        "sealgate.yaml: line 11: rules[1]: bucket is missing",
        "sealgate.yaml: line 13: rules[2].mode: \"enforced\" is not one of enforce, report",
        "sealgate.yaml: line 14: limits.linger.time: \"30\" is not a time",
        "sealgate.yaml: line 15: denial: the environment variable NOPE is not set",
    ];
    assert_eq!(got.len(), expect.len(), "{got:#?}");
    for (got, expect) in got.iter().zip(expect) {
        assert!(got.starts_with(expect), "{got}\n{expect}");
    }
}

#[test]
fn nothing_at_all() {
    assert_eq!(errors("").len(), 1);
    assert!(errors("")[0].contains("store is missing"));
    assert!(errors("[1, 2]")[0].contains("is a list, not a map"));
    assert!(errors("store: [")[0].contains("sealgate.yaml: line "));
}

#[test]
fn unreadable() {
    let e = Config::load(Path::new("no/such/file.yaml")).unwrap_err();
    assert!(e.unreadable);
    assert!(e.to_string().starts_with("no/such/file.yaml: cannot read"));
}

#[test]
fn refuses_what_it_cannot_do() {
    one_error("keys: {provider: local, file: keyring}", "in this version");
    for rule in [
        "inject: {sse: AES256}",
        "encrypt: {sse: AES256}",
        "evaluate: aws",
    ] {
        let got = errors(&format!("{STORE}rules: [{{bucket: a, {rule}}}]"));
        assert!(
            got.len() == 1 && got[0].contains("not available"),
            "{got:?}"
        );
    }
    let got = errors("store: {endpoint: 'http://h', credentials: aws}\n");
    assert!(
        got.len() == 1 && got[0].contains("not available in this version"),
        "{got:?}"
    );
}

#[test]
fn single_errors() {
    for (more, expect) in [
        ("account: '123'", "12 digits"),
        ("listen: []", "at least one"),
        (
            "listen: [{address: '127.0.0.1:1'}, {address: '127.0.0.1:1'}]",
            "is taken by",
        ),
        (
            "listen: [{address: '0.0.0.0:1'}, {address: '127.0.0.1:1'}]",
            "is taken by",
        ),
        (
            "listen: [{address: '127.0.0.1:1'}]\nadmin: {address: '127.0.0.1:1'}",
            "is taken by 127.0.0.1:1, where clients connect",
        ),
        (
            "listen: [{address: '127.0.0.1:1', tls: {cert: no.pem, key: Cargo.toml}}]",
            "cannot read no.pem",
        ),
        (
            "listen: [{address: '127.0.0.1:1', tls: {cert: no.pem, key: Cargo.toml, min_version: '1.2', client_auth: none}}]",
            "cannot read no.pem",
        ),
        (
            "clients: [{access_key: a, principal: app}]",
            "is not the ARN of a principal",
        ),
        (
            "clients: [{access_key: 'a/b', principal: 'arn:aws:iam::111122223333:root'}]",
            "is not an access key",
        ),
        (
            "clients: [{access_key: a, principal: 'arn:aws:iam::111122223333:root'}, {access_key: a, principal: 'arn:aws:iam::111122223333:root'}]",
            "is there twice",
        ),
        ("policies: [no.json]", "cannot read no.json"),
        (
            "policies: [config/policies/tls-only.json, config/policies/tls-only.json]",
            "is there twice",
        ),
        ("base_domains: [-x]", "is not a host name"),
        ("base_domains: [a.b, A.B]", "is there twice"),
        (
            "base_domains: [a.b, x.a.b]",
            "and a.b stand within each other",
        ),
        (
            "base_domains: [x.a.b, a.b]",
            "and x.a.b stand within each other",
        ),
        ("hosts: ['a:80']", "is not a host name or address"),
        (
            "trusted_proxies: [10.0.0.0/40]",
            "is not an address or network",
        ),
        ("limits: {header_bytes: 64KB}", "KiB, MiB or GiB"),
        ("limits: {header_bytes: 0}", "refuses every request"),
        ("limits: {linger: {time: null}}", "cannot be null"),
        ("limits: {requests: 0}", "would refuse everything"),
        ("limits: {header_count: -1}", "whole number"),
        (
            "audit: {file: no/such/folder/audit.jsonl}",
            "does not exist",
        ),
        ("audit: {when_blocked: wait}", "is not one of refuse, count"),
        ("denial: {a: b}", "is a map, not a text"),
        ("continue_timeout: [1]", "is a list, not a text"),
        ("sse_c_over_http: maybe", "is not one of refuse, allow"),
        ("authorize: yes", "is not one of true, false"),
        ("shutdown: 3", "is a number, not a map"),
    ] {
        one_error(more, expect);
    }
    for (store, expect) in [
        ("{}", "endpoint is missing"),
        (
            "{endpoint: 'http://h', tls: {server_name: h}}",
            "the endpoint is http://",
        ),
        (
            "{endpoint: 'https://h', tls: {cert: Cargo.toml}}",
            "go together",
        ),
        (
            "{endpoint: 'http://h', addressing: host}",
            "is not one of path, virtual",
        ),
        ("{endpoint: 'http://h', region: 'a b'}", "is not a region"),
    ] {
        let got = errors(&format!("store: {store}\n{RULE}"));
        assert!(got.len() == 1 && got[0].contains(expect), "{got:?}");
    }
    let got = errors(&format!("{STORE}rules: [{{bucket: 'a/b'}}, null]"));
    assert!(
        got.len() == 2 && got[0].contains("is not a bucket's name"),
        "{got:?}"
    );
}

#[test]
fn single_errors_of_listeners_and_clients() {
    for (more, expect) in [
        (
            "listen: [{address: '127.0.0.1:1', proxy_protocol: true}]",
            "trusted_proxies names nobody",
        ),
        (
            "listen: [{address: '127.0.0.1:1', serve: metrics}]",
            "is not one of all, health",
        ),
        (
            "listen: [{address: '127.0.0.1:0'}, {address: '127.0.0.1:1'}]",
            "port 0 is for a single listener",
        ),
        (
            "clients: [{certificate: 'a b', principal: 'arn:aws:iam::111122223333:root'}]",
            "is not a certificate's name",
        ),
        (
            "clients: [{certificate: a, access_key: b, principal: 'arn:aws:iam::111122223333:root'}]",
            "stands beside an access key",
        ),
        (
            "clients: [{certificate: a, principal: 'arn:aws:iam::111122223333:root'}, {certificate: A, principal: 'arn:aws:iam::111122223333:root'}]",
            "is there twice",
        ),
    ] {
        one_error(more, expect);
    }
}

#[test]
fn policies_fail_with_the_rest() {
    let folder = Folder::new("policies");
    let level = POLICY.replace("arn:aws:s3:::*/*", "arn:aws:s3:::bucket");
    folder.write("level.json", &level);
    folder.write("broken.json", "{\n\"Statement\": [\n}");
    folder.write("short.yaml", "bucket: a\nrequire: AES257\n");
    folder.write("other.yaml", "hello: world\n");
    let text = "\
moed: x
store: {endpoint: 'http://h'}
policies: [level.json, broken.json, short.yaml, other.yaml]
rules:
- bucket: a
  policy: {Statement: [{Effect: deny, Principal: '*', Action: 's3:Foo', Resource: 'arn:aws:s3:::a'}]}
- bucket: b
  require: aes256
  deny: [kms]
  tls: 1.4
- {bucket: c, require: aws:kms, deny: [aws:kms]}
- {bucket: d, require: {sse: AES256, key: x}}
- {bucket: e, require: '${NOPE}'}
";
    let errors = Config::parse(&folder.0.join("sealgate.yaml"), text, &env).unwrap_err();
    let got = errors.to_string();
    assert!(got.lines().next().unwrap().contains("moed"), "{got}");
    for expect in [
        "line 1: moed: is not a field",
        "level.json: line 1: statement 1 (D): Action does not apply to any resource(s) in statement",
        "broken.json: ",
        "short.yaml: `AES257` is no encryption",
        "other.yaml: line 1: Policies must be valid JSON",
        "line 6: rules[0].policy: statement 1: Invalid effect: deny",
        "line 8: rules[1].require: `aes256` is no encryption",
        "line 9: rules[1].deny: `kms` is no encryption",
        "line 10: rules[1].tls: `tls: 1.4` is no version",
        "line 11: rules[2]: `aws:kms` is both required and denied",
        "line 12: rules[3].require: unknown key `key`",
        "line 13: rules[4].require: the environment variable NOPE is not set",
    ] {
        assert!(
            got.lines().any(|l| l.contains(expect)),
            "{expect} in\n{got}"
        );
    }
}

#[test]
fn short_forms_are_about_their_rule() {
    let folder = Folder::new("scope");
    folder.write("short.yaml", "bucket: other\nrequire: AES256\n");
    let text =
        format!("{STORE}rules: [{{bucket: 'b*', prefix: x/, policy: short.yaml, tls: '1.2'}}]");
    let (config, warnings) = Config::parse(&folder.0.join("sealgate.yaml"), &text, &env).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let resource = |source: &Option<PolicySource>| {
        let policy = &source.as_ref().unwrap().policy;
        policy.document().statements[0].resource.patterns.clone()
    };
    assert_eq!(resource(&config.rules[0].policy), ["arn:aws:s3:::b*/x/*"]);
    assert_eq!(resource(&config.rules[0].short), ["arn:aws:s3:::b*/x/*"]);
}

#[test]
fn policies_of_other_buckets() {
    let folder = Folder::new("others");
    folder.write("a.json", &POLICY.replace(":::*/*", ":::a/*"));
    let text =
        format!("{STORE}rules: [{{bucket: b, policy: a.json}}, {{bucket: 'a*', policy: a.json}}]");
    let (_, warnings) = Config::parse(&folder.0.join("sealgate.yaml"), &text, &env).unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0]
            .to_string()
            .contains("rules[0].policy: says nothing here"),
        "{warnings:?}"
    );
}

#[test]
fn secrets_stay_out_of_errors() {
    let text = "store: {endpoint: 'http://u:hunter2@h'}\nclients: [{access_key: a, secret_key: 'hunter2${x y}', principal: hm}]";
    let got = errors(text).join("\n");
    assert!(
        got.lines().count() == 3 && !got.contains("hunter2"),
        "{got}"
    );
}

#[test]
fn warns() {
    assert!(warnings(STORE)[0].contains("no rules"));
    for (more, expect) in [
        ("limits: {xml_bytes: null}", "without a bound"),
        (
            "limits: {connections: 200}",
            "connections_per_source is 1000",
        ),
        ("limits: {requests: 1000}", "requests_per_source is 1000"),
        ("audit: {stdout: false}", "goes nowhere"),
        ("admin: {address: '0.0.0.0:9090'}", "not a loopback"),
        ("trusted_proxies: [0.0.0.0/0]", "trusts every address"),
        (
            "clients: [{access_key: a, secret_key: b, principal: 'arn:aws:iam::111122223333:root'}]",
            "checked by the store, not here",
        ),
    ] {
        let got = warnings(&with(more));
        assert!(got.len() == 1 && got[0].contains(expect), "{more}: {got:?}");
    }
}

#[test]
fn rules_that_never_apply() {
    let got = warnings(&format!(
        "{STORE}rules:\n- {{bucket: 'a*', prefix: x/}}\n- {{bucket: ab, prefix: x/y}}\n- {{bucket: ab}}\n- {{bucket: '*'}}\n- {{bucket: c}}\n"
    ));
    assert_eq!(got.len(), 2, "{got:?}");
    assert!(
        got[0].contains("line 4: rules[1]: never applies: rules[0] (bucket a*, prefix x/)"),
        "{got:?}"
    );
    assert!(got[1].contains("line 7: rules[4]"), "{got:?}");
}

#[test]
fn many_errors_end() {
    let text = format!("{STORE}rules:\n{}", "- {buket: a}\n".repeat(2000));
    assert_eq!(errors(&text).len(), 200);
}

proptest! {
    #[test]
    fn never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn never_panics_on_fields(
        name in "(listen|store|rules|limits|audit|clients|policies|admin|shutdown)",
        value in "[\\[\\]{}:,'\"a-c0-2 $&*!\n-]{0,40}",
    ) {
        let _ = parse(&format!("{name}: {value}"));
    }
}

#[cfg(feature = "gate")]
#[test]
fn certificates_are_read() {
    let folder = Folder::new("certificates");
    folder.certificate("a", 30);
    folder.certificate("b", 30);
    folder.certificate("old", -1);
    folder.write("empty", "");
    let path = folder.write("sealgate.yaml", "");
    let read = |tls: &str| {
        let text = format!("{STORE}listen: [{{address: '127.0.0.1:1', tls: {{{tls}}}}}]\n{RULE}");
        match Config::parse(&path, &text, &env) {
            Ok((_, warnings)) => warnings.iter().map(ToString::to_string).collect(),
            Err(errors) => errors
                .problems
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
        }
    };
    assert_eq!(read("cert: a.pem, key: a.key"), Vec::<String>::new());
    for (tls, field, message) in [
        (
            "cert: a.pem, key: b.key",
            "listen[0].tls.key",
            "does not fit",
        ),
        (
            "cert: a.key, key: a.key",
            "listen[0].tls.cert",
            "no certificate in PEM",
        ),
        (
            "cert: a.pem, key: a.pem",
            "listen[0].tls.cert",
            "no private key in PEM",
        ),
        (
            "cert: a.pem, key: empty",
            "listen[0].tls.key",
            "no private key in PEM",
        ),
        (
            "cert: old.pem, key: old.key",
            "listen[0].tls.cert",
            "expired on 20",
        ),
        (
            "cert: a.pem, key: a.key, client_ca: empty",
            "listen[0].tls.client_ca",
            "no certificate",
        ),
        (
            "cert: a.pem, key: a.key, client_auth: required",
            "listen[0].tls.client_auth",
            "needs client_ca",
        ),
        (
            "cert: a.pem, key: a.key, client_ca: a.pem, client_auth: none",
            "listen[0].tls.client_auth",
            "no effect",
        ),
        (
            "cert: a.pem, key: a.key, certificates: [{cert: b.pem, key: a.key}]",
            "listen[0].tls.certificates[0].key",
            "does not fit",
        ),
    ] {
        let got = read(tls);
        assert!(
            got.len() == 1 && got[0].contains(&format!("{field}: ")) && got[0].contains(message),
            "{tls}: {got:?}"
        );
    }
    let both = read(
        "cert: a.pem, key: b.key, min_version: '1.1', certificates: [{cert: empty, key: a.key}]",
    );
    assert_eq!(both.len(), 3, "{both:?}");
    let store = |tls: &str| {
        let text = format!("store: {{endpoint: 'https://h', tls: {{{tls}}}}}\n{RULE}");
        Config::parse(&path, &text, &env)
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    folder.write(
        "mixed.pem",
        &["a.pem", "a.key"]
            .map(|name| fs::read_to_string(folder.0.join(name)).unwrap())
            .concat(),
    );
    assert_eq!(store("ca: a.pem, cert: a.pem, key: a.key"), Ok(()));
    assert!(
        store("ca: mixed.pem")
            .unwrap_err()
            .contains("more than certificates")
    );
    assert!(
        store("cert: a.pem, key: b.key")
            .unwrap_err()
            .contains("does not fit")
    );
}

#[test]
fn the_stores_credentials_are_never_shown() {
    let (config, warnings) = parse(
        "store: {endpoint: 'http://h', credentials: {access_key: AK, secret_key: '${APP_SECRET}'}}\nrules: [{bucket: a, require: any}]\n",
    )
    .unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let credentials = config.store.credentials.as_ref().unwrap();
    assert_eq!(credentials.access_key, "AK");
    assert!(config.notes().is_empty());
    for text in [format!("{config:?}"), config.masked().to_string()] {
        assert!(text.contains("AK") && text.contains("***"), "{text}");
        assert!(!text.contains(credentials.secret_key.reveal()), "{text}");
    }
    for (wrong, expect) in [
        ("hunter2", "must be {access_key"),
        ("{access_key: AK}", "secret_key"),
        ("{access_key: AK, secret_key: ''}", "is empty"),
        ("{access_key: A/K, secret_key: s}", "not an access key"),
    ] {
        let got = errors(&format!(
            "store: {{endpoint: 'http://h', credentials: {wrong}}}\n"
        ));
        assert!(
            got.len() == 1 && got[0].contains(expect),
            "{wrong}: {got:?}"
        );
        assert!(!got[0].contains("hunter2"), "{got:?}");
    }
}

#[test]
fn says_what_goes_without_credentials() {
    for (rules, said) in [
        ("[{bucket: a}]", 0),
        ("[{bucket: a, tls: '1.2', deny: [sse-c]}]", 0),
        ("[{bucket: a, require: any}]", 1),
        (
            "[{bucket: a, require: any}, {bucket: b, require: AES256}]",
            1,
        ),
        ("[{bucket: a, require: any, mode: report}]", 0),
        ("[{bucket: a, require: any, unconfirmed: report}]", 0),
    ] {
        let (config, _) = parse(&format!("{STORE}rules: {rules}\n")).unwrap();
        let notes = config.notes();
        assert_eq!(notes.len(), said, "{rules}: {notes:?}");
        assert!(notes.iter().all(|n| n.contains("store.credentials")));
    }
}
