//! What loads only if it is meant, and what is said of the rest.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::Path;

use super::tests::{Folder, POLICY, RULE, STORE, env, errors, one_error, parse, warnings, with};
use super::{Config, stamp};

#[test]
fn nothing_is_no_value() {
    for field in [
        "require",
        "policy",
        "deny",
        "tls",
        "mode",
        "multipart",
        "authorize",
        "unconfirmed",
        "prefix",
        "inject",
    ] {
        let got = errors(&format!("{STORE}rules: [{{bucket: vault, {field}: }}]\n"));
        assert!(
            got.len() == 1 && got[0].contains(&format!("rules[0].{field}: is empty: give it")),
            "{field}: {got:?}"
        );
    }
    let got = errors(&format!("{STORE}rules: [{{bucket: , require: any}}]\n"));
    assert!(
        got.len() == 1 && got[0].contains("rules[0].bucket"),
        "{got:?}"
    );
    for more in [
        "policies:",
        "mode: ~",
        "unconfirmed: null",
        "account:",
        "denial:",
        "trusted_proxies:",
        "hosts:",
        "clients:",
        "limits:",
        "audit:",
        "shutdown:",
        "shutdown: {drain: }",
        "upgrade_socket:",
        "listen: [{address: '127.0.0.1:1', tls: }]",
        "audit: {file: }",
        "limits: {linger: }",
        "limits: {body_rate: {bytes: 1KiB, after: }}",
        "clients: [{access_key: a, secret_key: , principal: 'arn:aws:iam::111122223333:root'}]",
    ] {
        one_error(more, "is empty: give it a value, or leave the field out");
    }
    let got = errors(&format!("{STORE}rules:\n"));
    assert!(got.len() == 1 && got[0].contains("rules: is"), "{got:?}");
    let got = errors(&format!("store: {{endpoint: 'https://h', tls: }}\n{RULE}"));
    assert!(got.len() == 1 && got[0].contains("store.tls"), "{got:?}");
    // Where it means something.
    let text = with(
        "limits: {connections: null, requests: null, body_bytes: null, body_rate: null, idle_timeout: null, header_timeout: null, linger: {bytes: null}}\n\
         audit: {file: a.jsonl, rotate: {bytes: null}}",
    );
    assert!(warnings(&text).is_empty());
}

#[test]
fn nothing_in_a_short_form_is_no_value() {
    let folder = Folder::new("short-null");
    for text in [
        "require:\n",
        "require: null\ndeny: [sse-c]\n",
        "require: any\ndeny:\n",
        "require: any\ntls:\n",
        "require: any\nprefix:\n",
        "require: {sse: }\n",
        "require: {sse: aws:kms, key_ids: }\n",
        "require: {}\n",
    ] {
        folder.write("short.yaml", text);
        let text = format!("{STORE}rules: [{{bucket: b, policy: short.yaml}}]");
        let error = Config::parse(&folder.0.join("sealgate.yaml"), &text, &env).unwrap_err();
        assert!(error.to_string().contains("short.yaml: "), "{error}");
    }
}

#[test]
fn prefixes_and_buckets_that_hardly_match() {
    for (rule, expect) in [
        ("bucket: a, prefix: /secret/", "starts with '/'"),
        (
            "bucket: a, prefix: 'secret/*'",
            "'*' in it stands for itself",
        ),
        ("bucket: a, prefix: 'sec?'", "'?' in it"),
        ("bucket: a, prefix: 'se%63ret/'", "'%' in it"),
        ("bucket: Vault", "rules[0].bucket: has an upper-case letter"),
        ("bucket: my_vault", "or '_'"),
    ] {
        let got = warnings(&format!(
            "{STORE}rules: [{{{rule}, require: AES256}}, {{bucket: '*'}}]\n"
        ));
        assert!(got.len() == 1 && got[0].contains(expect), "{rule}: {got:?}");
    }
}

#[test]
fn policies_that_match_nothing_of_their_rule() {
    let folder = Folder::new("elsewhere");
    for (resource, rule, warned) in [
        ("vault/other/*", "bucket: vault, prefix: secret/", true),
        ("vault/secret/*", "bucket: vault, prefix: secret/", false),
        ("vault/secret/x", "bucket: vault, prefix: secret/", false),
        ("vault/*", "bucket: vault, prefix: secret/", false),
        ("*", "bucket: vault, prefix: secret/", false),
        ("v*", "bucket: vault, prefix: secret/", false),
        ("v*/other/*", "bucket: vault, prefix: secret/", false),
        ("w*/secret/*", "bucket: vault, prefix: secret/", true),
        ("vault1/*", "bucket: 'vault*'", false),
        (
            "vault/${aws:username}/*",
            "bucket: vault, prefix: secret/",
            false,
        ),
        (
            "vault/home/${aws:username}/*",
            "bucket: vault, prefix: secret/",
            true,
        ),
    ] {
        folder.write("p.json", &POLICY.replace("*/*", resource));
        let text = format!("{STORE}rules: [{{{rule}, policy: p.json}}]");
        let (_, got) = Config::parse(&folder.0.join("sealgate.yaml"), &text, &env).unwrap();
        assert_eq!(
            got.len(),
            usize::from(warned),
            "{resource}, {rule}: {got:?}"
        );
    }
}

