//! Sealgate's own requests to the store: small, signed with `store.credentials`, their answers bounded.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BytesMut};
use pingora::protocols::Stream;
use pingora_timeout::timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::store::Store;
use crate::{
    config::{Addressing, Config, Credentials},
    http1::{
        chunked::ChunkedScanner,
        fields::{Field, fields},
        response::{Framing, ResponseHead, examine},
    },
    s3::query::encode,
    sigv4::sign::{Payload, Signer, ToSign, amz_date},
};

/// Bytes of an answer's head, and of its body, at most.
const MOST_HEAD: usize = 64 * 1024;
const MOST_BODY: usize = 1024 * 1024;
/// Interim (1xx) responses at most.
const MOST_INTERIM: u8 = 16;

/// How Sealgate speaks to the store on its own account.
pub struct Own {
    credentials: Credentials,
    region: String,
    authority: String,
    addressing: Addressing,
    within: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The store cannot be reached.
    #[error("the store cannot be reached: {0}")]
    Connect(String),
    /// It broke off, or what it says is no HTTP/1.
    #[error("the store broke off, or does not speak HTTP/1: {0}")]
    Broken(String),
    /// What is asked cannot be said.
    #[error("a header of the question would hold a control character")]
    Header,
    /// It took longer than `store.response_timeout`.
    #[error("the store did not answer within store.response_timeout")]
    Silent,
}

/// A question about one key, or a change of it.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    /// The method.
    pub method: &'a str,
    /// The bucket.
    pub bucket: &'a str,
    /// The key, decoded.
    pub key: &'a [u8],
    /// The query, encoded, without `?`.
    pub query: &'a str,
    /// Headers besides those of the signature. They may hold an SSE-C key.
    pub headers: &'a [(&'a str, &'a str)],
}

/// An answer.
pub struct Told {
    /// The status.
    pub status: u16,
    head: BytesMut,
    /// The body, without its framing.
    pub body: BytesMut,
}

