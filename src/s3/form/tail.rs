//! What follows the file. S3 ignores it; stores that do not would see fields that nobody decided about.

use super::boundary::find_on;
use super::{Boundary, FormError, disposition};
use crate::s3::extension::is_foreign;

/// The longest header block of a part after the file.
const MAX_HEAD: usize = 4096;

/// Watches the bytes from the file's first one on, without keeping them.
///
/// Fields that decide nothing (a submit button) may follow, as S3 allows. One that could change what is stored, or a
/// second file, is an error: the upload to the store must then be broken off before its end. So is a line that begins as a
/// delimiter and is none: "boundary delimiters must not appear within the encapsulated material" (RFC 2046 section 5.1.1), and readers
/// differ on white space behind them, and on what follows the last one.
#[derive(Debug)]
pub struct Tail {
    /// `\n--boundary`.
    delimiter: Vec<u8>,
    /// The last bytes seen, as far as a delimiter or a header could still begin in them.
    held: Vec<u8>,
    /// From where on they are still to be searched.
    searched: usize,
    state: State,
    /// The bytes of a delimiter were seen.
    ended: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    Head,
    Closed,
}

impl Tail {
    /// A watch over a form with this boundary.
    #[must_use]
    pub fn new(boundary: &Boundary) -> Self {
        // The CRLF that ends the file part's headers counts as the one before a delimiter.
        Self {
            delimiter: [b"\n", boundary.dashed()].concat(),
            held: b"\r\n".to_vec(),
            searched: 0,
            state: State::Value,
            ended: false,
        }
    }

    /// Takes the next bytes, the first ones from [`super::Form::file_offset`] on.
    ///
    /// # Errors
    /// [`FormError::AfterFile`] for a field that decides something, [`FormError::Malformed`] for what cannot be read.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), FormError> {
        self.held.extend_from_slice(chunk);
        // Where what is read next begins.
        let mut at = 0;
        loop {
            match self.state {
                State::Closed => {
                    let rest = self.held.split_off(at.min(self.held.len()));
                    self.held.clear();
                    return if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
                        Ok(())
                    } else {
                        Err(FormError::Malformed(
                            "Nothing may follow the last boundary of the form.",
                        ))
                    };
                }
                State::Value => {
                    let Some(mark) = find_on(&self.held, &self.delimiter, &mut self.searched)
                    else {
                        // The CR before it stays.
                        self.let_go(self.searched.saturating_sub(1));
                        return Ok(());
                    };
                    self.ended = true;
                    let after = mark + self.delimiter.len();
                    if mark.checked_sub(1).and_then(|cr| self.held.get(cr)) != Some(&b'\r') {
                        return NO_DELIMITER;
                    }
                    match self.held.get(after..) {
                        Some([b'-', b'-', ..]) => {
                            self.state = State::Closed;
                            at = after + 2;
                        }
                        Some([b'\r', b'\n', ..]) => {
                            self.state = State::Head;
                            at = after + 2;
                            self.searched = at;
                        }
                        None | Some([] | [b'\r' | b'-']) => {
                            self.let_go(mark - 1);
                            return Ok(());
                        }
                        Some(_) => return NO_DELIMITER,
                    }
                }
                State::Head => {
                    let Some(end) = find_on(&self.held, b"\r\n\r\n", &mut self.searched) else {
                        self.let_go(at);
                        return if self.held.len() > MAX_HEAD {
                            Err(FormError::Malformed(
                                "The header of a part after the file is too long.",
                            ))
                        } else {
                            Ok(())
                        };
                    };
                    let head = disposition::parse(self.held.get(at..end).unwrap_or_default())?;
                    if is_foreign(head.name.as_bytes()) {
                        return Err(FormError::Extension(head.name));
                    }
                    if decides(&head.name) {
                        return Err(FormError::AfterFile(head.name));
                    }
                    self.state = State::Value;
                    self.searched = end + 2;
                }
            }
        }
    }

    /// Whether a delimiter may have ended the file, be it only the begin of its line.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.ended
    }

    /// Drops the first `n` of the held bytes.
    fn let_go(&mut self, n: usize) {
        self.held.drain(..n);
        self.searched -= n;
    }
}