#[test]
fn a_rule_that_reports_softens_the_policies_beside_it() {
    let folder = Folder::new("softened");
    folder.write("always.json", POLICY);
    folder.write("other.json", &POLICY.replace("*/*", "other/*"));
    let read = |policies: &str, more: &str, rule: &str| {
        let text =
            format!("{STORE}policies: [{policies}]\n{more}\nrules: [{{bucket: vault{rule}}}]");
        let (config, warnings) =
            Config::parse(&folder.0.join("sealgate.yaml"), &text, &env).unwrap();
        let notes = config.notes();
        let softened = notes.iter().any(|n| n.contains("only reported, too"));
        (
            warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
            softened,
        )
    };
    let (got, softened) = read("always.json", "", ", mode: report");
    assert!(softened && got.len() == 1, "{got:?}");
    assert!(
        got[0].contains("rules[0].mode: is report")
            && got[0].contains("(always.json) is only reported for this rule, too"),
        "{got:?}"
    );
    // The operator said it of everything: that wants no change, and is said.
    assert_eq!(read("always.json", "mode: report", ""), (Vec::new(), true));
    assert!(!read("always.json", "mode: report", ", mode: enforce").1);
    assert_eq!(
        read("other.json", "", ", mode: report"),
        (Vec::new(), false)
    );
}

#[test]
fn environment_is_not_repeated() {
    let secret = "wJalr/XUtnFEMI/K7+MDENG";
    let get = |name: &str| match name {
        "S" => Some(secret.to_owned()),
        "KEY" => Some("k7x".to_owned()),
        _ => None,
    };
    for more in [
        "unconfirmed: \"${S}\"",
        "unconfirmed: \"a${S}b\"",
        "unconfirmed: \"${KEY}\"",
        "denial: \"${KEY}${S}\"",
        "policies: [\"${S}\"]",
        "policies: [\"${KEY}\", \"${KEY}\"]",
        "audit: {file: \"no/${S}/a\"}",
        "listen: [{address: \"${S}\"}]",
        "hosts: [\"${S} \"]",
        "trusted_proxies: [\"${S}\"]",
        "clients: [{access_key: \"${S}\", secret_key: AKIA, principal: 'arn:aws:iam::111122223333:root'}]",
        "clients: [{access_key: AKIA, principal: \"${S}\"}]",
        "clients: [{certificate: \"${S} \", principal: \"${S}\"}]",
        "clients: [{access_key: wJalr/XUtnFEMI/K7+MDENG, secret_key: b, principal: 'arn:aws:iam::111122223333:root'}]",
        "clients: [{access_key: a, secret_key: {wJalr: wJalr/XUtnFEMI/K7+MDENG}, principal: 'arn:aws:iam::111122223333:root'}]",
    ] {
        let error = Config::parse(Path::new("s.yaml"), &with(more), &get).unwrap_err();
        let said = error.to_string();
        assert!(!said.contains("wJalr") && !said.contains("MDENG"), "{said}");
        assert!(!said.contains("\"k7x\""), "{said}");
    }
    for text in [
        "store: {endpoint: 'http://h', credentials: {access_key: wJalr/XUtnFEMI/K7+MDENG, secret_key: a}}\n",
        "store: {endpoint: 'http://h', credentials: {access_key: a, secret_key: [wJalr/XUtnFEMI]}}\n",
        "store: {endpoint: 'http://h', credentials: {wJalr/XUtnFEMI: a}}\n",
        "store: {endpoint: 'http://h', credentials: {access_key: a, secret_key:wJalr/XUtnFEMI}}\n",
        "store: {endpoint: 'http://h'}\nclients: [{access_key: a, wJalr/XUtnFEMI: b}]\n",
        "store: {endpoint: 'http://h', region: \"${S}\"}\n",
        "store: {endpoint: 'http://h'}\nrules: [{bucket: a, require: \"${S}\"}]\n",
        "store: {endpoint: 'http://h'}\nrules: [{bucket: a, require: {sse: \"${S}\", key_ids: [\"${S}\"]}}]\n",
        "store: {endpoint: 'http://h'}\nrules: [{bucket: a, tls: \"${S}\"}, {bucket: \"${S}\"}]\n",
    ] {
        let error = Config::parse(Path::new("s.yaml"), text, &get).unwrap_err();
        let said = error.to_string();
        assert!(!said.contains("wJalr") && !said.contains("MDENG"), "{said}");
    }
    // What another rule says is not repeated either.
    let rules = format!(
        "{STORE}rules: [{{bucket: a, prefix: \"${{S}}\"}}, {{bucket: a, prefix: \"${{S}}x\"}}]"
    );
    let (_, warnings) = Config::parse(Path::new("s.yaml"), &rules, &get).unwrap();
    let said = warnings[0].to_string();
    assert!(
        said.contains("prefix ${S})") && !said.contains("wJalr"),
        "{said}"
    );
    let error = Config::parse(Path::new("s.yaml"), &with("unconfirmed: \"a${S}b\""), &get);
    let said = error.unwrap_err().to_string();
    assert!(said.contains("\"a${S}b\" is not one of"), "{said}");
}

