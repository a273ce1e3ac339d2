//! How the earlier run left an audit file: with the line that ends it, without, or in the middle of a line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// How far back the last line is looked for.
const REACH: u64 = 1 << 20;

/// What was found at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Its length without half a line at the end.
    pub whole: u64,
    /// Whether it holds lines and the last is not one that ends it.
    pub unclean: bool,
}

/// Looks at the end of a file.
pub fn tail(file: &mut File) -> io::Result<Tail> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(REACH);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(REACH).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Tail {
            whole: 0,
            unclean: false,
        });
    }
    let Some(newline) = bytes.iter().rposition(|&b| b == b'\n') else {
        // One line longer than any that is written here: not ours to cut, unless it is all there is.
        return Ok(Tail {
            whole: from,
            unclean: true,
        });
    };
    let cut = bytes.len() - 1 - newline;
    let line = bytes
        .get(..newline)
        .and_then(|lines| lines.rsplit(|&b| b == b'\n').next())
        .unwrap_or_default();
    let ended = serde_json::from_slice::<serde_json::Value>(line)
        .is_ok_and(|line| line.get("end") == Some(&serde_json::Value::Bool(true)));
    Ok(Tail {
        whole: length - u64::try_from(cut).unwrap_or(0),
        unclean: cut > 0 || !ended,
    })
}
