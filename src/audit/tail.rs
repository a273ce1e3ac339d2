//! How the earlier run left an audit file: ended, not ended, or in the middle of a line.
//!
//! That a run ended its file stands beside it, in `<file>.end`: the file's length at that time, in bytes; or `open` where a run
//! ended and the one before it went on. So every line of the file itself is a request, and a file that was cut or added to
//! since does not pass for one that was ended.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::beside::beside;

/// How far back the last line is looked for.
const REACH: u64 = 1 << 20;

/// How every line begins.
const BEGIN: &[u8] = b"{\"time\":\"";

/// What was found at the end of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// Its length.
    pub length: u64,
    /// Its length without half an audit line at the end.
    pub whole: u64,
    /// Whether what is left does not end with a newline: not a line that was written here, so it is kept.
    pub open: bool,
    /// Whether it ends in the middle of a line.
    pub torn: bool,
}

/// Where the length of the ended file stands.
fn mark(path: &Path) -> PathBuf {
    beside(path, ".end")
}

/// What a run that ended says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// The file ended with this length.
    Ended,
    /// It ended with another one, or what is said cannot be read.
    Other,
    /// The run had the file to itself, but not its end: the run before went on.
    Open,
}

/// What stands for [`Mark::Open`].
const OPEN: &str = "open";

/// Says that the run ended its file, of `length` bytes; none: its end is that of the run before.
pub fn set_mark(path: &Path, length: Option<u64>) -> io::Result<()> {
    let said = length.map_or(OPEN.to_owned(), |length| length.to_string());
    fs::write(mark(path), said + "\n")
}

/// What the latest run that ended says of this file, of `length` bytes; nothing where no run said anything. The mark is taken
/// away: the next end must be said anew.
///
/// # Errors
/// There is a mark and it cannot be removed.
pub fn take_mark(path: &Path, length: u64) -> io::Result<Option<Mark>> {
    let path = mark(path);
    let said = match fs::read_to_string(&path).unwrap_or_default().trim() {
        OPEN => Mark::Open,
        said if said.parse() == Ok(length) => Mark::Ended,
        _ => Mark::Other,
    };
    match fs::remove_file(&path) {
        Ok(()) => Ok(Some(said)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Looks at the end of a file.
pub fn tail(file: &mut File) -> io::Result<Tail> {
    let length = file.seek(SeekFrom::End(0))?;
    let from = length.saturating_sub(REACH);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(REACH).read_to_end(&mut bytes)?;
    let start = bytes
        .iter()
        .rposition(|&b| b == b'\n')
        .map_or(0, |newline| newline + 1);
    let half = &bytes[start..];
    // Never a byte of a file that was named by mistake.
    let ours = half.starts_with(BEGIN) || BEGIN.starts_with(half);
    let cut = if ours { half.len() } else { 0 };
    Ok(Tail {
        length,
        whole: length - u64::try_from(cut).unwrap_or(0),
        open: !ours,
        torn: !half.is_empty(),
    })
}