#[test]
fn numbers_are_texts_as_written() {
    let keys = ["0x10", "1e10", "1.50", "0123456789012345", "16", "+5"];
    let clients: Vec<_> = keys
        .iter()
        .map(|key| format!("{{access_key: {key}, principal: 'arn:aws:iam::111122223333:root'}}"))
        .collect();
    let (config, _) = parse(&with(&format!("clients: [{}]", clients.join(", ")))).unwrap();
    let got: Vec<_> = config
        .clients
        .iter()
        .map(|c| c.access_key.as_str())
        .collect();
    assert_eq!(got, keys);
    // As a version, too: 1.0 is not 1.
    assert!(parse(&format!("{STORE}rules: [{{bucket: a, tls: 1.0}}]")).is_ok());
    one_error("limits: {requests: 0x10}", "\"0x10\" is not a whole number");
    let (config, _) = parse(&with("authorize: True")).unwrap();
    assert!(config.rules[0].authorize);
}

#[test]
fn everybody_is_trusted() {
    for (nets, warned) in [
        ("0.0.0.0/0", true),
        ("'::/0'", true),
        ("0.0.0.0/1, 128.0.0.0/1", true),
        ("128.0.0.0/2, 10.0.0.0/8, 192.0.0.0/2, 0.0.0.0/1", true),
        ("'::ffff:0:0/96'", true),
        ("'::ffff:0:0/97', 128.0.0.0/1", true),
        ("'2000::/3'", true),
        ("'::/1'", true),
        ("0.0.0.0/1, 10.0.0.0/8, 'fd00::/8', '::1'", false),
        ("", false),
    ] {
        let got = warnings(&with(&format!("trusted_proxies: [{nets}]")));
        assert_eq!(got.len(), usize::from(warned), "{nets}: {got:?}");
        assert!(got.iter().all(|w| w.contains("trusts every address")));
    }
}

#[test]
fn files_are_looked_at_before_they_are_read() {
    let folder = Folder::new("stamps");
    let policy = folder.write("p.json", POLICY);
    let path = folder.write(
        "sealgate.yaml",
        &format!("{STORE}rules: [{{bucket: a, policy: p.json}}]\naudit: {{file: a.jsonl}}\n"),
    );
    let (config, _) = Config::load(&path).unwrap();
    let kept: Vec<_> = config.stamps.keys().collect();
    // The audit file grows all the time; that is no change of configuration.
    assert_eq!(kept, [&policy, &path]);
    assert!(
        config
            .stamps
            .iter()
            .all(|(path, seen)| stamp(path) == *seen && seen.is_some())
    );

    fs::remove_file(&policy).unwrap();
    let errors = Config::load(&path).unwrap_err();
    assert_eq!(errors.stamps.get(&policy), Some(&None));
    assert!(errors.stamps.contains_key(&path) && !errors.may_pass);
    fs::remove_file(&path).unwrap();
    let errors = Config::load(&path).unwrap_err();
    assert!(errors.unreadable && errors.stamps.get(&path) == Some(&None));
}

/// Time grows with the rules, not with their square; how fast this machine is does not matter.
#[test]
fn many_rules_load_in_time() {
    let text = |n: usize| {
        let rules: Vec<_> = (0..n)
            .map(|i| format!("- {{bucket: 'pad{i}', prefix: a/, require: AES256}}\n"))
            .collect();
        format!("{STORE}rules:\n{}", rules.concat())
    };
    let took = |n: usize| {
        let text = text(n);
        let before = std::time::Instant::now();
        let (config, _) = parse(&text).unwrap();
        assert_eq!(
            config.rules[n - 1].short.as_ref().unwrap().line,
            Some(n + 2)
        );
        before.elapsed()
    };
    let few = took(250).min(took(250));
    let many = took(4000).min(took(4000));
    // 16 times the rules; their square would be 256 times the work.
    assert!(many < few * 100, "{few:?}, {many:?}");
}
