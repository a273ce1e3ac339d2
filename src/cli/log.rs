//! Standard error for the log. Where its reader has stopped, lines of the log are lost, and counted: no request waits for it.

use std::io::{self, Write};
use std::time::Duration;

use crate::audit::Pipe;

/// How long a reader that took all so far may take nothing.
const PATIENCE: Duration = Duration::from_millis(20);

/// Writes whole lines, or none of them.
pub struct Log {
    /// Nothing where standard error cannot be used.
    pipe: Option<Pipe>,
    /// The rest of a line that was taken in part.
    rest: Vec<u8>,
    /// The latest write was not taken.
    stuck: bool,
    lost: u64,
}

impl Log {
    pub fn new() -> Self {
        Self::to(Pipe::inherited(&io::stderr()).ok())
    }

    fn to(pipe: Option<Pipe>) -> Self {
        Self {
            pipe,
            rest: Vec::new(),
            stuck: false,
            lost: 0,
        }
    }

    /// Writes the rest; whether nothing is left of it.
    fn send(&mut self) -> bool {
        let Some(pipe) = &mut self.pipe else {
            return false;
        };
        while !self.rest.is_empty() {
            match pipe.write(&self.rest) {
                Ok(n) => {
                    self.rest.drain(..n.min(self.rest.len()));
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e)
                    if e.kind() == io::ErrorKind::WouldBlock
                        && !self.stuck
                        && pipe.wait(PATIENCE).is_ok_and(|takes| takes) => {}
                Err(_) => {
                    self.stuck = true;
                    return false;
                }
            }
        }
        self.stuck = false;
        true
    }
}

impl Write for Log {
    /// Takes all of it, always: nobody could say that the log fails.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if !self.send() {
            self.lost += 1;
            return Ok(line.len());
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            let told = format!("{lost} lines of the log were lost: nobody read them\n");
            self.rest.extend_from_slice(told.as_bytes());
        }
        self.rest.extend_from_slice(line);
        self.send();
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{BufRead, BufReader, Read};

    #[test]
    fn a_stopped_reader_costs_lines_and_no_time() {
        let (reader, writer) = io::pipe().unwrap();
        let mut log = Log::to(Some(Pipe::inherited(&writer).unwrap()));
        drop(writer);
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for _ in 0..10_000 {
            log.write_all(&line).unwrap();
        }
        assert!(log.lost > 1000);
        let lost = log.lost;
        let mut reader = BufReader::new(reader);
        let mut text = String::new();
        let mut read = 0;
        for _ in 0..100 {
            read += reader.read_line(&mut text).unwrap();
        }
        log.write_all(b"again\n").unwrap();
        drop(log);
        assert!(read == 10_000);
        reader.read_to_string(&mut text).unwrap();
        assert!(
            text.ends_with(&format!(
                "\n{lost} lines of the log were lost: nobody read them\nagain\n"
            )),
            "{}",
            text.len()
        );
        assert!(text.lines().take(500).all(|l| l.len() == 99));
    }
}
