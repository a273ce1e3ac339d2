//! The end of a connection whose client may still be sending (RFC 9112 section 9.6).
//!
//! Closing at once would make the kernel answer the client's next bytes with a reset, which erases the response from
//! the client's receive buffer. So: the write side is shut down, what comes is read and thrown away within bounds,
//! and beyond them nothing is read, but the connection stays until the client has gone or the time is over.

use std::time::Duration;

use super::client::Link;
use crate::audit::Lingered;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until, timeout_at},
};

/// How long and how much.
#[derive(Clone, Copy, Debug)]
pub struct Linger {
    /// Bytes that are read and thrown away at most.
    pub bytes: u64,
    /// Time until the connection is closed whatever the client does.
    pub time: Duration,
}

impl Linger {
    /// Shuts the write side down and lets the client finish.
    pub async fn close(self, mut stream: Box<dyn Link>) -> Lingered {
        let deadline = Instant::now() + self.time;
        if !matches!(timeout_at(deadline, stream.shutdown()).await, Ok(Ok(()))) {
            return Lingered::Done;
        }
        let mut left = self.bytes;
        let mut scratch = vec![0; 16 * 1024];
        while left > 0 {
            let room = scratch
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            match timeout_at(deadline, stream.read(&mut scratch[..room])).await {
                Err(_) => return Lingered::Time,
                Ok(Err(_) | Ok(0)) => return Lingered::Done,
                Ok(Ok(n)) => left -= n as u64,
            }
        }
        drop(scratch);
        hold(&*stream, deadline).await
    }
}

/// Keeps a connection that is not read any more until its peer has gone.
async fn hold(stream: &dyn Link, deadline: Instant) -> Lingered {
    const LOOK_EVERY: Duration = Duration::from_millis(100);
    let socket = stream.socket();
    loop {
        let state = socket.as_ref().and_then(|s| s.tcp_info());
        if state.is_some_and(|info| !OPEN_STATES.contains(&info.tcpi_state)) {
            return Lingered::Bytes;
        }
        let next = Instant::now() + LOOK_EVERY;
        if next >= deadline {
            sleep_until(deadline).await;
            return Lingered::Time;
        }
        sleep_until(next).await;
    }
}

/// States of Linux's `tcp_info` in which the peer may still read: `ESTABLISHED`, `FIN_WAIT1`, `FIN_WAIT2`.
const OPEN_STATES: [u8; 3] = [1, 4, 5];
