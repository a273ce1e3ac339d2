//! The names of rotated files: `audit.jsonl.20261124T113000Z.000001`, the time of the rotation and a number that only
//! grows, so that their order survives a clock that is set back.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::beside::all_beside;
use super::clock::TimeText;

/// The rotated files of an audit file, oldest first, with their numbers. Only regular files whose names are exactly such.
///
/// # Errors
/// The folder cannot be listed.
pub fn rotated(path: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let beside = all_beside(path, ".")?;
    let mut found: Vec<_> = beside
        .into_iter()
        .filter_map(|(rest, path)| Some((number(rest.as_bytes())?, path)))
        .collect();
    found.sort();
    Ok(found)
}

/// Makes the next rotated file, empty: whoever makes it has the name, and no file is ever replaced.
///
/// # Errors
/// The folder cannot be listed or written.
pub fn claim(path: &Path, now: SystemTime) -> io::Result<PathBuf> {
    let mut next = rotated(path)?.last().map_or(1, |(number, _)| number + 1);
    loop {
        let claimed = named(path, now, next);
        let made = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&claimed);
        match made {
            Ok(_) => return Ok(claimed),
            // A folder of that name, or another process that writes the same file.
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && next < u64::MAX => next += 1,
            Err(e) => return Err(e),
        }
    }
}

/// Deletes the oldest rotated files, so that so many are left.
///
/// # Errors
/// One of them cannot be deleted; the others were.
pub fn prune(path: &Path, keep: u64) -> io::Result<()> {
    let found = rotated(path)?;
    let keep = usize::try_from(keep).unwrap_or(usize::MAX);
    let mut failed = Ok(());
    for (_, old) in found.iter().take(found.len().saturating_sub(keep)) {
        match fs::remove_file(old) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => failed = Err(e),
            _ => {}
        }
    }
    failed
}

fn named(path: &Path, now: SystemTime, number: u64) -> PathBuf {
    let mut time = Vec::new();
    TimeText::default().write(now, &mut time);
    // To the second, without punctuation.
    time.truncate(19);
    time.retain(|b| !matches!(b, b'-' | b':'));
    let mut name = OsString::from(path).into_vec();
    name.push(b'.');
    name.extend_from_slice(&time);
    name.extend_from_slice(format!("Z.{number:06}").as_bytes());
    OsString::from_vec(name).into()
}

/// The number of a rotated file, by what follows the audit file's name and a dot.
fn number(rest: &[u8]) -> Option<u64> {
    let (time, number) = rest.split_at_checked(16)?;
    let number = number.strip_prefix(b".")?;
    let is_time = time.iter().enumerate().all(|(i, b)| match i {
        8 => *b == b'T',
        15 => *b == b'Z',
        _ => b.is_ascii_digit(),
    });
    let is_number = number.len() >= 6
        && number.iter().all(u8::is_ascii_digit)
        && (number.len() == 6 || number.first() != Some(&b'0'));
    if !(is_time && is_number) {
        return None;
    }
    let number = std::str::from_utf8(number).ok()?.parse().ok()?;
    // Room for the next one.
    (number < u64::MAX).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, UNIX_EPOCH};

    #[test]
    fn names_are_read_as_written() {
        let time = UNIX_EPOCH + Duration::from_mins(29_925_330);
        for n in [1, 999_999, 1_000_000, u64::MAX - 1] {
            let path = named(Path::new("a/audit.jsonl"), time, n);
            let name = path.file_name().unwrap_or_default().as_bytes();
            let rest = name.strip_prefix(b"audit.jsonl.").unwrap_or_default();
            assert_eq!(number(rest), Some(n), "{path:?}");
        }
        assert_eq!(
            named(Path::new("a"), time, 7),
            Path::new("a.20261124T113000Z.000007")
        );
    }

    #[test]
    fn other_names_are_not_ours() {
        for rest in [
            "",
            "end",
            "1",
            "20261124T113000Z.00001",
            "20261124T113000Z.0000001",
            "20261124T113000Z.000001.gz",
            "20261124T113000Z.000001x",
            "20261124T113000.000001",
            "2026112aT113000Z.000001",
            "20261124T113000Z.18446744073709551615",
            "20261124T113000Z.99999999999999999999",
        ] {
            assert_eq!(number(rest.as_bytes()), None, "{rest}");
        }
    }
}
