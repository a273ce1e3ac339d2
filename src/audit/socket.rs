//! A Unix socket that audit lines are sent to, connected again whenever it is lost.
//!
//! To a stream socket go the lines as they stand in the file. To a datagram socket, which is what a syslog daemon has at
//! `/dev/log`, goes each as a message of its own, `<134>sealgate[PID]: {...}` (RFC 3164 section 4.1; 134 is facility
//! local0, severity informational). Its time is in the line.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{set_socket_send_buffer_size, socket_error};
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with,
};

use super::pipe::{is_gone, takes};

/// Facility local0, severity informational.
const PRIORITY: u8 = 16 * 8 + 6;

/// How long after an attempt to connect the next one comes, at first and at most.
const FIRST: Duration = Duration::from_millis(100);
const LAST: Duration = Duration::from_secs(2);

/// The send buffer of a stream, in bytes; Linux doubles it and may exceed it by one send.
const SEND_BUFFER: usize = 32 << 10;

/// The most bytes that a stream socket can have taken and its reader not read.
pub const UNREAD: usize = 128 << 10;

/// What became of sent bytes when a connection was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The reader has them.
    Read,
    /// The reader may have left without the last [`UNREAD`] of them.
    Unknown,
}

/// The socket's path, and the connection while there is one.
#[derive(Debug)]
pub struct Socket {
    path: PathBuf,
    link: Option<Link>,
    /// No attempt before.
    next: Option<Instant>,
    pause: Duration,
    /// Why the latest attempt failed.
    why: Option<Errno>,
    prefix: String,
    message: Vec<u8>,
}

#[derive(Debug)]
struct Link {
    fd: OwnedFd,
    datagrams: bool,
}

impl Socket {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            link: None,
            next: None,
            pause: FIRST,
            why: None,
            prefix: format!("<{PRIORITY}>sealgate[{}]: ", std::process::id()),
            message: Vec::new(),
        }
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Whether it takes messages and not a stream.
    pub fn takes_datagrams(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.datagrams)
    }

    /// Connects, unless the latest attempt was just now. Does not wait.
    ///
    /// # Errors
    /// Nobody listens there, or it was tried just now.
    pub fn connect(&mut self) -> io::Result<()> {
        let now = Instant::now();
        if self.next.is_some_and(|next| now < next) {
            return Err(self
                .why
                .map_or(io::ErrorKind::NotConnected.into(), io::Error::from));
        }
        self.next = Some(now + self.pause);
        self.pause = (self.pause * 2).min(LAST);
        match self.link() {
            Ok(link) => {
                self.link = Some(link);
                self.why = None;
                Ok(())
            }
            Err(error) => {
                self.why = Some(error);
                Err(error.into())
            }
        }
    }

    fn link(&self) -> Result<Link, Errno> {
        match open(&self.path, SocketType::STREAM) {
            Err(Errno::PROTOTYPE) => Ok(Link {
                fd: open(&self.path, SocketType::DGRAM)?,
                datagrams: true,
            }),
            Err(other) => Err(other),
            Ok(fd) => {
                set_socket_send_buffer_size(&fd, SEND_BUFFER)?;
                let datagrams = false;
                Ok(Link { fd, datagrams })
            }
        }
    }

    /// Sends as much as is taken now: of a stream any part, of datagrams the first line. Returns how many bytes of
    /// these are done.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where nothing is taken now; all else means that the connection is lost.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(link) = &self.link else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = if link.datagrams {
            let end = memchr::memchr(b'\n', bytes).unwrap_or(bytes.len());
            self.message.clear();
            self.message.extend_from_slice(self.prefix.as_bytes());
            self.message
                .extend_from_slice(bytes.get(..end).unwrap_or(bytes));
            // The newline is done with its line.
            send(&link.fd, &self.message, flags).map(|_| bytes.len().min(end + 1))
        } else {
            send(&link.fd, bytes, flags)
        };
        match sent {
            Ok(n) => {
                self.pause = FIRST;
                Ok(n)
            }
            Err(Errno::NOBUFS) => Err(io::ErrorKind::WouldBlock.into()),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits until it takes bytes, for so long at most; whether it does.
    pub fn wait(&self, most: Duration) -> io::Result<bool> {
        match &self.link {
            Some(link) => takes(&link.fd, most),
            None => Ok(true),
        }
    }

    /// Whether there is a connection whose reader has left.
    pub fn is_lost(&self) -> bool {
        self.link.as_ref().is_some_and(|link| is_gone(&link.fd))
    }

    /// Gives the connection up.
    pub fn disconnect(&mut self) -> Sent {
        match self.link.take() {
            // A datagram is read whole or was not accepted; a daemon keeps its queue when it is started again.
            Some(link) if link.datagrams => Sent::Read,
            // Linux leaves ECONNRESET behind where the reader closed with bytes unread.
            Some(link) if matches!(socket_error(&link.fd), Ok(Ok(()))) => Sent::Read,
            _ => Sent::Unknown,
        }
    }
}

fn open(path: &Path, kind: SocketType) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(AddressFamily::UNIX, kind, flags, None)?;
    connect(&fd, &SocketAddrUnix::new(path)?)?;
    Ok(fd)
}
