#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{path::Path, sync::Arc};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::{
    config::Config,
    http1::head::{Expectation, Head, HeadLimits},
};

const NEXT: &str = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
const WANTS: &str =
    "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nContent-Length: 0\r\n\r\n";

fn shared(continue_timeout: &str) -> Arc<Shared> {
    let text = format!(
        "listen: [{{address: \"127.0.0.1:0\"}}]\nstore: {{endpoint: \"http://127.0.0.1:9\", response_timeout: 300ms}}\n\
         rules: [{{bucket: \"*\"}}]\ncontinue_timeout: {continue_timeout}\nlimits: {{idle_timeout: 200ms}}\naudit: {{stdout: false}}\n"
    );
    let (config, _) = Config::parse(Path::new("test.yaml"), &text, &|_| None).unwrap();
    crate::gate::Live::new(&config, crate::gate::Start::Fresh)
        .unwrap()
        .current()
}

/// An exchange under way: the client's end, the store's end, and its result with what was read beyond the request.
struct Running {
    client: DuplexStream,
    store: DuplexStream,
    result: tokio::task::JoinHandle<(Result<Outcome, Failed>, BytesMut)>,
}

/// Starts the exchange of the request at the start of `arrived`; the rest of it was read already.
fn start(shared: &Arc<Shared>, arrived: &str) -> Running {
    let limits = HeadLimits {
        bytes: 4096,
        fields: 32,
    };
    let head: Head = crate::http1::head::examine(arrived.as_bytes(), &limits)
        .unwrap()
        .unwrap();
    let (ours, client) = duplex(1 << 16);
    let (mut to_store, store) = {
        let (a, b) = duplex(1 << 16);
        (Box::new(a) as Stream, b)
    };
    let mut rest = Rest {
        stream: Box::new(Box::new(ours) as Stream),
        ahead: BytesMut::from(arrived.as_bytes()),
    };
    let shared = Arc::clone(shared);
    let result = tokio::spawn(async move {
        let up = rest.ahead.split_to(head.len);
        let parsed = Parsed::of(&up, "store:9000").unwrap();
        let mut ctx = Ctx::new(&shared);
        let mut upload = Upload::new(head.framing, None);
        let request = Request {
            shared: &shared,
            ctx: &mut ctx,
            parsed: &parsed,
            http11: head.http11,
            waiting: head.expect == Expectation::Continue,
            keep: true,
        };
        let outcome = Exchange::new(request, &mut rest, &mut to_store, &mut upload, up)
            .run()
            .await;
        (outcome, rest.ahead)
    });
    Running {
        client,
        store,
        result,
    }
}

impl Running {
    /// Reads at the store what must be `text`.
    async fn store_gets(&mut self, text: &str) {
        let mut bytes = vec![0; text.len()];
        self.store.read_exact(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), text);
    }

    async fn store_says(&mut self, text: &str) {
        self.store.write_all(text.as_bytes()).await.unwrap();
    }

    async fn client_says(&mut self, text: &str) {
        self.client.write_all(text.as_bytes()).await.unwrap();
    }

    /// The end, and all that the client and the store got since.
    async fn end(mut self) -> (Result<Outcome, Failed>, String, String, String) {
        let (outcome, ahead) = self.result.await.unwrap();
        let (mut client, mut store) = (String::new(), String::new());
        self.client.read_to_string(&mut client).await.unwrap();
        self.store.read_to_string(&mut store).await.unwrap();
        (
            outcome,
            client,
            store,
            String::from_utf8(ahead.to_vec()).unwrap(),
        )
    }
}

fn keeps(outcome: Result<Outcome, Failed>) -> (bool, bool) {
    let outcome = outcome.unwrap();
    (outcome.keep_client, outcome.keep_store)
}

#[tokio::test]
async fn one_request_and_nothing_of_the_next() {
    for (body, sent) in [
        ("Content-Length: 5\r\n\r\nhello", "hello"),
        (
            "Transfer-Encoding: chunked\r\n\r\n05;x=y\r\nhello\r\n0\r\nA: b\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
        ),
        ("\r\n", ""),
    ] {
        let request = format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{body}");
        let head = &request[..request.find("\r\n\r\n").unwrap() + 4];
        let mut running = start(&shared("1m"), &format!("{request}{NEXT}"));
        running.store_gets(&format!("{head}{sent}")).await;
        running.store_says(OK).await;
        let (outcome, client, store, ahead) = running.end().await;
        assert_eq!(keeps(outcome), (true, true));
        assert_eq!((client.as_str(), store.as_str()), (OK, ""));
        assert_eq!(ahead, NEXT);
    }
}

