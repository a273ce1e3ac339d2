#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use super::*;
use crate::audit::Decision;

const ALONE: Others = Others::End(Duration::ZERO);

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!(
            "sealgate-audit-{name}-{}.jsonl",
            std::process::id()
        ));
        let scratch = Self(path);
        scratch.remove();
        scratch
    }

    fn open(&self) -> AuditSink {
        self.start(ALONE).unwrap()
    }

    fn start(&self, others: Others) -> Result<AuditSink, AuditError> {
        let audit = Audit {
            stdout: false,
            file: Some(self.0.clone()),
            ..Audit::default()
        };
        AuditSink::open(&audit, others)
    }

    fn mark(&self) -> PathBuf {
        self.0.with_extension("jsonl.end")
    }

    fn remove(&self) {
        let _ = fs::remove_file(&self.0);
        let _ = fs::remove_file(self.mark());
        let _ = fs::remove_file(self.0.with_extension("jsonl.lock"));
    }

    fn lines(&self) -> Vec<Value> {
        let text = fs::read_to_string(&self.0).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.remove();
    }
}

fn event() -> Event<'static> {
    Event::new(UNIX_EPOCH, "r", "PUT", Decision::Allow)
}

#[test]
fn durable_lines_are_there_and_others_wait() {
    let scratch = Scratch::new("durable");
    let sink = scratch.open();
    for _ in 0..=PROMPT {
        sink.record(&event(), false).unwrap();
    }
    let prompt = PROMPT as usize;
    assert_eq!(scratch.lines().len(), prompt, "a few do not wait");
    sink.record(&event(), true).unwrap();
    let lines = scratch.lines();
    assert_eq!(lines.len(), prompt + 2);
    assert_eq!((&lines[0]["seq"], &lines[1]["seq"]), (&1.into(), &2.into()));
    assert_eq!(lines[0]["start"], sink.start());
    assert_eq!(lines[0]["unclean"], false);
    sink.record(&event(), false).unwrap();
    assert_eq!(scratch.lines().len(), prompt + 2);
    sink.flush().unwrap();
    assert_eq!(scratch.lines().len(), prompt + 3);
    sink.record(&event(), false).unwrap();
    assert_eq!(scratch.lines().len(), prompt + 4);
    for _ in 0..100 {
        sink.record(&event(), false).unwrap();
    }
    assert!(
        scratch.lines().len() > prompt + 12,
        "32 KiB are written without being asked"
    );
    let mode = fs::metadata(&scratch.0).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn ended_files_are_clean() {
    let scratch = Scratch::new("clean");
    let first = scratch.open();
    first.record(&event(), true).unwrap();
    first.end(true).unwrap();
    let id = first.start().to_owned();
    drop(first);
    let second = scratch.open();
    assert_ne!(second.start(), id);
    second.record(&event(), true).unwrap();
    let lines = scratch.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["unclean"], false);
    assert_eq!(lines[1]["seq"], 1);
    assert!(!scratch.mark().exists(), "the second run has not ended");
}

#[test]
fn a_file_that_changed_since_its_end_is_unclean() {
    let scratch = Scratch::new("changed");
    for change in ["", "{}\n{}\n"] {
        let first = scratch.open();
        first.record(&event(), true).unwrap();
        first.end(true).unwrap();
        drop(first);
        fs::write(&scratch.0, format!("{{}}\n{change}")).unwrap();
        let second = scratch.open();
        second.record(&event(), true).unwrap();
        assert_eq!(scratch.lines().last().unwrap()["unclean"], true);
        scratch.remove();
    }
}

#[test]
fn killed_runs_are_told() {
    let scratch = Scratch::new("killed");
    let first = scratch.open();
    first.record(&event(), true).unwrap();
    // Without its end, and without the lock that a live run holds.
    drop(first);
    let second = scratch.open();
    second.record(&event(), true).unwrap();
    second.record(&event(), true).unwrap();
    let unclean: Vec<_> = scratch
        .lines()
        .iter()
        .map(|l| l["unclean"] == true)
        .collect();
    assert_eq!(unclean, [false, true, false]);
}

#[test]
fn half_a_line_is_cut_off() {
    let scratch = Scratch::new("half");
    fs::write(&scratch.0, "{}\n{\"time\":\"20").unwrap();
    scratch.open().record(&event(), true).unwrap();
    let lines = scratch.lines();
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["unclean"], true);

    fs::write(&scratch.0, "{\"time\":\"20").unwrap();
    scratch.open().record(&event(), true).unwrap();
    assert_eq!(scratch.lines()[0]["unclean"], true);
}

