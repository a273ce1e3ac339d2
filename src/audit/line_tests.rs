#![allow(clippy::unwrap_used)]

use std::time::UNIX_EPOCH;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::{Continue, Decision, Reason};
use crate::s3::Operation;

const STAMP: Stamp<'_> = Stamp {
    start: "0123456789abcdef",
    seq: 7,
    unclean: false,
};

/// The names that DESIGN fixes, in their order.
const FIXED: [&str; 31] = [
    "time",
    "request_id",
    "operation",
    "bucket",
    "key",
    "method",
    "status",
    "code",
    "decision",
    "policy",
    "sid",
    "condition",
    "rule",
    "principal",
    "verified",
    "source_ip",
    "tls",
    "user_agent",
    "sse_requested",
    "sse_confirmed",
    "sse_injected",
    "sealed",
    "bytes_in",
    "bytes_out",
    "bytes_refused",
    "duration_us",
    "store_us",
    "start",
    "seq",
    "unclean",
    "store_request_id",
];

fn line(event: &Event<'_>) -> String {
    let mut out = Vec::new();
    write_line(event, STAMP, &mut TimeText::default(), &mut out);
    let line = String::from_utf8(out).unwrap();
    assert_eq!(line.matches('\n').count(), 1);
    assert!(line.ends_with('\n'));
    line
}

fn json(event: &Event<'_>) -> Value {
    serde_json::from_str(&line(event)).unwrap()
}

fn full() -> Event<'static> {
    let mut event = Event::new(
        UNIX_EPOCH + Duration::from_micros(1_763_972_670_000_001),
        "REQ1",
        "PUT",
        Decision::Deny,
    );
    event.store_request_id = Some("S1");
    event.operation = Some(Operation::PutObject);
    event.bucket = Some("examplebucket");
    event.key = Some("ordner/\"ä\"\u{2028}.txt".as_bytes());
    event.status = Some(403);
    event.code = Some("AccessDenied");
    event.reason = Some(Reason::Policy);
    event.policy = Some("finance.json");
    event.sid = Some("DenyUnencrypted");
    event.condition = Some("Null s3:x-amz-server-side-encryption");
    event.rule = Some("rules[0]");
    event.principal = Some("arn:aws:iam::111122223333:user/app");
    event.source_ip = Some(IpAddr::from([127, 0, 0, 1]));
    event.tls = Some("1.3");
    event.user_agent = Some(b"aws-cli/1 \x1b[31m\xff");
    event.sse_requested = Some("aws:kms");
    event.bytes_in = 1;
    event.bytes_out = 2;
    event.bytes_refused = 3;
    event.duration = Duration::from_micros(1234);
    event.store_time = Some(Duration::from_micros(5));
    event.objects = Some((3, 1));
    event.expect = Some(Continue::Refused);
    event.error = Some("x");
    event
}

#[test]
fn a_full_line() {
    assert_eq!(
        line(&full()),
        concat!(
            r#"{"time":"2025-11-24T08:24:30.000001Z","request_id":"REQ1","store_request_id":"S1","operation":"PutObject","#,
            r#""bucket":"examplebucket","key":"ordner/\"ä\"\u2028.txt","method":"PUT","status":403,"code":"AccessDenied","#,
            r#""decision":"deny","reason":"policy","policy":"finance.json","sid":"DenyUnencrypted","#,
            r#""condition":"Null s3:x-amz-server-side-encryption","rule":"rules[0]","#,
            r#""principal":"arn:aws:iam::111122223333:user/app","verified":false,"source_ip":"127.0.0.1","tls":"1.3","#,
            r#""user_agent":"aws-cli/1 \u001b[31m"#,
            "\u{fffd}",
            r#"","sse_requested":"aws:kms","sse_confirmed":null,"sse_injected":null,"sealed":false,"#,
            r#""bytes_in":1,"bytes_out":2,"bytes_refused":3,"duration_us":1234,"store_us":5,"#,
            r#""objects":3,"objects_denied":1,"continue":"refused","error":"x","#,
            r#""start":"0123456789abcdef","seq":7,"unclean":false}"#,
            "\n"
        )
    );
}

#[test]
fn every_fixed_name_always() {
    let bare = json(&Event::new(UNIX_EPOCH, "r", "GET", Decision::Error));
    for name in FIXED {
        for value in [&bare, &json(&full())] {
            assert!(value.get(name).is_some(), "{name} in {value}");
        }
    }
    assert_eq!(bare["operation"], Value::Null);
    assert_eq!(bare["store_us"], Value::Null);
    assert_eq!(bare["reason"], Value::Null);
}

#[test]
fn bytes_that_are_no_text() {
    let mut event = full();
    event.user_agent = Some(b"a\xff/b");
    assert_eq!(json(&event)["user_agent"], "a\u{fffd}/b");
}

