#![allow(clippy::unwrap_used, clippy::expect_used)]

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::http1::head::{HeadLimits, examine};

const LONG: Duration = Duration::from_mins(10);
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: h\r\n\r\n";
const WANTS: &str =
    "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

/// The view on a connection of which `arrived` has been read, and the client's end of it.
fn conn(arrived: &str, patience: Duration) -> (Conn, DuplexStream) {
    let limits = HeadLimits {
        bytes: 4096,
        fields: 32,
    };
    let head = examine(arrived.as_bytes(), &limits).unwrap().unwrap();
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let conn = Conn::new(
        Box::new(ours),
        BytesMut::from(arrived.as_bytes()),
        &head,
        None,
        patience,
    );
    (conn, theirs)
}

/// Reads `n` bytes, as pingora sees them.
async fn read(conn: &mut Conn, n: usize) -> String {
    let mut bytes = vec![0; n];
    conn.read_exact(&mut bytes).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

/// Whether a read gets nothing for a while.
async fn is_quiet(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut byte = [0; 1];
    tokio::time::timeout(Duration::from_millis(50), stream.read(&mut byte))
        .await
        .is_err()
}

/// What the client has got, once the connection is handed back and closed.
async fn got(conn: Conn, mut client: DuplexStream) -> String {
    let shared = conn.shared();
    drop(conn);
    drop(shared.take().unwrap());
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    text
}

#[tokio::test]
async fn one_request_and_nothing_of_the_next() {
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "\r\n",
    ] {
        let request = format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{body}");
        let (mut conn, _client) = conn(&format!("{request}{NEXT}"), LONG);
        assert_eq!(read(&mut conn, request.len()).await, request);
        assert!(is_quiet(&mut conn).await, "{body}");
        let shared = conn.shared();
        assert!(shared.body_done());
        drop(conn);
        assert_eq!(shared.take().unwrap().ahead, NEXT, "{body}");
    }
}

#[tokio::test]
async fn a_body_in_pieces_ends_where_it_says() {
    for (framing, body) in [
        ("Content-Length: 5", "hello"),
        (
            "Transfer-Encoding: chunked",
            "5\r\nhello\r\n0\r\nA: b\r\n\r\n",
        ),
    ] {
        let head = format!("PUT /b/k HTTP/1.1\r\nHost: h\r\n{framing}\r\n\r\n");
        let (mut conn, mut client) = conn(&head, LONG);
        assert_eq!(read(&mut conn, head.len()).await, head);
        for byte in body.as_bytes() {
            assert!(!conn.shared().body_done());
            client.write_all(&[*byte]).await.unwrap();
            assert_eq!(read(&mut conn, 1).await.as_bytes(), [*byte]);
        }
        assert!(conn.shared().body_done());
        client.write_all(NEXT.as_bytes()).await.unwrap();
        assert!(is_quiet(&mut conn).await);
        // The client going away is news even then.
        drop(client);
        let shared = conn.shared();
        drop(conn);
        assert_eq!(shared.take().unwrap().ahead, NEXT);
    }
}

#[tokio::test]
async fn malformed_chunks_are_an_error() {
    let head = "PUT /b/k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    let (mut conn, _client) = conn(&format!("{head}5\nhello\r\n"), LONG);
    read(&mut conn, head.len()).await;
    let error = conn.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert!(!conn.shared().body_done());
}

#[tokio::test]
async fn a_silent_store_gets_one_100_of_ours() {
    let (mut conn, mut client) = conn(WANTS, Duration::from_millis(10));
    read(&mut conn, WANTS.len()).await;
    assert!(is_quiet(&mut conn).await);
    assert_eq!(conn.shared().continued(), Continue::Timeout);
    client.write_all(b"hello").await.unwrap();
    assert_eq!(read(&mut conn, 5).await, "hello");
    // The store's comes late: it is not relayed.
    conn.write_all(CONTINUE).await.unwrap();
    conn.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    assert_eq!(
        got(conn, client).await,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    );
}

#[tokio::test]
async fn the_store_s_100_is_relayed_once() {
    let (mut conn, client) = conn(WANTS, LONG);
    read(&mut conn, WANTS.len()).await;
    conn.write_all(CONTINUE).await.unwrap();
    conn.write_all(CONTINUE).await.unwrap();
    assert_eq!(conn.shared().continued(), Continue::Store);
    conn.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    assert_eq!(
        got(conn, client).await,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
    );
}

#[tokio::test]
async fn no_100_unasked_and_none_after_the_final_answer() {
    let plain = "PUT /b/k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n";
    for (head, patience) in [(plain, LONG), (WANTS, Duration::from_millis(1))] {
        let (mut conn, client) = conn(head, patience);
        read(&mut conn, head.len()).await;
        if head == plain {
            conn.write_all(CONTINUE).await.unwrap();
        }
        conn.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n")
            .await
            .unwrap();
        // What stands in a body is no head.
        conn.write_all(b"HTTP/1.1 100 is how this body begins")
            .await
            .unwrap();
        assert!(is_quiet(&mut conn).await);
        assert_eq!(conn.shared().continued(), Continue::None);
        assert_eq!(
            got(conn, client).await,
            "HTTP/1.1 403 Forbidden\r\n\r\nHTTP/1.1 100 is how this body begins"
        );
    }
}

#[tokio::test]
async fn what_was_answered_is_not_read_on() {
    let (mut conn, mut client) = conn(WANTS, LONG);
    read(&mut conn, WANTS.len()).await;
    conn.shared().answered();
    client.write_all(b"hello").await.unwrap();
    let error = conn.read(&mut [0; 64]).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
    let shared = conn.shared();
    drop(conn);
    assert!(!shared.body_done() && shared.take().is_some());
    assert!(shared.take().is_none());
}