#[test]
fn another_file_is_only_added_to() {
    let scratch = Scratch::new("another");
    for text in ["not a log", "{}\nnot a log", "not a log\n"] {
        fs::write(&scratch.0, text).unwrap();
        scratch.open().record(&event(), true).unwrap();
        let got = fs::read_to_string(&scratch.0).unwrap();
        let (kept, line) = got.trim_end().rsplit_once('\n').unwrap();
        assert_eq!(kept, text.trim_end());
        assert_eq!(
            serde_json::from_str::<Value>(line).unwrap()["unclean"],
            true
        );
    }
}

#[test]
fn a_device_without_room() {
    let audit = Audit {
        stdout: false,
        file: Some("/dev/full".into()),
        ..Audit::default()
    };
    let sink = AuditSink::open(&audit, ALONE).unwrap();
    let error = sink.record(&event(), true).unwrap_err().to_string();
    assert!(error.contains("/dev/full: No space left"), "{error}");
    assert!(sink.is_blocked());
}

#[test]
fn no_folder_no_sink() {
    let audit = Audit {
        stdout: false,
        file: Some("no/such/folder/a.jsonl".into()),
        ..Audit::default()
    };
    let error = AuditSink::open(&audit, ALONE).err().unwrap().to_string();
    assert!(error.contains("no/such/folder/a.jsonl"), "{error}");
}

/// A disk with so many bytes of room.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

impl Disk {
    fn with(room: usize) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), room))))
    }
    fn grow(&self, by: usize) {
        self.0.lock().unwrap().1 += by;
    }
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
    }
}

impl Write for Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut disk = self.0.lock().unwrap();
        let n = bytes.len().min(disk.1);
        if n == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        disk.1 -= n;
        disk.0.extend_from_slice(&bytes[..n]);
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told_and_tears_no_line() {
    let disk = Disk::with(1000);
    let sink = AuditSink::to("disk", Box::new(disk.clone()));
    sink.record(&event(), true).unwrap();
    assert!(!sink.is_blocked());
    let error = sink.record(&event(), true).unwrap_err();
    assert!(matches!(error, AuditError::Write { .. }), "{error}");
    assert!(sink.is_blocked() && sink.errors() == 1);
    assert_eq!(
        disk.text().len(),
        1000,
        "the room is used, in the middle of a line"
    );
    disk.grow(1 << 20);
    sink.flush().unwrap();
    assert!(!sink.is_blocked());
    sink.record(&event(), true).unwrap();
    let text = disk.text();
    let seqs: Vec<u64> = text
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["seq"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seqs, [1, 2, 3]);
}

#[test]
fn what_waits_is_bounded() {
    let disk = Disk::with(0);
    let sink = AuditSink::to("disk", Box::new(disk.clone()));
    let mut full = 0_u64;
    for _ in 0..3000 {
        full += u64::from(matches!(sink.record(&event(), true), Err(AuditError::Full)));
    }
    assert!(full > 0 && sink.lost() == full);
    disk.grow(1 << 24);
    sink.flush().unwrap();
    let text = disk.text();
    assert_eq!(u64::try_from(text.lines().count()).unwrap(), 3000 - full);
    assert!(
        text.lines()
            .all(|l| serde_json::from_str::<Value>(l).is_ok())
    );
}

#[test]
fn threads_share_it() {
    let scratch = Scratch::new("threads");
    let sink = scratch.open();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..200 {
                    sink.record(&event(), i % 3 == 0).unwrap();
                }
            });
        }
    });
    sink.end(true).unwrap();
    let seqs: Vec<_> = scratch
        .lines()
        .iter()
        .map(|l| l["seq"].as_u64().unwrap())
        .collect();
    assert_eq!(seqs, (1..=800).collect::<Vec<_>>());
}

#[test]
fn losses_are_told_in_the_trail() {
    let disk = Disk::with(0);
    let sink = AuditSink::to("disk", Box::new(disk.clone()));
    let mut full = 0_u64;
    for _ in 0..3000 {
        full += u64::from(matches!(sink.record(&event(), true), Err(AuditError::Full)));
    }
    disk.grow(1 << 24);
    sink.flush().unwrap();
    sink.record(&event(), true).unwrap();
    sink.record(&event(), true).unwrap();
    let text = disk.text();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let [.., before, first, second] = lines.as_slice() else {
        panic!("{text}")
    };
    assert_eq!(before["seq"], 3000 - full);
    assert_eq!(
        (&first["seq"], &first["lost"]),
        (&3001.into(), &full.into())
    );
    assert_eq!((&second["seq"], second.get("lost")), (&3002.into(), None));
}

