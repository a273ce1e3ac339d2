//! Bodies that must be read before the request can be decided: `DeleteObjects`, `PutObjectTagging`, and POST forms up to their file.
//!
//! What was read is held back from the store until the decision, and then goes on byte for byte.

use std::{collections::HashMap, mem};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    answer::Answer,
    confirm::Demanded,
    held::Held,
    judge::{encryption, facts, message, requested, settle},
    upload::Asked,
};
use crate::{
    audit::{Decision, Reason},
    decide::{Object, Verdict},
    policy::BodyTags,
    s3::{
        self, ErrorCode, Operation, S3Error,
        form::{Boundary, Form, FormError, FormReader, Progress, Tail},
        xml::{DeleteRequest, Tagging, XmlError, render_all},
    },
    sigv4::{self, Claim},
    sse::SseRequest,
};

/// Reads a body as far as a decision needs it.
pub struct Inspector(State, Held);

/// The documents that decide something.
#[derive(Clone, Copy)]
enum Xml {
    Delete,
    Tagging,
}

enum State {
    /// XML, read whole.
    Xml {
        what: Xml,
        body: Vec<u8>,
        limit: usize,
    },
    Form {
        reader: FormReader,
        boundary: Boundary,
    },
    /// The form is decided; its file passes, watched for fields behind it.
    File(Tail),
    Done,
}

impl Inspector {
    /// For a `DeleteObjects` body of at most `limit` bytes.
    pub fn delete(limit: usize) -> Self {
        Self::xml(Xml::Delete, limit)
    }

    /// For a `PutObjectTagging` body of at most `limit` bytes.
    pub fn tagging(limit: usize) -> Self {
        Self::xml(Xml::Tagging, limit)
    }

    fn xml(what: Xml, limit: usize) -> Self {
        let state = State::Xml {
            what,
            body: Vec::new(),
            limit,
        };
        Self(state, Held::default())
    }

    /// For a POST form of at most `limit` bytes before its file.
    ///
    /// # Errors
    /// The `Content-Type` names no usable boundary.
    pub fn form(headers: &HeaderMap, limit: usize) -> Result<Self, FormError> {
        let content_type = headers
            .get(http::header::CONTENT_TYPE)
            .map_or(&b""[..], http::HeaderValue::as_bytes);
        let boundary = Boundary::from_content_type(content_type)?;
        let state = State::Form {
            reader: FormReader::new(boundary.clone(), limit),
            boundary,
        };
        Ok(Self(state, Held::default()))
    }

    /// Whether nothing of the body may go on yet.
    pub fn holds_back(&self) -> bool {
        matches!(self.0, State::Xml { .. } | State::Form { .. })
    }

    /// Whether the store may have all that it needs for writing, though the body has not ended.
    pub fn may_suffice(&self) -> bool {
        matches!(&self.0, State::File(tail) if tail.has_file())
    }

    /// Takes a piece of the body and gives what may go to the store now; `end`: it is the last one.
    ///
    /// # Errors
    /// The answer, where the request is refused; nothing more may go to the store then.
    pub fn take(&mut self, asked: Asked<'_, '_>, bytes: Bytes, end: bool) -> Result<Bytes, Answer> {
        let most = asked.shared.xml_bytes.max(asked.shared.form_bytes);
        if self.holds_back()
            && !self.1.grow(
                &asked.shared.process.held,
                asked.ctx.source_ip,
                bytes.len(),
                most,
            )
        {
            let error = S3Error::new(
                ErrorCode::SlowDown,
                "Too many request bodies are being looked at; please reduce your request rate.",
            );
            return Err(refused(error, Reason::Limit));
        }
        match mem::replace(&mut self.0, State::Done) {
            State::Xml {
                what,
                mut body,
                limit,
            } => {
                body.extend_from_slice(&bytes);
                if body.len() > limit {
                    return Err(refused(XmlError::TooLong { limit }.into(), Reason::Limit));
                }
                if end {
                    match what {
                        Xml::Delete => delete(asked, &body, limit)?,
                        Xml::Tagging => tagging(asked, &body, limit)?,
                    }
                    return Ok(body.into());
                }
                self.0 = State::Xml { what, body, limit };
                Ok(Bytes::new())
            }
            State::Form {
                mut reader,
                boundary,
            } => match reader.feed(&bytes).map_err(form_error)? {
                Progress::File(form) => {
                    decide_form(asked, &form)?;
                    let offset = form.file_offset();
                    let raw = reader.into_raw();
                    let mut tail = Tail::new(&boundary);
                    tail.feed(raw.get(offset..).unwrap_or_default())
                        .map_err(form_error)?;
                    self.0 = State::File(tail);
                    // What was held goes on now, and a file may take long.
                    self.1 = Held::default();
                    Ok(raw.into())
                }
                Progress::More if end => Err(form_error(reader.ended())),
                Progress::More => {
                    self.0 = State::Form { reader, boundary };
                    Ok(Bytes::new())
                }
            },
            State::File(mut tail) => {
                let had_file = tail.has_file();
                let fed = tail.feed(&bytes);
                // A piece that is refused does not go to the store: what came before it counts.
                if fed.is_ok() || had_file {
                    self.0 = State::File(tail);
                }
                fed.map_err(form_error)?;
                Ok(bytes)
            }
            State::Done => Ok(bytes),
        }
    }
}