#[test]
fn long_agents_are_cut() {
    let mut event = full();
    let agent = format!("{}ä{}", "x".repeat(511), "y".repeat(100_000));
    event.user_agent = Some(agent.as_bytes());
    assert_eq!(json(&event)["user_agent"], "x".repeat(511));
}

#[test]
fn no_client_makes_a_line_long() {
    let long = "\u{1}".repeat(100_000);
    let mut event = full();
    event.method = &long;
    event.request_id = &long;
    event.store_request_id = Some(&long);
    event.user_agent = Some(long.as_bytes());
    event.error = Some(&long);
    // What the way to a line bounds already.
    event.bucket = Some(&long[..255]);
    event.key = Some(&long.as_bytes()[..crate::s3::address::MAX_KEY_BYTES]);
    assert_eq!(json(&event)["method"], "\u{1}".repeat(32));
    let line = line(&event);
    println!("{} bytes", line.len());
    assert!(line.len() < 28 << 10, "{}", line.len());
    event.method = &long[..0];
    assert_eq!(json(&event)["method"], Value::Null);
    let method = format!("{}ä", "M".repeat(31));
    event.method = &method;
    assert_eq!(json(&event)["method"], "M".repeat(31));
}

#[test]
fn ipv6() {
    let mut event = full();
    event.source_ip = Some("2001:db8::1".parse().unwrap());
    assert_eq!(json(&event)["source_ip"], "2001:db8::1");
}

proptest! {
    #[test]
    fn parses_back(
        texts in proptest::collection::vec(".{0,40}|[\\x00-\\xff\u{2028}\u{85}\"\\\\]{0,20}", 12),
        key in proptest::collection::vec(any::<u8>(), 0..60),
        numbers in any::<[u64; 3]>(),
        status in any::<u16>(),
        micros in 0_u64..4_000_000_000_000_000,
    ) {
        let mut event = full();
        event.request_id = &texts[0];
        event.bucket = Some(&texts[1]);
        event.method = &texts[2];
        event.code = Some(&texts[3]);
        event.policy = Some(&texts[4]);
        event.sid = Some(&texts[5]);
        event.condition = Some(&texts[6]);
        event.principal = Some(&texts[7]);
        event.user_agent = Some(texts[8].as_bytes());
        event.sse_requested = Some(&texts[9]);
        event.error = Some(&texts[10]);
        event.rule = Some(&texts[11]);
        event.key = Some(&key);
        event.status = Some(status);
        [event.bytes_in, event.bytes_out, event.bytes_refused] = numbers;
        event.duration = Duration::from_micros(micros);
        let line = line(&event);
        let breaks = line.trim_end().contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}');
        prop_assert!(!breaks);
        let got: Value = serde_json::from_str(&line).unwrap();
        for (name, text) in [
            ("request_id", 0), ("bucket", 1), ("method", 2), ("code", 3), ("policy", 4), ("sid", 5),
            ("condition", 6), ("principal", 7), ("user_agent", 8), ("sse_requested", 9), ("error", 10), ("rule", 11),
        ] {
            // A method that is not known is null, and one that is none is cut.
            let expect = if name == "method" { cut_text(&texts[text], METHOD) } else { &texts[text] };
            prop_assert_eq!(got[name].as_str().unwrap_or_default(), expect);
        }
        prop_assert_eq!(got["key"].as_str().unwrap(), String::from_utf8_lossy(&key));
        for (name, number) in ["bytes_in", "bytes_out", "bytes_refused"].into_iter().zip(numbers) {
            prop_assert_eq!(got[name].as_u64(), Some(number));
        }
        prop_assert_eq!(got["status"].as_u64(), Some(u64::from(status)));
        prop_assert_eq!(got["duration_us"].as_u64(), Some(micros));
    }
}

/// What a line costs: the best of many short runs, as others share the machine. The bar is wide, for unoptimised builds.
#[test]
fn a_line_is_cheap() {
    let mut event = full();
    event.key = Some(b"photos/2026/11/24/DSC_0001.jpg");
    event.user_agent = Some(
        b"aws-cli/1.44.0 md/Botocore#1.42.0 ua/2.1 os/linux#6.1 md/arch#x86_64 lang/python#3.11",
    );
    let mut out = Vec::with_capacity(4096);
    let mut clock = TimeText::default();
    let rounds = 1_000_u32;
    let best = (0..50)
        .map(|_| {
            let begin = std::time::Instant::now();
            for _ in 0..rounds {
                out.clear();
                write_line(&event, STAMP, &mut clock, &mut out);
            }
            begin.elapsed() / rounds
        })
        .min()
        .unwrap();
    println!("{best:?} a line of {} bytes", out.len());
    assert!(best < Duration::from_micros(20), "{best:?}");
}