const NO_DELIMITER: Result<(), FormError> = Err(FormError::Malformed(
    "A line of the file begins with the form's boundary: choose another boundary.",
));

/// Would a reader that takes fields after the file act on this one?
fn decides(name: &str) -> bool {
    name.starts_with("x-amz-")
        || matches!(
            name,
            "file"
                | "key"
                | "acl"
                | "tagging"
                | "policy"
                | "signature"
                | "awsaccesskeyid"
                | "bucket"
                | "content-type"
                | "content-encoding"
                | "content-disposition"
                | "cache-control"
                | "expires"
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn run(body: &[u8], step: usize) -> Result<(), FormError> {
        let mut tail = Tail::new(&Boundary::new("b").unwrap());
        body.chunks(step).try_for_each(|chunk| tail.feed(chunk))
    }

    #[test]
    fn watches_in_any_pieces() {
        for step in [1, 2, 3, 7, 1000] {
            assert_eq!(run(b"data\r\n--b--\r\n", step), Ok(()));
            assert_eq!(run(b"data\r\n--b\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nGo\r\n--b--", step), Ok(()));
            for name in ["x-amz-acl", "Key", "file", "TAGGING"] {
                let body = format!(
                    "data\r\n--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--b--"
                );
                assert_eq!(
                    run(body.as_bytes(), step),
                    Err(FormError::AfterFile(name.to_lowercase()))
                );
                // An empty file: the delimiter comes at once.
                let body = format!(
                    "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--b--"
                );
                assert_eq!(
                    run(body.as_bytes(), step),
                    Err(FormError::AfterFile(name.to_lowercase()))
                );
            }
            for body in [
                &b"data\r\n--boundary is longer\r\n--b--"[..],
                b"data\r\n--b \r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nGo\r\n--b--",
                b"data\r\n--b\t\r\n",
                b"data\n--b\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nGo\r\n--b--",
                b"data\r\n--b-\r\n--b--",
                b"data\r\n--b--x",
                b"data\r\n--b--\r\n--b\r\n",
                b"data\r\n--b\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nGo\r\n--b \r\n",
            ] {
                let told = run(body, step);
                assert!(matches!(told, Err(FormError::Malformed(_))), "{body:?}");
            }
            assert_eq!(run(b"data --b\r --b\r\n--b--\r\n\r\n", step), Ok(()));
            assert_eq!(run(b"\r\n\r\n\r\n--", step), Ok(()));
        }
    }

    #[test]
    fn extensions_of_one_store_are_refused() {
        for name in ["X-Minio-Extract", "x-amz-replication-status"] {
            let body = format!(
                "data\r\n--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\nx\r\n--b--"
            );
            assert_eq!(
                run(body.as_bytes(), 7),
                Err(FormError::Extension(name.to_lowercase()))
            );
        }
    }

    #[test]
    fn knows_where_the_file_ends() {
        let body = b"data\r\n--b\r\nContent-Disposition: form-data; name=\"submit\"\r\n\r\nGo\r\n--b--\r\n";
        let end = b"data\r\n--b".len();
        for step in [1, 2, 3, 7, 1000] {
            for length in 0..body.len() {
                let mut tail = Tail::new(&Boundary::new("b").unwrap());
                let body = &body[..length];
                body.chunks(step).try_for_each(|c| tail.feed(c)).unwrap();
                assert_eq!(
                    tail.has_file(),
                    length >= end,
                    "{length} in steps of {step}"
                );
            }
        }
    }

    #[test]
    fn holds_little() {
        let mut tail = Tail::new(&Boundary::new("b").unwrap());
        for _ in 0..100 {
            tail.feed(&[b'\r'; 4096]).unwrap();
            assert!(tail.held.len() < 16);
        }
    }
}