impl Told {
    /// Its fields, in their order.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        fields(&self.head)
    }

    /// The one value of a field, where it is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields().find(|field| field.is(name))?;
        std::str::from_utf8(field.value).ok()
    }

    /// Whether it did what it was asked.
    pub fn is_good(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

impl Own {
    /// As the configuration has it; `None` without credentials.
    pub fn of(config: &Config) -> Option<Self> {
        Some(Self {
            credentials: config.store.credentials.clone()?,
            region: config.store.region.clone(),
            authority: config.store.endpoint.authority(),
            addressing: config.store.addressing,
            within: config.store.response_timeout,
        })
    }

    /// Asks. What changes something takes a new connection: a kept one may turn out to be closed, and the store may have done it.
    ///
    /// # Errors
    /// There is no whole answer.
    pub async fn ask(&self, store: &Store, question: &Question<'_>) -> Result<Told, AskError> {
        let bytes = self.written(question)?;
        let to_head = question.method == "HEAD";
        let asked = async {
            if to_head
                && let Some(mut stream) = store.kept()
                && let Ok((told, keep)) = exchange(&mut stream, &bytes, to_head).await
            {
                if keep {
                    store.keep(stream);
                }
                return Ok(told);
            }
            let mut stream: Stream = store
                .connect()
                .await
                .map_err(|e| AskError::Connect(e.to_string()))?;
            let (told, keep) = exchange(&mut stream, &bytes, to_head).await?;
            if keep {
                store.keep(stream);
            }
            Ok(told)
        };
        timeout(self.within, asked)
            .await
            .unwrap_or(Err(AskError::Silent))
    }

    /// The request as it goes out.
    fn written(&self, question: &Question<'_>) -> Result<Vec<u8>, AskError> {
        let key = encode(question.key, true);
        let (host, path) = match self.addressing {
            Addressing::Path => (
                self.authority.clone(),
                format!("/{}/{key}", encode(question.bucket.as_bytes(), false)),
            ),
            Addressing::Virtual => (
                format!("{}.{}", question.bucket, self.authority),
                format!("/{key}"),
            ),
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or_default());
        let date = amz_date(now);
        let payload = Payload::Of(b"");
        let hash = payload.name();
        let mut headers = vec![
            ("host", host.as_str()),
            ("x-amz-content-sha256", &hash),
            ("x-amz-date", &date),
        ];
        headers.extend_from_slice(question.headers);
        // Values of a presigned query or of a document may hold what no header can.
        if headers
            .iter()
            .any(|(_, v)| v.bytes().any(|b| b.is_ascii_control()))
        {
            return Err(AskError::Header);
        }
        let signer = Signer {
            access_key: &self.credentials.access_key,
            secret_key: self.credentials.secret_key.reveal(),
            region: &self.region,
            service: "s3",
        };
        let authorization = signer.authorization(
            &ToSign {
                method: question.method,
                path: &path,
                query: question.query,
                headers: &headers,
                payload,
            },
            &date,
        );
        let mut out = format!("{} {path}", question.method);
        if !question.query.is_empty() {
            out.push('?');
            out.push_str(question.query);
        }
        out.push_str(" HTTP/1.1\r\n");
        for (name, value) in headers {
            out.push_str(name);
            out.push_str(": ");
            out.push_str(value);
            out.push_str("\r\n");
        }
        if matches!(question.method, "PUT" | "POST") {
            out.push_str("content-length: 0\r\n");
        }
        out.push_str("user-agent: sealgate\r\nauthorization: ");
        out.push_str(&authorization);
        out.push_str("\r\n\r\n");
        Ok(out.into_bytes())
    }
}

/// Sends a request and reads the answer; whether the connection can be kept.
async fn exchange(
    stream: &mut Stream,
    bytes: &[u8],
    to_head: bool,
) -> Result<(Told, bool), AskError> {
    let broken = |e: std::io::Error| AskError::Broken(e.to_string());
    stream.write_all(bytes).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut buffer = BytesMut::new();
    let head = read_head(stream, &mut buffer, to_head).await?;
    let raw = buffer.split_to(head.len);
    let mut body = BytesMut::new();
    let mut scanner = ChunkedScanner::default();
    loop {
        let done = match head.framing {
            Framing::None => true,
            Framing::Length(n) => {
                let left = usize::try_from(n).unwrap_or(usize::MAX) - body.len();
                body.extend_from_slice(&buffer.split_to(left.min(buffer.len())));
                body.len() as u64 == n
            }
            Framing::Chunked => {
                let used = scanner
                    .scan(&buffer, |piece| body.extend_from_slice(piece))
                    .map_err(|e| AskError::Broken(e.to_string()))?;
                buffer.advance(used);
                scanner.is_done()
            }
            Framing::Close => {
                body.extend_from_slice(&buffer.split());
                false
            }
        };
        if done {
            break;
        }
        if body.len() > MOST_BODY {
            return Err(AskError::Broken("its answer is too long".to_owned()));
        }
        if more(stream, &mut buffer).await? == 0 {
            if head.framing == Framing::Close {
                break;
            }
            return Err(AskError::Broken("it closed the connection".to_owned()));
        }
    }
    let keep = head.keep && buffer.is_empty();
    let told = Told {
        status: head.status,
        head: raw,
        body,
    };
    Ok((told, keep))
}

/// Reads up to the end of the final response's head, which is left in `buffer`.
async fn read_head(
    stream: &mut Stream,
    buffer: &mut BytesMut,
    to_head: bool,
) -> Result<ResponseHead, AskError> {
    let mut interim = 0;
    loop {
        match examine(buffer, MOST_HEAD, to_head).map_err(|e| AskError::Broken(e.to_string()))? {
            Some(head) if !head.is_interim() => return Ok(head),
            Some(head) if interim < MOST_INTERIM => {
                interim += 1;
                buffer.advance(head.len);
            }
            Some(_) => return Err(AskError::Broken("it answers without an end".to_owned())),
            None if more(stream, buffer).await? == 0 => {
                return Err(AskError::Broken("it closed the connection".to_owned()));
            }
            None => {}
        }
    }
}

async fn more(stream: &mut Stream, buffer: &mut BytesMut) -> Result<usize, AskError> {
    buffer.reserve(4096);
    stream
        .read_buf(buffer)
        .await
        .map_err(|e| AskError::Broken(e.to_string()))
}
