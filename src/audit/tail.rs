//! How the earlier run left an audit file: with the line that ends it, without, or in the middle of a line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How far back the last line is looked for.
const REACH: u64 = 1 << 20;

/// How every line begins.
const BEGIN: &[u8] = b"{\"time\":\"";

/// What was found at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Its length without half an audit line at the end.
    pub whole: u64,
    /// Whether what is left does not end with a newline: not a line that was written here, so it is kept.
    pub open: bool,
    /// Whether it holds anything and its last line is not one that ends it.
    pub unclean: bool,
}

/// Looks at the end of a file.
pub fn tail(file: &mut File) -> io::Result<Tail> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(REACH);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(REACH).read_to_end(&mut bytes)?;
    let (lines, half) = match bytes.iter().rposition(|&b| b == b'\n') {
        Some(newline) => bytes.split_at(newline + 1),
        None => (&[][..], &bytes[..]),
    };
    let line = lines
        .strip_suffix(b"\n")
        .and_then(|lines| lines.rsplit(|&b| b == b'\n').next())
        .unwrap_or_default();
    let ended = serde_json::from_slice::<serde_json::Value>(line)
        .is_ok_and(|line| line.get("end") == Some(&serde_json::Value::Bool(true)));
    // Never a byte of a file that was named by mistake.
    let ours = half.starts_with(BEGIN) || BEGIN.starts_with(half);
    let cut = if ours { half.len() } else { 0 };
    Ok(Tail {
        whole: length - u64::try_from(cut).unwrap_or(0),
        open: !ours,
        unclean: !half.is_empty() || (!lines.is_empty() && !ended),
    })
}
