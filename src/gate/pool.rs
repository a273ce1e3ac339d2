//! Idle connections, kept for the next request.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use tokio::io::{AsyncRead, ReadBuf};

/// Connections without a request, the one used last taken first, so that few are kept busy and the rest grow old.
pub struct Pool<S> {
    idle: Mutex<VecDeque<(S, Instant)>>,
    most: usize,
    timeout: Duration,
}

impl<S: AsyncRead + Unpin> Pool<S> {
    /// Keeps at most `most` connections, each for at most `timeout`.
    #[must_use]
    pub fn new(most: usize, timeout: Duration) -> Self {
        Self {
            idle: Mutex::default(),
            most,
            timeout,
        }
    }

    /// A connection that its peer has neither closed nor said anything on since.
    pub fn take(&self) -> Option<S> {
        loop {
            let (mut stream, since) = self.lock().pop_back()?;
            if since.elapsed() < self.timeout && is_quiet(&mut stream) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection; the oldest goes where there are too many.
    pub fn put(&self, stream: S) {
        let mut idle = self.lock();
        idle.push_back((stream, Instant::now()));
        let too_many = (idle.len() > self.most).then(|| idle.pop_front());
        drop(idle);
        drop(too_many);
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Closes what has been idle for too long.
    pub fn reap(&self) {
        let mut idle = self.lock();
        let old = idle.partition_point(|(_, since)| since.elapsed() >= self.timeout);
        let old: Vec<_> = idle.drain(..old).collect();
        drop(idle);
        drop(old);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(S, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is nothing to read: no end, no error, and no bytes, which would be an answer to nothing.
pub(super) fn is_quiet(stream: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut byte = [0; 1];
    let mut cx = Context::from_waker(Waker::noop());
    matches!(
        Pin::new(stream).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)),
        Poll::Pending
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    fn pool(most: usize) -> Pool<DuplexStream> {
        Pool::new(most, Duration::from_mins(1))
    }

    #[tokio::test]
    async fn the_last_used_is_taken_first() {
        let pool = pool(2);
        let (mut theirs, mut kept) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let (a, b) = duplex(8);
            pool.put(a);
            theirs.push(b);
        }
        // The first was one too many.
        assert!(theirs[0].write_all(b"x").await.is_err());
        for _ in 0..2 {
            kept.push(pool.take().unwrap());
        }
        assert!(pool.take().is_none());
        kept[0].write_all(b"x").await.unwrap();
        let mut byte = [0];
        tokio::io::AsyncReadExt::read_exact(&mut theirs[2], &mut byte)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn what_was_closed_or_spoke_unasked_is_not_used() {
        let pool = pool(4);
        let (a, closed) = duplex(8);
        pool.put(a);
        drop(closed);
        assert!(pool.take().is_none());
        let (a, mut speaks) = duplex(8);
        pool.put(a);
        speaks.write_all(b"HTTP").await.unwrap();
        assert!(pool.take().is_none());
    }

    #[tokio::test]
    async fn the_old_are_closed() {
        let pool = Pool::new(4, Duration::ZERO);
        let (a, mut theirs) = duplex(8);
        pool.put(a);
        pool.reap();
        assert!(theirs.write_all(b"x").await.is_err());
        let (a, _theirs) = duplex(8);
        pool.put(a);
        assert!(pool.take().is_none());
    }
}