#[test]
fn rotation_tears_and_loses_nothing() {
    let scratch = Scratch::new("rotated");
    let audit = Audit {
        stdout: false,
        file: Some(scratch.0.clone()),
        rotate: Some(crate::config::Rotate {
            bytes: Some(16 << 10),
            keep: None,
            ..crate::config::Rotate::default()
        }),
        ..Audit::default()
    };
    let sink = AuditSink::open(&audit, ALONE).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for i in 0..500 {
                    sink.record(&event(), i % 3 == 0).unwrap();
                }
            });
        }
    });
    sink.end(true).unwrap();
    let files = crate::audit::rotation::rotated(&scratch.0).unwrap();
    assert!(files.len() > 20, "{}", files.len());
    let mut seqs = Vec::new();
    for path in files.iter().map(|(_, path)| path).chain([&scratch.0]) {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.ends_with("}\n"));
        for line in text.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            seqs.push(line["seq"].as_u64().unwrap());
            assert_eq!(line["unclean"], false);
        }
    }
    assert_eq!(seqs, (1..=2000).collect::<Vec<_>>());
    assert_eq!(sink.rotations(), (files.len() as u64, 0));
    for (_, path) in files {
        fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_file_has_one_sink() {
    let scratch = Scratch::new("taken");
    let first = scratch.open();
    let error = scratch.start(ALONE).err().unwrap().to_string();
    assert!(
        error.starts_with("another process writes the audit file"),
        "{error}"
    );
    assert!(error.contains("--upgrade"), "{error}");
    drop(first);
    scratch.open();
}

#[test]
fn two_sinks_share_a_file_that_is_deleted() {
    let scratch = Scratch::new("shared");
    let old = scratch.open();
    old.record(&event(), true).unwrap();
    old.share();
    let new = scratch.start(Others::Share).unwrap();
    fs::remove_file(&scratch.0).unwrap();
    std::thread::scope(|scope| {
        for sink in [&old, &new] {
            scope.spawn(move || {
                for i in 0..300 {
                    sink.record(&event(), true).unwrap();
                    if i == 150 {
                        sink.flush().unwrap();
                    }
                }
            });
        }
    });
    let lines = scratch.lines();
    for (sink, from) in [(&old, 1), (&new, 1)] {
        let seqs: Vec<_> = lines
            .iter()
            .filter(|line| line["start"] == sink.start())
            .map(|line| line["seq"].as_u64().unwrap())
            .collect();
        let last = from + seqs.len() as u64 - 1;
        assert_eq!(seqs, (from..=last).collect::<Vec<_>>());
        assert!(last == 301 || last == 300);
        assert_eq!(sink.lost(), 0);
    }
    assert!(lines.iter().all(|line| line.get("lost").is_none()));
}

#[test]
fn lines_that_a_deleted_file_does_not_have_are_told() {
    let scratch = Scratch::new("emptied");
    let sink = scratch.open();
    for _ in 0..3 {
        sink.record(&event(), true).unwrap();
    }
    fs::write(&scratch.0, "").unwrap();
    fs::remove_file(&scratch.0).unwrap();
    sink.flush().unwrap();
    sink.record(&event(), true).unwrap();
    sink.record(&event(), true).unwrap();
    let found: Vec<_> = scratch
        .lines()
        .iter()
        .map(|line| (line["seq"].as_u64(), line["lost"].as_u64()))
        .collect();
    assert_eq!(found, [(Some(4), Some(3)), (Some(5), None)]);
    assert_eq!(sink.lost(), 3);
}

#[test]
fn what_no_line_has_told_is_for_the_next_run() {
    let scratch = Scratch::new("untold");
    let first = scratch.open();
    first.record(&event(), true).unwrap();
    // Killed. The second run writes nothing and ends well.
    drop(first);
    scratch.open().end(true).unwrap();
    for unclean in [true, false] {
        let sink = scratch.open();
        sink.record(&event(), true).unwrap();
        sink.end(true).unwrap();
        assert_eq!(scratch.lines().last().unwrap()["unclean"], unclean);
    }
}

#[test]
fn an_end_without_all_lines_is_told() {
    let scratch = Scratch::new("incomplete");
    let sink = scratch.open();
    sink.record(&event(), true).unwrap();
    sink.end(false).unwrap();
    drop(sink);
    let next = scratch.open();
    next.record(&event(), true).unwrap();
    assert_eq!(scratch.lines()[1]["unclean"], true);
}

#[test]
fn an_end_says_how_many_lines_are_left() {
    let disk = Disk::with(0);
    let sink = AuditSink::to("disk", Box::new(disk.clone()));
    assert!(!sink.waits());
    for _ in 0..3000 {
        let _ = sink.record(&event(), true);
    }
    assert!(sink.waits() && sink.lost() > 0);
    let error = sink.end(true).unwrap_err().to_string();
    assert!(
        error.starts_with("audit lines are lost, not taken until the end: 3000 for disk ("),
        "{error}"
    );
    disk.grow(1 << 24);
    sink.flush().unwrap();
    assert!(!sink.waits());
}
