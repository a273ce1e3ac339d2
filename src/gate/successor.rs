//! The hand-over: the listening sockets go to a new process, and its word comes back that it serves.
//!
//! pingora sends the sockets and takes them. With them goes one end of a pipe: a byte through it says that the new process
//! serves, its end without one that the new process has ended. Until that byte the process before goes on as if nothing
//! had happened, so a new process that cannot begin does no harm.

use std::{
    collections::HashSet,
    fs::File,
    io::{self, Read, Write},
    os::fd::IntoRawFd,
    path::Path,
};

use pingora::server::ListenFds;

/// What the pipe is called among the sockets, which are called by their addresses.
pub const NAME: &str = "sealgate:serves";

/// What became of the new process.
#[derive(Debug)]
pub enum Word {
    /// It serves.
    Serves,
    /// It ended before it served.
    Ended,
    /// It did not get the sockets, and why.
    NotSent(String),
}

/// Sends `sockets` to the process that waits at `path`, and waits for its word, however long that takes.
pub fn send(sockets: &ListenFds, path: &Path) -> Word {
    let (mut word, pipe) = match io::pipe() {
        Ok(ends) => ends,
        Err(error) => return Word::NotSent(error.to_string()),
    };
    let sent = {
        let mut sockets = sockets.lock();
        let keep: HashSet<_> = sockets.serialize().0.into_iter().collect();
        sockets.add(NAME.to_owned(), pipe.into_raw_fd());
        let sent = sockets.send_to_sock(path.to_string_lossy().as_ref());
        // Closes this process' end, too: the new one has the last.
        sockets.close_unclaimed(&keep);
        sent
    };
    if let Err(error) = sent {
        return Word::NotSent(error.to_string());
    }
    match word.read_exact(&mut [0]) {
        Ok(()) => Word::Serves,
        Err(_) => Word::Ended,
    }
}

/// Tells the process before that this one serves.
#[derive(Debug)]
pub struct Confirmation(File);

impl Confirmation {
    /// Takes the pipe out of the sockets that were handed over, of which those of `addresses` stay; `None`: there is none.
    ///
    /// # Errors
    /// It cannot be opened, so the process before would never know.
    pub fn take(sockets: &ListenFds, addresses: &[String]) -> io::Result<Option<Self>> {
        let mut sockets = sockets.lock();
        let Some(number) = sockets.get(NAME) else {
            return Ok(None);
        };
        // Safe code cannot use a bare number; /proc opens what is behind it once more.
        let pipe = File::options()
            .write(true)
            .open(format!("/proc/self/fd/{number}"))?;
        sockets.close_unclaimed(&addresses.iter().cloned().collect());
        Ok(Some(Self(pipe)))
    }

    /// Says that this process serves. Where nobody listens any more there is no process before, which is as well.
    pub fn give(mut self) {
        if let Err(error) = self.0.write_all(&[1]) {
            tracing::warn!(%error, "the process that handed over has ended before it was told that this one serves");
        }
    }
}
