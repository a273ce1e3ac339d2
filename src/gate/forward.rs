//! From an admitted request to its answer: the store's, or ours where there is none.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use pingora::protocols::Stream;
use pingora_timeout::timeout;

use super::{
    answer::Answer,
    aws_chunked::Frame,
    client::Rest,
    confirm,
    door::read_some,
    exchange::{CONTINUE, Exchange, Failed, Fault, Request},
    parsed::Parsed,
    refusal,
    request::{Ctx, Seen},
    shared::Shared,
    store::ConnectError,
    upload::{Asked, Refused, Upload},
};
use crate::{
    audit::{Continue, Decision, Reason},
    http1::{
        fields::{Onward, onward},
        head::{Expectation, Head},
    },
    s3::{ErrorCode, S3Error},
};

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// It serves another request.
    Keep,
    /// It is closed: all that was sent has been read.
    Close,
    /// It is closed, and the client may still be sending.
    Linger,
    /// It is cut off: the response is incomplete, and must not look complete.
    Abort,
    /// The same, for the client does not take an answer of Sealgate's own.
    Untaken,
}

impl After {
    /// The end of a connection whose last request was read to its end.
    ///
    /// Closed at once only where the client has said that it sends no more: a request that it may have sent
    /// meanwhile would turn the close into a reset.
    pub fn of(rest: &Rest, head: &Head, parsed: &Parsed) -> Self {
        let last = !head.http11 || parsed.closes();
        if last && rest.ahead.is_empty() {
            Self::Close
        } else {
            Self::Linger
        }
    }
}

/// The process ends: the connection is cut off, whatever the client has got.
const CUT: Failed = Failed {
    fault: Fault::Cut,
    begun: true,
    unsent: None,
};

/// Sends a request on whose head stands at the start of `rest.ahead`; `keep`: the connection may be kept.
pub async fn forward(
    shared: &Shared,
    rest: &mut Rest,
    head: &Head,
    parsed: &Parsed,
    ctx: &mut Ctx,
    keep: bool,
) -> After {
    let raw = rest.ahead.split_to(head.skip + head.len);
    let mut up = BytesMut::with_capacity(raw.len() + 64 + rest.ahead.len());
    let how = Onward {
        target: ctx.origin_form.as_deref(),
        host: shared.store_authority.as_bytes(),
        http11: head.http11,
    };
    onward(&raw[head.skip..], how, &mut up);
    let mut upload = Upload::new(head.framing, ctx.inspector.take());
    if ctx.demanded.is_some() {
        upload.follow(Frame::of(parsed.head().headers));
    }
    let work = async {
        if shared.process.is_over() {
            return Err(CUT);
        }
        if upload.holds_back() {
            inspect(shared, rest, head, parsed, ctx, &mut upload, &mut up).await?;
        }
        let request = Request {
            shared,
            ctx: &mut *ctx,
            parsed,
            http11: head.http11 && !rest.stream.is_unchunked(),
            waiting: false,
            keep,
        };
        exchange(request, rest, head, &mut upload, up).await
    };
    let outcome = tokio::select! {
        biased;
        outcome = work => outcome,
        () = shared.process.is_cut() => {
            if ctx.left_open {
                let why = "the process ended before that, and the store may have done it, or may yet do it";
                confirm::leave_open(ctx, why);
            }
            Err(CUT)
        }
    };
    match outcome {
        Ok(true) => After::Keep,
        Ok(false) if upload.is_done() => After::of(rest, head, parsed),
        Ok(false) => After::Linger,
        Err(failed) => fail(shared, rest, parsed, ctx, &upload, failed).await,
    }
}

/// Reads a body as far as the decision needs it; what may go on then is appended to `up`.
async fn inspect(
    shared: &Shared,
    rest: &mut Rest,
    head: &Head,
    parsed: &Parsed,
    ctx: &mut Ctx,
    upload: &mut Upload,
    up: &mut BytesMut,
) -> Result<(), Failed> {
    let failed = |fault| Failed {
        fault,
        begun: false,
        unsent: None,
    };
    if head.expect == Expectation::Continue && head.http11 && rest.ahead.is_empty() {
        // The decision needs the body, so the store cannot be asked first.
        ctx.continued = Some(Continue::Timeout);
        refusal::send(shared, rest, CONTINUE)
            .await
            .map_err(|_| failed(Fault::Client))?;
    }
    let request = parsed.head();
    let started = Instant::now();
    // For all of it: what is held takes memory that others wait for.
    let longest = shared.door.idle_timeout;
    loop {
        let asked = Asked {
            shared,
            head: &request,
            ctx,
        };
        let mut piece = BytesMut::new();
        upload
            .take(&mut rest.ahead, asked, &mut piece)
            .map_err(|refused| failed(Fault::Refused(refused)))?;
        up.extend_from_slice(&piece);
        if !upload.holds_back() {
            return Ok(());
        }
        let slow = shared.body_rate.map_or(longest, |rate| {
            let worth = upload.bytes_read().checked_div(rate.bytes);
            rate.after
                .max(Duration::from_secs(worth.unwrap_or(u64::MAX)))
        });
        match timeout(
            longest.min(slow).saturating_sub(started.elapsed()),
            read_some(&mut rest.stream, &mut rest.ahead),
        )
        .await
        {
            Ok(Ok(n)) if n > 0 => {}
            Ok(_) => return Err(failed(Fault::Client)),
            Err(_) => return Err(failed(Fault::ClientSilent)),
        }
    }
}

