//! An event as one line of JSON, written by hand: the names and their order are fixed, and a line costs
//! little more than copying its bytes.

use std::io::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use super::clock::TimeText;
use super::event::{Continue, Event, Reason};
use crate::s3::Operation;

/// A name as it stands in a line, the comma before it and the colon after it in one piece.
macro_rules! name {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

/// The most bytes that are written of a `User-Agent`, of a method, of a store's id for a request, and of what went wrong: without a
/// bound one request could push many others' lines out of a file that is rotated by size.
const USER_AGENT: usize = 512;
const METHOD: usize = 32;
const ID: usize = 256;
const ERROR: usize = 2048;

/// What a line says beside its event.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The id of this start of the process: letters and digits.
    pub start: &'a str,
    /// The number of the line within it, from 1.
    pub seq: u64,
    /// Whether the file's earlier run did not end it.
    pub unclean: bool,
}

/// Appends the event's line, its newline included. Every fixed name is in it, `null` where it is absent.
///
/// Text is written as it is, controls and line separators escaped. What is not UTF-8 becomes U+FFFD; a key is always UTF-8.
pub fn write_line(event: &Event<'_>, stamp: Stamp<'_>, clock: &mut TimeText, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    clock.write(event.time, out);
    out.push(b'"');
    let id = |id| cut_text(id, ID);
    text(out, name!("request_id"), Some(id(event.request_id)));
    text(
        out,
        name!("store_request_id"),
        event.store_request_id.map(id),
    );
    text(
        out,
        name!("operation"),
        event.operation.map(Operation::name),
    );
    text(out, name!("bucket"), event.bucket);
    bytes(out, name!("key"), event.key);
    let method = Some(event.method).filter(|method| !method.is_empty());
    text(
        out,
        name!("method"),
        method.map(|method| cut_text(method, METHOD)),
    );
    number(out, name!("status"), event.status.map(u64::from));
    text(out, name!("code"), event.code);
    text(out, name!("decision"), Some(event.decision.as_str()));
    text(out, name!("reason"), event.reason.map(Reason::as_str));
    text(out, name!("policy"), event.policy);
    text(out, name!("sid"), event.sid);
    text(out, name!("condition"), event.condition);
    text(out, name!("rule"), event.rule);
    text(out, name!("principal"), event.principal);
    flag(out, name!("verified"), event.verified);
    address(out, event.source_ip);
    text(out, name!("tls"), event.tls);
    let agent = event.user_agent.map(|agent| cut(agent, USER_AGENT));
    bytes(out, name!("user_agent"), agent);
    text(out, name!("sse_requested"), event.sse_requested);
    text(out, name!("sse_confirmed"), event.sse_confirmed);
    text(out, name!("sse_injected"), event.sse_injected);
    flag(out, name!("sealed"), event.sealed);
    number(out, name!("bytes_in"), Some(event.bytes_in));
    number(out, name!("bytes_out"), Some(event.bytes_out));
    number(out, name!("bytes_refused"), Some(event.bytes_refused));
    number(out, name!("duration_us"), Some(micros(event.duration)));
    number(out, name!("store_us"), event.store_time.map(micros));
    if let Some((objects, denied)) = event.objects {
        number(out, name!("objects"), Some(u64::from(objects)));
        number(out, name!("objects_denied"), Some(u64::from(denied)));
    }
    if event.expect.is_some() {
        text(out, name!("continue"), event.expect.map(Continue::as_str));
    }
    if event.trace_id.is_some() {
        text(out, name!("trace_id"), event.trace_id);
    }
    if event.error.is_some() {
        let error = event.error.map(|error| cut_text(error, ERROR));
        text(out, name!("error"), error);
    }
    finish(stamp, out);
}

