//! The chunked transfer coding (RFC 9112 section 7.1).
//!
//! Stricter than the RFC: CRLF only, sizes of at most 16 hexadecimal digits, extensions and trailers bounded. Neither
//! means anything between a client and a store: both are dropped.

/// Appends `data` as one chunk; nothing where it is empty, because that would end the body.
pub fn put_chunk(data: &[u8], out: &mut impl bytes::BufMut) {
    if data.is_empty() {
        return;
    }
    let digits = b"0123456789abcdef";
    let used = (usize::BITS - data.len().leading_zeros()).div_ceil(4);
    for place in (0..used).rev() {
        out.put_u8(digits[data.len() >> (4 * place) & 15]);
    }
    out.put_slice(b"\r\n");
    out.put_slice(data);
    out.put_slice(b"\r\n");
}

/// The last chunk, and no trailers.
pub const END: &[u8] = b"0\r\n\r\n";

/// Follows a chunked body through its bytes.
#[derive(Clone, Debug)]
pub struct ChunkedScanner {
    state: State,
    /// Bytes left of the current chunk's data.
    left: u64,
    /// Digits of the current size, then bytes of the current extension or trailer section.
    seen: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

/// A chunked body that does not follow its grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "The chunked body is malformed; each chunk is `size CRLF data CRLF`, sizes in hexadecimal (RFC 9112 section 7.1)."
)]
pub struct ChunkedError;

/// Most bytes of one chunk's extension, or of the trailer section.
const MAX_SIDE_BYTES: u32 = 16 * 1024;

impl Default for ChunkedScanner {
    fn default() -> Self {
        Self {
            state: State::Size,
            left: 0,
            seen: 0,
        }
    }
}

impl ChunkedScanner {
    /// Whether the last chunk and the trailer section have been seen.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// Whether the last chunk's size may have been seen: no data is to come then.
    #[must_use]
    pub fn is_at_last(&self) -> bool {
        match self.state {
            State::Size => self.seen > 0 && self.left == 0,
            State::Extension | State::SizeLf => self.left == 0,
            State::Data | State::DataCr | State::DataLf => false,
            State::TrailerStart | State::Trailer | State::TrailerLf | State::EndLf | State::End => {
                true
            }
        }
    }

    /// Takes the next bytes, and shows the data that is in them; returns how many of them belong to this message.
    ///
    /// # Errors
    /// Where the bytes are no chunked body.
    pub fn scan(
        &mut self,
        bytes: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<usize, ChunkedError> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::End {
            if self.state == State::Data {
                let here = (bytes.len() - at).min(usize::try_from(self.left).unwrap_or(usize::MAX));
                data(&bytes[at..at + here]);
                at += here;
                self.left -= here as u64;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.step(bytes[at])?;
            at += 1;
        }
        Ok(at)
    }

    fn step(&mut self, b: u8) -> Result<(), ChunkedError> {
        self.state = match (self.state, b) {
            (State::Size, b) if b.is_ascii_hexdigit() => {
                self.seen += 1;
                if self.seen > 16 || self.left >> 60 != 0 {
                    return Err(ChunkedError);
                }
                let digit = (b as char).to_digit(16).ok_or(ChunkedError)?;
                self.left = self.left << 4 | u64::from(digit);
                State::Size
            }
            (State::Size, b'\r') if self.seen > 0 => State::SizeLf,
            (State::Size, b';') if self.seen > 0 => {
                self.seen = 0;
                State::Extension
            }
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension | State::Trailer, b) if b == b'\t' || (b >= 0x20 && b != 0x7f) => {
                self.bounded()?;
                self.state
            }
            (State::SizeLf, b'\n') => {
                self.seen = 0;
                if self.left == 0 {
                    State::TrailerStart
                } else {
                    State::Data
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size,
            (State::TrailerStart, b'\r') => State::EndLf,
            // A line that starts with white space would be a folded one.
            (State::TrailerStart, b) if super::head::is_tchar(b) => {
                self.bounded()?;
                State::Trailer
            }
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::EndLf, b'\n') => State::End,
            _ => return Err(ChunkedError),
        };
        Ok(())
    }

    fn bounded(&mut self) -> Result<(), ChunkedError> {
        self.seen += 1;
        if self.seen > MAX_SIDE_BYTES {
            return Err(ChunkedError);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn drop_data(_: &[u8]) {}

    const BODY: &[u8] =
        b"5\r\nhello\r\n0a;name=value\r\n0123456789\r\n0\r\nx-amz-checksum: a\r\n\r\n";

    #[test]
    fn ends_where_the_message_ends() {
        let mut bytes = BODY.to_vec();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        let mut scanner = ChunkedScanner::default();
        assert_eq!(scanner.scan(&bytes, drop_data), Ok(BODY.len()));
        assert!(scanner.is_done());
        assert_eq!(scanner.scan(b"more", drop_data), Ok(0));
    }

    #[test]
    fn data_comes_out_and_goes_in_again() {
        let mut data = Vec::new();
        let mut scanner = ChunkedScanner::default();
        scanner
            .scan(BODY, |piece| data.extend_from_slice(piece))
            .unwrap();
        assert_eq!(data, b"hello0123456789");
        for length in [0, 1, 15, 16, 17, 255, 256, 70_000] {
            let data = vec![b'x'; length];
            let mut out = Vec::new();
            put_chunk(&data, &mut out);
            out.extend_from_slice(END);
            let mut again = Vec::new();
            let mut scanner = ChunkedScanner::default();
            let taken = scanner
                .scan(&out, |piece| again.extend_from_slice(piece))
                .unwrap();
            assert!(scanner.is_done() && taken == out.len() && again == data);
        }
    }

    #[test]
    fn what_is_not_chunked_is_refused() {
        for bad in [
            &b"\r\n"[..],
            b"x\r\n",
            b"5\nhello",
            b"5 \r\nhello\r\n",
            b"-5\r\n",
            b"0x5\r\n",
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\n",
            b"5;a\x00b\r\n",
            b"5;a\nb\r\n",
            b"11111111111111111\r\n",
            b"0\r\n folded\r\n\r\n",
            b"0\r\na: b\n\r\n",
            b"0\r\n\n",
        ] {
            assert_eq!(
                ChunkedScanner::default().scan(bad, drop_data),
                Err(ChunkedError),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn side_bytes_are_bounded() {
        let mut scanner = ChunkedScanner::default();
        scanner.scan(b"5;", drop_data).unwrap();
        assert!(scanner.scan(&vec![b'a'; 20_000], drop_data).is_err());
        let mut scanner = ChunkedScanner::default();
        scanner.scan(b"0\r\n", drop_data).unwrap();
        assert!((0..20_000).any(|_| scanner.scan(b"a: b\r\n", drop_data).is_err()));
    }

    proptest::proptest! {
        #[test]
        fn any_split_reads_the_same(cuts in proptest::collection::vec(0..BODY.len(), 0..6)) {
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut scanner = ChunkedScanner::default();
            let mut from = 0;
            for to in cuts.into_iter().chain([BODY.len()]) {
                proptest::prop_assert_eq!(scanner.scan(&BODY[from..to], drop_data), Ok(to - from));
                from = to;
            }
            proptest::prop_assert!(scanner.is_done());
        }

        #[test]
        fn never_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = ChunkedScanner::default().scan(&bytes, drop_data);
        }
    }
}