#[tokio::test]
async fn a_body_in_pieces_ends_where_it_says() {
    for (framing, body, sent) in [
        ("Content-Length: 5", "hello", "hello"),
        (
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\n\r\n",
            "1\r\nh\r\n1\r\ne\r\n1\r\nl\r\n1\r\nl\r\n1\r\no\r\n0\r\n\r\n",
        ),
    ] {
        let head = format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
        let mut running = start(&shared("1m"), &head);
        running.store_gets(&head).await;
        for byte in body.chars() {
            running.client_says(&byte.to_string()).await;
            tokio::task::yield_now().await;
        }
        running.store_gets(sent).await;
        running.store_says(OK).await;
        assert_eq!(keeps(running.end().await.0), (true, true));
    }
}

#[tokio::test]
async fn malformed_chunks_are_an_error() {
    let head = "PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let running = start(&shared("1m"), &format!("{head}5\nhello\r\n"));
    let (outcome, client, store, _) = running.end().await;
    let failed = outcome.unwrap_err();
    assert!(matches!(
        failed.fault,
        Fault::Refused(Refused::Malformed(_))
    ));
    assert!(!failed.begun && client.is_empty() && store.is_empty());
}

#[tokio::test]
async fn a_silent_store_gets_one_100_of_ours() {
    let mut running = start(&shared("10ms"), WANTS);
    running.store_gets(WANTS).await;
    let mut invited = vec![0; CONTINUE.len()];
    running.client.read_exact(&mut invited).await.unwrap();
    assert_eq!(invited, CONTINUE);
    running.client_says("hello").await;
    running.store_gets("hello").await;
    // The store's comes late: it is not relayed.
    running
        .store_says(&format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"))
        .await;
    let (outcome, client, ..) = running.end().await;
    assert_eq!((keeps(outcome), client.as_str()), ((true, true), OK));
}

#[tokio::test]
async fn a_body_that_is_there_is_not_invited() {
    let request = format!("{WANTS}hello");
    let mut running = start(&shared("10ms"), &request);
    running.store_gets(&request).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    running.store_says(OK).await;
    let (outcome, client, ..) = running.end().await;
    assert_eq!((keeps(outcome), client.as_str()), ((true, true), OK));
}

#[tokio::test]
async fn the_store_s_100_is_relayed_once() {
    let mut running = start(&shared("1m"), WANTS);
    running.store_gets(WANTS).await;
    running
        .store_says("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        .await;
    running.client_says("hello").await;
    running.store_gets("hello").await;
    running.store_says(OK).await;
    let (outcome, client, ..) = running.end().await;
    assert_eq!(keeps(outcome), (true, true));
    assert_eq!(client, format!("HTTP/1.1 100 Continue\r\n\r\n{OK}"));
}

#[tokio::test]
async fn no_100_unasked_and_none_after_the_final_answer() {
    let plain = "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    // What stands in a body is no head.
    let body = "HTTP/1.1 100 is how this body begins";
    let answer = |more: &str| {
        format!(
            "HTTP/1.1 403 Forbidden\r\nx-amz-request-id: R\r\nContent-Length: {}\r\n{more}\r\n{body}",
            body.len()
        )
    };
    for (head, before) in [(plain, "HTTP/1.1 100 Continue\r\n\r\n"), (WANTS, "")] {
        let mut running = start(&shared("1m"), head);
        running.store_gets(head).await;
        running.store_says(&format!("{before}{}", answer(""))).await;
        let (outcome, client, ..) = running.end().await;
        // The body was not read: neither connection can be used again.
        assert_eq!(keeps(outcome), (false, false));
        assert_eq!(client, answer("Connection: close\r\n"));
    }
}

#[tokio::test]
async fn bytes_behind_a_response_end_the_store_s_connection() {
    let get = "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n";
    for (response, kept) in [
        (OK.to_owned(), true),
        (format!("{OK}HTTP/1.1 200 OK\r\n"), false),
        (
            "HTTP/1.1 200 OK\r\nx-amz-request-id: R\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\nx".to_owned(),
            false,
        ),
    ] {
        let mut running = start(&shared("1m"), get);
        running.store_gets(get).await;
        running.store_says(&response).await;
        let (outcome, client, ..) = running.end().await;
        assert_eq!(keeps(outcome), (true, kept), "{response}");
        assert!(response.starts_with(&client), "{client}");
    }
}

#[tokio::test]
async fn who_does_not_move_is_named() {
    let get = "GET /b/k HTTP/1.1\r\nHost: h\r\n\r\n";
    let running = start(&shared("1m"), get);
    let failed = running.end().await.0.unwrap_err();
    assert!(matches!(failed.fault, Fault::StoreSilent), "{failed:?}");
    let put = "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel";
    let running = start(&shared("1m"), put);
    let failed = running.end().await.0.unwrap_err();
    assert!(matches!(failed.fault, Fault::ClientSilent), "{failed:?}");
    // The store breaks off in the middle of its response.
    let mut running = start(&shared("1m"), get);
    running
        .store_says("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel")
        .await;
    let mut byte = [0];
    running.client.read_exact(&mut byte).await.unwrap();
    let failed = running.end().await.0.unwrap_err();
    assert!(failed.begun && matches!(failed.fault, Fault::StoreSilent));
}
