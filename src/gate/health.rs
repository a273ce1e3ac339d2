//! What a listener with `serve: health` answers: `/healthz` and `/readyz`, and to all else that it is not for that.

use std::sync::Arc;

use bytes::Buf;
use http::Method;

use super::{
    answer::Answer,
    client::{Client, Rest},
    forward::After,
    parsed::Parsed,
    refusal,
    request::Ctx,
    shared::Shared,
};
use crate::{
    audit::{Decision, Reason},
    http1::head::{Framing, Head},
    s3::{ErrorCode, S3Error},
};

/// Answers one request, whose head stands at the start of `rest.ahead`. A probe leaves no audit line, a refusal does.
pub async fn answer(
    gate: &Arc<Shared>,
    client: &Arc<Client>,
    rest: &mut Rest,
    head: &Head,
    parsed: &Parsed,
    keep: bool,
) -> After {
    let bodiless = head.framing == Framing::None;
    let keep = keep && bodiless;
    let probe = matches!(parsed.method, Method::GET | Method::HEAD)
        .then(|| page(gate, parsed.head().target))
        .flatten();
    let sent = if let Some((status, text)) = probe {
        let body = match parsed.method {
            Method::HEAD => String::new(),
            _ => format!("{text}\n"),
        };
        let connection = if keep { "keep-alive" } else { "close" };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
            text.len() + 1
        );
        refusal::send(gate, rest, answer.as_bytes()).await
    } else {
        let mut ctx = Ctx::new(gate);
        ctx.come_from(client);
        ctx.source_ip = client.ip;
        ctx.tls = client.tls;
        if let Framing::Length(n) = head.framing {
            ctx.announced = n;
            ctx.bytes_refused = n;
        }
        let error = S3Error::new(
            ErrorCode::AccessDenied,
            "This listener serves /healthz and /readyz only; send S3 requests to another address of this gateway.",
        );
        let answer = Answer::error(error, Decision::Deny, Reason::Listener);
        refusal::answer(gate, rest, parsed, &mut ctx, &answer, 0, keep).await
    };
    rest.ahead.advance(head.skip + head.len);
    match sent {
        Err(_) => After::Abort,
        _ if keep => After::Keep,
        _ if bodiless && rest.ahead.is_empty() => After::Close,
        _ => After::Linger,
    }
}

fn page(gate: &Shared, target: &[u8]) -> Option<(&'static str, &'static str)> {
    match target.split(|&b| b == b'?').next()? {
        b"/healthz" => Some(("200 OK", "ok")),
        b"/readyz" => Some(match gate.process.unready() {
            None => ("200 OK", "ready"),
            Some(why) => ("503 Service Unavailable", why),
        }),
        _ => None,
    }
}
