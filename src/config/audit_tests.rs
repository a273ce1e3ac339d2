#![allow(clippy::unwrap_used)]

use super::tests::{one_error, parse, with};
use super::*;

#[test]
fn single_errors() {
    for (more, expect) in [
        (
            "audit: {rotate: {bytes: 1MiB}}",
            "there is none: give audit.file",
        ),
        (
            "audit: {file: a, rotate: 3}",
            "is a number, not a map (of bytes, time, keep)",
        ),
        (
            "audit: {file: a, rotate: {size: 1MiB}}",
            "known here: bytes, time, keep",
        ),
        ("audit: {file: a, rotate: {bytes: 1MB}}", "KiB, MiB or GiB"),
        ("audit: {file: a, rotate: {bytes: 0}}", "null is no bound"),
        ("audit: {file: a, rotate: {time: 1d}}", "ms, s, m or h"),
        ("audit: {file: a, rotate: {time: 0s}}", "null is no bound"),
        ("audit: {file: a, rotate: {keep: 0}}", "null is no bound"),
        ("audit: {file: a, rotate: {keep: -1}}", "whole number"),
        (
            "audit: {file: a, rotate: {bytes: null, time: null}}",
            "never rotates",
        ),
        (
            "audit: {socket: no/such/folder/audit.sock}",
            "does not exist",
        ),
        ("audit: {socket: /dev/null}", "is not a Unix socket"),
        ("audit: {socket: [a]}", "is a list, not a text"),
    ] {
        one_error(more, expect);
    }
}

#[test]
fn where_stdout_goes() {
    let audit = |more: &str| parse(&with(more)).unwrap().0.audit.stdout;
    assert!(audit("audit: {}"));
    assert!(!audit("audit: {file: a.jsonl}"));
    assert!(audit("audit: {file: a.jsonl, stdout: true}"));
    assert!(!audit("audit: {socket: a.sock}"));
}

#[test]
fn rotation_is_asked_for() {
    let rotate = |more: &str| parse(&with(more)).unwrap().0.audit.rotate;
    assert_eq!(rotate("audit: {file: a.jsonl}"), None);
    assert_eq!(rotate("audit: {file: a.jsonl, rotate: null}"), None);
    let all = "audit: {file: a.jsonl, rotate: {}}";
    assert_eq!(rotate(all), Some(Rotate::default()));
    let keep = "audit: {file: a.jsonl, rotate: {keep: 3}}";
    let three = Some(Rotate {
        keep: Some(3),
        ..Rotate::default()
    });
    assert_eq!(rotate(keep), three);
}

#[test]
fn a_socket_s_path_has_an_end() {
    let long = "a".repeat(120);
    one_error(&format!("audit: {{socket: {long}}}"), "107 bytes");
    one_error(&format!("upgrade_socket: {long}"), "107 bytes");
    one_error("upgrade_socket: no/such/folder/up.sock", "does not exist");
    one_error("upgrade_socket: /dev/null", "is not a Unix socket");
    one_error("upgrade_socket: ''", "is no path");
}