/// Finds a connection to the store and uses it; whether the client's is kept.
async fn exchange(
    mut request: Request<'_>,
    rest: &mut Rest,
    head: &Head,
    upload: &mut Upload,
    mut up: BytesMut,
) -> Result<bool, Failed> {
    let shared = request.shared;
    request.ctx.store_started = Some(Instant::now());
    request.waiting = head.expect == Expectation::Continue && head.http11 && !upload.is_done();
    let mut kept = shared.store.kept();
    loop {
        let was_kept = kept.is_some();
        let mut stream = match kept.take() {
            Some(stream) => stream,
            None => connect(shared).await?,
        };
        let request = Request {
            waiting: request.waiting && request.ctx.continued.is_none(),
            ctx: &mut *request.ctx,
            ..request
        };
        let tried = Exchange::new(request, rest, &mut stream, upload, up)
            .run()
            .await;
        match tried {
            // A kept connection that was closed meanwhile. Where the store may have seen anything, nothing is sent twice.
            Err(Failed {
                fault: Fault::Store(_),
                unsent: Some(bytes),
                ..
            }) if was_kept => up = bytes,
            tried => {
                let outcome = tried?;
                if outcome.keep_store {
                    shared.store.keep(stream);
                }
                return Ok(outcome.keep_client);
            }
        }
    }
}

async fn connect(shared: &Shared) -> Result<Stream, Failed> {
    shared
        .store
        .connect()
        .await
        .map_err(|error: ConnectError| Failed {
            fault: Fault::Store(error.to_string()),
            begun: false,
            unsent: None,
        })
}

/// Tells the client what happened, or cuts it off where it has got a part of the response already.
async fn fail(
    shared: &Shared,
    rest: &mut Rest,
    parsed: &Parsed,
    ctx: &mut Ctx,
    upload: &Upload,
    failed: Failed,
) -> After {
    let bytes_in = upload.bytes_read();
    let answer = answer(failed.fault);
    if matches!(answer.reason, Reason::Store | Reason::Internal) {
        tracing::warn!(
            cause = answer.error.as_deref().unwrap_or_default(),
            operation = ctx.operation.map_or("unknown", |o| o.name()),
            request_id = ctx.id.as_str(),
            "a request could not be served"
        );
    }
    if failed.begun {
        if !ctx.is_recorded() {
            if answer.reason == Reason::Unconfirmed {
                ctx.note_answer(&answer);
            }
            ctx.decision = Decision::Error;
            let why = answer.error.as_deref().unwrap_or("the connection ended");
            ctx.end_by(answer.reason, Some(&format!("broken off: {why}")));
            if let Err(error) = ctx.record(shared, Seen::of(parsed, bytes_in)) {
                refusal::unrecorded(&error);
            }
        }
        return After::Abort;
    }
    if !upload.is_done() {
        ctx.bytes_refused = ctx.announced.saturating_sub(bytes_in);
    }
    match refusal::answer(shared, rest, parsed, ctx, &answer, bytes_in, false).await {
        Ok(()) => After::Linger,
        Err(_) => After::Untaken,
    }
}

/// What a failure is to the client.
fn answer(fault: Fault) -> Answer {
    let error = |code, message: &'static str, reason| {
        Answer::error(S3Error::new(code, message), Decision::Error, reason)
    };
    match fault {
        Fault::Store(what) => error(
            ErrorCode::ServiceUnavailable,
            "The store cannot be reached or broke off. Please try again.",
            Reason::Store,
        )
        .because(what),
        Fault::StoreSilent => error(
            ErrorCode::ServiceUnavailable,
            "The store did not answer in time. Please try again.",
            Reason::Store,
        ),
        Fault::Client => error(
            ErrorCode::IncompleteBody,
            "The request body terminated unexpectedly.",
            Reason::Client,
        ),
        Fault::ClientSilent => error(
            ErrorCode::RequestTimeout,
            "Your socket connection to the server was not read from or written to within the timeout period.",
            Reason::Client,
        ),
        Fault::Refused(Refused::Malformed(malformed)) => Answer::error(
            S3Error::new(ErrorCode::IncompleteBody, malformed.to_string()),
            Decision::Error,
            Reason::Client,
        ),
        Fault::Refused(Refused::Inspected(answer)) | Fault::Unconfirmed(answer) => *answer,
        Fault::NoRoom => error(
            ErrorCode::SlowDown,
            "Too many answers are being held back for clients; please reduce your request rate, or use HTTP/1.1.",
            Reason::Limit,
        ),
        Fault::Unrecorded => Answer::unrecorded(),
        // Never sent: the connection ends.
        Fault::Cut => error(
            ErrorCode::ServiceUnavailable,
            "The gateway is ending. Please try again.",
            Reason::Limit,
        )
        .because("the process ended before the request did".to_owned()),
    }
}