/// Decides each object that the body names. All of them must pass: what the client signed cannot be sent on in part.
fn delete(asked: Asked<'_, '_>, body: &[u8], limit: usize) -> Result<(), Answer> {
    let Asked { shared, head, ctx } = asked;
    let request =
        DeleteRequest::parse(body, limit).map_err(|e| refused(e.into(), Reason::Request))?;
    let routed =
        s3::route(head, shared.served.domains()).map_err(|e| refused(e.into(), Reason::Request))?;
    let claim = sigv4::claim(&routed, head).map_err(|e| refused(e, Reason::Request))?;
    let facts = facts(shared, ctx, head, &routed, &claim, None);
    let mut messages = HashMap::new();
    let mut reason = None;
    for object in &request.objects {
        let verdict = shared.keeper.object(
            &facts,
            Object {
                key: object.key.as_bytes(),
                versioned: object.version_id.is_some(),
            },
        );
        match verdict {
            Verdict::Allow(_) => {}
            Verdict::Report(denial) => {
                // What denies another one is what the line tells.
                if reason.is_none() {
                    ctx.note(&denial);
                }
                ctx.decision = Decision::Report;
            }
            Verdict::Deny(denial) => {
                if reason.is_none() {
                    ctx.note(&denial);
                    reason = Some(denial.reason);
                }
                messages.insert(object.clone(), message(shared, &denial, facts.principal));
            }
        }
    }
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    ctx.objects = Some((count(request.objects.len()), count(messages.len())));
    match reason {
        None => Ok(()),
        Some(reason) => {
            let xml = render_all(&request, |object| messages.get(object).map(String::as_str));
            Err(Answer::document(xml, Decision::Deny, reason))
        }
    }
}

/// Decides on the tags that the body sets. All else was decided on the head, and is once more with them.
fn tagging(asked: Asked<'_, '_>, body: &[u8], limit: usize) -> Result<(), Answer> {
    let Asked { shared, head, ctx } = asked;
    let tagging = Tagging::parse(body, limit).map_err(|e| refused(e.into(), Reason::Request))?;
    let routed =
        s3::route(head, shared.served.domains()).map_err(|e| refused(e.into(), Reason::Request))?;
    let claim = sigv4::claim(&routed, head).map_err(|e| refused(e, Reason::Request))?;
    let mut facts = facts(shared, ctx, head, &routed, &claim, None);
    facts.tags = BodyTags::Read(tagging.tags());
    settle(shared, ctx, shared.keeper.request(&facts), facts.principal)
}

/// Decides a form by its fields, which stand for headers.
fn decide_form(asked: Asked<'_, '_>, form: &Form) -> Result<(), Answer> {
    let Asked { shared, head, ctx } = asked;
    let routed =
        s3::route(head, shared.served.domains()).map_err(|e| refused(e.into(), Reason::Request))?;
    let claim = sigv4::claim(&routed, head).and_then(|of_head| {
        let of_form = sigv4::claim_of_form(|name| form.field(name))?;
        sigv4::claim_of_post(&of_head, of_form)
    });
    // A wrong claim is refused below in any case; what nobody may do is said first.
    let (claim, wrong) = match claim {
        Ok(claim) => (claim, None),
        Err(error) => (Claim::ANONYMOUS, Some(error)),
    };
    let facts = facts(shared, ctx, head, &routed, &claim, Some(form.headers()));
    ctx.key = Some(form.key().as_bytes().to_vec());
    ctx.principal = facts.principal.map(|p| p.arn().to_owned());
    let request = SseRequest::of_form(form.headers()).map_err(|e| refused(e, Reason::Sse))?;
    ctx.sse_requested = requested(&request);
    let verdict = shared.keeper.form(&facts, form.key().as_bytes());
    settle(shared, ctx, verdict, facts.principal)?;
    if let Some(error) = wrong {
        return Err(refused(error, Reason::Request));
    }
    encryption(shared, ctx, Operation::PostObject, &request)?;
    ctx.demanded = Demanded::of(shared, &facts, &request, Some(form.key().as_bytes()));
    // A store that does not put the file's name into `${filename}` writes another key: both must be allowed.
    if let Some(literal) = form
        .field("key")
        .filter(|key| *key != form.key().as_bytes())
    {
        let verdict = shared.keeper.form(&facts, literal);
        settle(shared, ctx, verdict, facts.principal)?;
        let other = || Demanded::of(shared, &facts, &request, Some(literal));
        if let Some(demanded) = ctx.demanded.take().or_else(other) {
            ctx.demanded.insert(demanded).of_two_keys();
        }
    }
    Ok(())
}

fn form_error(error: FormError) -> Answer {
    refused(error.into(), Reason::Request)
}

fn refused(error: S3Error, reason: Reason) -> Answer {
    Answer::error(error, Decision::Error, reason)
}
