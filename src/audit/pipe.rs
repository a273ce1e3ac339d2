//! Writing to what may stop taking bytes - a pipe, a terminal, a socket - without waiting for it.
//!
//! `O_NONBLOCK` belongs to the open file, not to the descriptor: set on an inherited standard output it would also hit
//! whoever shares it. So a pipe or terminal is opened a second time through `/proc`, a socket is asked for each send
//! not to wait, and where neither goes each write is preceded by poll(2) and is so small that it fits then.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::net::{SendFlags, send};

/// What fits into a pipe that poll(2) calls writable: `PIPE_BUF` of Linux.
const FITS: usize = 4096;

/// An open file that is written without waiting.
#[derive(Debug)]
pub struct Pipe {
    file: File,
    way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// Does not make its writer wait: a file on a disk, a device, or opened with `O_NONBLOCK`.
    Plain,
    /// Each send says that it does not wait.
    Socket,
    /// Asked before each write.
    Asked,
}

impl Pipe {
    /// Over standard output or standard error.
    ///
    /// # Errors
    /// It cannot be duplicated.
    pub fn inherited(from: &impl AsFd) -> io::Result<Self> {
        let number = from.as_fd().as_raw_fd();
        let file = File::from(from.as_fd().try_clone_to_owned()?);
        let kind = file.metadata()?.file_type();
        if kind.is_socket() {
            let way = Way::Socket;
            return Ok(Self { file, way });
        }
        if !(kind.is_fifo() || kind.is_char_device()) {
            return Ok(Self::plain(file));
        }
        // Not allowed where another user opened it.
        match OpenOptions::new()
            .write(true)
            .custom_flags(never_waits())
            .open(format!("/proc/self/fd/{number}"))
        {
            Ok(again) => Ok(Self::plain(again)),
            Err(_) => Ok(Self {
                file,
                way: Way::Asked,
            }),
        }
    }

    /// Over a file that does not make its writer wait.
    fn plain(file: File) -> Self {
        Self {
            file,
            way: Way::Plain,
        }
    }

    /// Writes as much as it takes now.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where it takes nothing; what the system says.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.way {
            Way::Plain => self.file.write(bytes),
            Way::Socket => {
                let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
                Ok(send(&self.file, bytes, flags)?)
            }
            Way::Asked => {
                if !takes(&self.file, Duration::ZERO)? {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                self.file.write(bytes.get(..FITS).unwrap_or(bytes))
            }
        }
    }

    /// Waits until it takes bytes, for so long at most; whether it does.
    ///
    /// # Errors
    /// It cannot be asked.
    pub fn wait(&self, most: Duration) -> io::Result<bool> {
        takes(&self.file, most)
    }
}

/// The flags with which a pipe or device is opened, for [`OpenOptionsExt::custom_flags`].
pub fn never_waits() -> i32 {
    // Bits of the system, which takes them as an `int`.
    (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed()
}

/// Waits until a write would not wait, or would fail; whether it is so.
pub fn takes(fd: &impl AsFd, most: Duration) -> io::Result<bool> {
    Ok(asked(fd, PollFlags::OUT, most)?
        .intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::HUP))
}

/// Whether the other end is gone.
pub fn is_gone(fd: &OwnedFd) -> bool {
    asked(fd, PollFlags::empty(), Duration::ZERO)
        .is_ok_and(|flags| flags.intersects(PollFlags::ERR | PollFlags::HUP))
}

fn asked(fd: &impl AsFd, about: PollFlags, most: Duration) -> io::Result<PollFlags> {
    let most = Timespec::try_from(most).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut asked = [PollFd::new(fd, about)];
    match poll(&mut asked, Some(&most)) {
        // A signal: nothing is known yet.
        Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
        Err(e) => Err(e.into()),
        Ok(_) => Ok(asked[0].revents()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read;
    use std::os::unix::net::UnixStream;

    /// Fills it, looks that it says so at once, empties it a little.
    fn fills_and_takes_again(mut pipe: Pipe, mut reader: impl Read) {
        let mut written = 0;
        let full = loop {
            match pipe.write(&[b'x'; 1000]) {
                Ok(n) => written += n,
                Err(e) => break e,
            }
            assert!(written < 16 << 20);
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(!pipe.wait(Duration::from_millis(5)).unwrap());
        let mut got = vec![0; written];
        reader.read_exact(&mut got).unwrap();
        assert!(pipe.wait(Duration::from_secs(5)).unwrap());
        assert!(pipe.write(b"x").is_ok());
        drop(reader);
        let gone = (0..2).find_map(|_| pipe.write(b"x").err()).unwrap();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn a_pipe_that_is_opened_again() {
        let (reader, writer) = io::pipe().unwrap();
        let pipe = Pipe::inherited(&writer).unwrap();
        drop(writer);
        assert_eq!(pipe.way, Way::Plain);
        fills_and_takes_again(pipe, reader);
    }

    #[test]
    fn a_pipe_that_is_asked() {
        let (reader, writer) = io::pipe().unwrap();
        let pipe = Pipe {
            file: OwnedFd::from(writer).into(),
            way: Way::Asked,
        };
        fills_and_takes_again(pipe, reader);
    }

    #[test]
    fn a_socket() {
        let (reader, writer) = UnixStream::pair().unwrap();
        let pipe = Pipe::inherited(&writer).unwrap();
        drop(writer);
        assert_eq!(pipe.way, Way::Socket);
        fills_and_takes_again(pipe, reader);
    }

    #[test]
    fn a_device() {
        let null = File::options().write(true).open("/dev/null").unwrap();
        let mut pipe = Pipe::inherited(&null).unwrap();
        assert_eq!(pipe.write(b"xyz").unwrap(), 3);
    }
}