fn finish(stamp: Stamp<'_>, out: &mut Vec<u8>) {
    text(out, name!("start"), Some(stamp.start));
    number(out, name!("seq"), Some(stamp.seq));
    flag(out, name!("unclean"), stamp.unclean);
    out.extend_from_slice(b"}\n");
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn text(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    out.extend_from_slice(name.as_bytes());
    match value {
        None => out.extend_from_slice(b"null"),
        Some(value) => {
            out.push(b'"');
            escape(out, value);
            out.push(b'"');
        }
    }
}

fn bytes(out: &mut Vec<u8>, name: &str, value: Option<&[u8]>) {
    let Some(value) = value else {
        return text(out, name, None);
    };
    if let Ok(value) = std::str::from_utf8(value) {
        return text(out, name, Some(value));
    }
    out.extend_from_slice(name.as_bytes());
    out.push(b'"');
    for chunk in value.utf8_chunks() {
        escape(out, chunk.valid());
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
    out.push(b'"');
}

fn number(out: &mut Vec<u8>, name: &str, value: Option<u64>) {
    out.extend_from_slice(name.as_bytes());
    match value {
        None => out.extend_from_slice(b"null"),
        Some(value) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

fn flag(out: &mut Vec<u8>, name: &str, value: bool) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn address(out: &mut Vec<u8>, value: Option<IpAddr>) {
    out.extend_from_slice(name!("source_ip").as_bytes());
    match value {
        None => out.extend_from_slice(b"null"),
        Some(IpAddr::V4(ip)) => {
            out.push(b'"');
            for (i, octet) in ip.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                out.extend_from_slice(itoa::Buffer::new().format(octet).as_bytes());
            }
            out.push(b'"');
        }
        // A Vec takes all that is written to it.
        Some(IpAddr::V6(ip)) => drop(write!(out, "\"{ip}\"")),
    }
}

/// The first bytes of a text, without half a character at the end.
fn cut(text: &[u8], most: usize) -> &[u8] {
    let Some(head) = text.get(..most) else {
        return text;
    };
    match std::str::from_utf8(head) {
        Err(e) if e.error_len().is_none() => head.get(..e.valid_up_to()).unwrap_or(head),
        _ => head,
    }
}

/// The same of what is text.
fn cut_text(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// The bytes at which a text must be looked at: quotes, controls, and what may begin a control or line
/// separator further up (U+0080 to U+009F, U+2028, U+2029: terminals obey some, line readers split at others).
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    let mut i = 0;
    while i < 0x20 {
        table[i] = true;
        i += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table[0x7f] = true;
    table[0xc2] = true;
    table[0xe2] = true;
    table
};

fn escape(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = special(rest) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain);
        let taken = match *special {
            [b'"', ..] => {
                out.extend_from_slice(b"\\\"");
                1
            }
            [b'\\', ..] => {
                out.extend_from_slice(b"\\\\");
                1
            }
            [0xc2, second @ 0x80..=0x9f, ..] => {
                unicode(out, 0, second);
                2
            }
            [0xe2, 0x80, third @ (0xa8 | 0xa9), ..] => {
                unicode(out, 0x20, third - 0x80);
                3
            }
            [byte @ (0xc2 | 0xe2), ..] => {
                out.push(byte);
                1
            }
            [control, ..] => {
                unicode(out, 0, control);
                1
            }
            [] => 0,
        };
        rest = special.get(taken..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

/// Where the first special byte is, eight bytes at a time where they are plain ASCII.
fn special(text: &[u8]) -> Option<usize> {
    let look = |bytes: &[u8]| bytes.iter().position(|&b| SPECIAL[usize::from(b)]);
    let (words, rest) = text.as_chunks::<8>();
    for (i, word) in words.iter().enumerate() {
        if !is_plain(u64::from_ne_bytes(*word))
            && let Some(at) = look(word)
        {
            return Some(i * 8 + at);
        }
    }
    look(rest).map(|at| words.len() * 8 + at)
}

/// Whether all eight bytes are ASCII and neither a control, a quote nor a backslash.
fn is_plain(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    // The high bit of a byte is set where the byte is 0 (or a byte below it borrowed: never where none is 0).
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let control = word.wrapping_sub(0x20 * ONES) & !word & HIGH;
    let quote = zero(word ^ (0x22 * ONES));
    let backslash = zero(word ^ (0x5c * ONES));
    let delete = zero(word ^ (0x7f * ONES));
    (word & HIGH) | control | quote | backslash | delete == 0
}

fn unicode(out: &mut Vec<u8>, high: u8, low: u8) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\\u");
    for byte in [high, low] {
        out.push(HEX[usize::from(byte >> 4)]);
        out.push(HEX[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
#[path = "line_tests.rs"]
mod tests;
