//! Lines that went into a file which was deleted meanwhile. The open file can still be read: they are written again
//! into the next one.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// So many bytes are read at a time. A disk that is full because of the deleted file has room once it is closed, so the
/// piece is large enough for what is usually missing.
const PIECE: usize = 4 << 20;

/// The missing lines of a deleted file.
#[derive(Debug)]
pub struct Deleted {
    /// Until it is read to its end.
    file: Option<File>,
    /// Where to read on.
    at: u64,
    /// What is to be written again, beginning at `taken`.
    lines: Vec<u8>,
    taken: usize,
    /// How many lines must still be found in the file.
    missing: u64,
}

impl Deleted {
    /// Of a file that was opened for reading, too, from a byte on, behind which this run has written so many lines.
    pub fn new(file: File, from: u64, missing: u64) -> Self {
        Self {
            // Its space is free at once where nothing is missing.
            file: (missing > 0).then_some(file),
            at: from,
            lines: Vec::new(),
            taken: 0,
            missing,
        }
    }

    /// The next lines of those that contain `ours`; none: that was all.
    pub fn next(&mut self, ours: &[u8]) -> &[u8] {
        while self.taken == self.lines.len() {
            self.lines.clear();
            self.taken = 0;
            let Some(file) = &self.file else {
                break;
            };
            let (piece, is_last) = match piece(file, self.at) {
                Ok(piece) => piece,
                Err(error) => {
                    tracing::error!(%error, "the deleted audit file cannot be read back");
                    self.file = None;
                    break;
                }
            };
            // Half a line at the end is of nobody, or of the next piece.
            let whole = memchr::memrchr(b'\n', &piece).map_or(0, |end| end + 1);
            for line in piece[..whole].split_inclusive(|&b| b == b'\n') {
                if memchr::memmem::find(line, ours).is_some() {
                    self.lines.extend_from_slice(line);
                    self.missing = self.missing.saturating_sub(1);
                }
            }
            self.at += u64::try_from(whole).unwrap_or(u64::MAX);
            if is_last || whole == 0 {
                self.file = None;
            }
        }
        self.lines.get(self.taken..).unwrap_or_default()
    }

    /// Says that so many bytes of the next lines are written.
    pub fn wrote(&mut self, bytes: usize) {
        self.taken = self.lines.len().min(self.taken + bytes);
    }

    /// How many lines are not written again.
    pub fn left(&self) -> u64 {
        let found = self.lines.get(self.taken..).unwrap_or_default();
        self.missing + memchr::memchr_iter(b'\n', found).count() as u64
    }

    /// How many lines could not be found. To be asked when there are no next lines.
    pub fn lost(&self) -> u64 {
        self.missing
    }
}

/// As much as there is, and whether the file ends there.
fn piece(file: &File, at: u64) -> io::Result<(Vec<u8>, bool)> {
    let left = file.metadata()?.len().saturating_sub(at);
    let mut bytes = vec![0; PIECE.min(usize::try_from(left).unwrap_or(PIECE))];
    let mut got = 0;
    while got < bytes.len() {
        let offset = at + u64::try_from(got).unwrap_or(u64::MAX);
        match file.read_at(&mut bytes[got..], offset) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(got);
    let is_last = u64::try_from(got).unwrap_or(u64::MAX) >= left;
    Ok((bytes, is_last))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    #[test]
    fn pieces_make_whole_lines_of_ours_alone() {
        let path = std::env::temp_dir().join(format!("sealgate-deleted-{}", std::process::id()));
        let line = |start: &str, n: u32| format!("{{\"start\":\"{start}\",\"n\":{n:0>1000}}}\n");
        let text: String = (0..10_000)
            .map(|n| line(if n % 3 == 0 { "other" } else { "ours" }, n))
            .collect();
        assert!(text.len() > 2 * PIECE);
        // From the middle of a line, and with half a line at the end.
        fs::write(
            &path,
            format!("half{}\n{text}{{\"start\":\"ours\"", &text[..99]),
        )
        .unwrap();
        let expect: String = (0..10_000)
            .filter(|n| n % 3 != 0)
            .map(|n| line("ours", n))
            .collect();
        let missing = u64::try_from(expect.lines().count()).unwrap();
        let mut deleted = Deleted::new(File::open(&path).unwrap(), 2, missing + 2);
        fs::remove_file(&path).unwrap();
        let mut got = Vec::new();
        loop {
            let next = deleted.next(b"\"start\":\"ours\"");
            if next.is_empty() {
                break;
            }
            let n = next.len().min(100_000);
            got.extend_from_slice(&next[..n]);
            deleted.wrote(n);
        }
        assert!(got == expect.as_bytes());
        assert_eq!(deleted.lost(), 2);
        assert!(deleted.file.is_none());
    }
}
