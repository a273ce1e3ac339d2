//! The two requests of the demo, sent by hand so that each step can be seen.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, SystemTime},
};

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::{DemoError, io, store};

const REGION: &str = "us-east-1";
const SSE: (&str, &str) = ("x-amz-server-side-encryption", "AES256");

/// Sends a PUT that must be refused before its body, then one that must be accepted.
///
/// # Errors
/// One of them did not go as it must.
pub fn both(proxy: SocketAddr, bucket: &str) -> Result<(), DemoError> {
    let body = vec![b'x'; 1 << 20];
    let refused = put(proxy, &format!("/{bucket}/refused.bin"), &[], &body)?;
    refused.show("1. a PUT without an encryption header", body.len());
    if refused.status != 403 || refused.continued || refused.sent != 0 {
        return Err(DemoError::Unexpected(format!(
            "the PUT without encryption must get 403 before its body; it got {} after {} body bytes",
            refused.status, refused.sent
        )));
    }
    let accepted = put(proxy, &format!("/{bucket}/accepted.bin"), &[SSE], &body)?;
    accepted.show(
        "2. the same with x-amz-server-side-encryption: AES256",
        body.len(),
    );
    if accepted.status != 200 || accepted.sent != body.len() {
        return Err(DemoError::Unexpected(format!(
            "the PUT with encryption must get 200; it got {}",
            accepted.status
        )));
    }
    println!(
        "The embedded store is a toy that encrypts nothing and confirms nothing: `unconfirmed: report` lets its answer pass here."
    );
    Ok(())
}

struct Outcome {
    status: u16,
    continued: bool,
    sent: usize,
    answer: String,
}

impl Outcome {
    fn show(&self, title: &str, announced: usize) {
        println!("{title}");
        println!("   Expect: 100-continue, Content-Length: {announced}");
        if self.continued {
            println!("   <- 100 Continue");
        }
        println!("   {} of {announced} body bytes left the client", self.sent);
        for line in self.answer.lines() {
            println!("   <- {line}");
        }
        println!();
    }
}

/// One PUT that waits for the 100 as RFC 9110 section 10.1.1 has a client do.
fn put(
    proxy: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Result<Outcome, DemoError> {
    let failed = "the request could not be sent";
    let mut stream = TcpStream::connect(proxy).map_err(io(failed))?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .map_err(io(failed))?;
    let head = signed_head(proxy, path, headers, body);
    stream.write_all(head.as_bytes()).map_err(io(failed))?;
    let mut answer = read_head(&mut stream)?;
    let continued = answer.starts_with("HTTP/1.1 100");
    let mut sent = 0;
    if continued {
        stream.write_all(body).map_err(io(failed))?;
        sent = body.len();
        answer = read_head(&mut stream)?;
    }
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let length = answer
        .lines()
        .filter_map(|l| l.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, n)| n.parse::<u64>().ok())
        .unwrap_or(0);
    let mut text = String::new();
    stream
        .take(length)
        .read_to_string(&mut text)
        .map_err(io("the answer could not be read"))?;
    Ok(Outcome {
        status,
        continued,
        sent,
        answer: answer + &text,
    })
}

fn read_head(stream: &mut TcpStream) -> Result<String, DemoError> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        let n = stream
            .read(&mut byte)
            .map_err(io("the answer could not be read"))?;
        if n == 0 {
            break;
        }
        head.extend_from_slice(&byte[..n]);
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

/// A request's head with Signature Version 4 in its `Authorization` header.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>
fn signed_head(host: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
    let now = jiff::Timestamp::try_from(SystemTime::now()).unwrap_or_default();
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let payload = hex(&Sha256::digest(body));
    let host = host.to_string();
    let mut signed = vec![
        ("host", host.as_str()),
        ("x-amz-content-sha256", payload.as_str()),
        ("x-amz-date", time.as_str()),
    ];
    signed.extend_from_slice(headers);
    signed.sort_unstable();
    let lines = joined(&signed, ":", "\n");
    let names = signed.iter().map(|(n, _)| *n).collect::<Vec<_>>().join(";");
    let canonical = format!("PUT\n{path}\n\n{lines}\n{names}\n{payload}");
    let scope = format!("{day}/{REGION}/s3/aws4_request");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        hex(&Sha256::digest(canonical))
    );
    let key = [day, REGION, "s3", "aws4_request"].iter().fold(
        format!("AWS4{}", store::SECRET_KEY).into_bytes(),
        |key, part| hmac(&key, part),
    );
    let signature = hex(&hmac(&key, &to_sign));
    let fields = joined(&signed, ": ", "\r\n");
    format!(
        "PUT {path} HTTP/1.1\r\n{fields}Content-Length: {}\r\nExpect: 100-continue\r\nUser-Agent: sealgate-demo\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}\r\n\r\n",
        body.len(),
        store::ACCESS_KEY
    )
}

/// Header lines.
fn joined(fields: &[(&str, &str)], between: &str, after: &str) -> String {
    fields
        .iter()
        .flat_map(|(name, value)| [name, between, value, after])
        .collect()
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    // HMAC takes keys of any length, so this cannot fail; an empty result would only fail the demo.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}
