#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;

use super::super::rotation::{prune, rotated};
use super::*;

/// A folder of one test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("sealgate-rotate-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("audit.jsonl")
    }

    fn open(&self, rotate: Rotate) -> (AuditFile, bool) {
        self.start(rotate, Others::End(Duration::ZERO), "x")
            .unwrap()
    }

    fn start(&self, rotate: Rotate, others: Others, start: &str) -> io::Result<(AuditFile, bool)> {
        AuditFile::open(&self.file(), Some(rotate), others, start)
    }

    /// What the rotated files and the file say, in their order.
    fn texts(&self) -> Vec<String> {
        let rotated = rotated(&self.file()).unwrap();
        let files = rotated.into_iter().map(|(_, path)| path);
        files
            .chain([self.file()])
            .map(|path| fs::read_to_string(path).unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const SMALL: Rotate = Rotate {
    bytes: Some(10),
    time: Some(Duration::from_hours(1)),
    keep: None,
};

#[test]
fn rotates_before_it_is_too_large() {
    let folder = Folder::new("size");
    let (mut file, _) = folder.open(SMALL);
    assert!(!file.is_full(100), "an empty file takes any line");
    file.write(b"1234\n").unwrap();
    assert!(!file.is_full(5) && file.is_full(6));
    assert!(file.rotate(SystemTime::now()).unwrap());
    assert!(!file.is_full(100));
    file.write(b"5\n").unwrap();
    assert!(file.rotate(SystemTime::now()).unwrap());
    assert_eq!(folder.texts(), ["1234\n", "5\n", ""]);
    for entry in fs::read_dir(&folder.0).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn rotates_when_it_is_old() {
    let folder = Folder::new("age");
    let (mut file, _) = folder.open(SMALL);
    let later = SystemTime::now() + Duration::from_hours(2);
    assert!(!file.is_old(later), "it is empty");
    file.write(b"1\n").unwrap();
    assert!(!file.is_old(SystemTime::now()) && file.is_old(later));
    file.rotate(later).unwrap();
    file.write(b"2\n").unwrap();
    assert!(!file.is_old(later) && file.is_old(later + Duration::from_hours(1)));
    assert!(!file.is_old(SystemTime::UNIX_EPOCH), "a clock set back");
}

#[test]
fn old_files_go_and_others_stay() {
    let folder = Folder::new("keep");
    for name in [
        "audit.jsonl.1",
        "audit.jsonl.20261124T113000Z.000001.gz",
        "other",
    ] {
        fs::write(folder.0.join(name), "x").unwrap();
    }
    fs::create_dir(folder.0.join("audit.jsonl.20261124T113000Z.000002")).unwrap();
    let (mut file, _) = folder.open(SMALL);
    for line in ["1\n", "2\n", "3\n", "4\n"] {
        file.write(line.as_bytes()).unwrap();
        // A clock that runs backwards does not change what is oldest.
        file.rotate(SystemTime::UNIX_EPOCH).unwrap();
    }
    prune(&folder.file(), 2).unwrap();
    assert_eq!(folder.texts(), ["3\n", "4\n", ""]);
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 7);
}

#[test]
fn a_link_stays_a_link() {
    let folder = Folder::new("link");
    let elsewhere = folder.0.join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let real = elsewhere.join("real.jsonl");
    fs::write(&real, "").unwrap();
    std::os::unix::fs::symlink(&real, folder.file()).unwrap();
    let (mut file, _) = folder.open(SMALL);
    file.write(b"1\n").unwrap();
    file.rotate(SystemTime::now()).unwrap();
    file.write(b"2\n").unwrap();
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "2\n");
    assert_eq!(rotated(&real).unwrap().len(), 1);
}

#[test]
fn moved_away_or_deleted_it_is_made_anew() {
    let folder = Folder::new("moved");
    let (mut file, _) = folder.open(SMALL);
    file.write(b"1\n").unwrap();
    assert!(!file.look().unwrap());
    fs::rename(folder.file(), folder.0.join("audit.jsonl.1")).unwrap();
    file.write(b"2\n").unwrap();
    assert!(file.look().unwrap());
    file.write(b"3\n").unwrap();
    assert_eq!(folder.texts(), ["3\n"]);
    fs::remove_file(folder.file()).unwrap();
    assert!(
        !file.rotate(SystemTime::now()).unwrap(),
        "nothing to rotate"
    );
    file.write(b"4\n").unwrap();
    assert_eq!(folder.texts(), ["4\n"]);
    let moved = fs::read_to_string(folder.0.join("audit.jsonl.1")).unwrap();
    assert_eq!(moved, "1\n2\n");
}

#[test]
fn without_its_folder_it_goes_on() {
    let folder = Folder::new("folder");
    let (mut file, _) = folder.open(SMALL);
    file.write(b"123456789\n").unwrap();
    let away = folder.0.with_extension("away");
    fs::rename(&folder.0, &away).unwrap();
    assert!(file.is_full(1));
    assert!(file.rotate(SystemTime::now()).is_err());
    assert!(!file.is_full(1), "not again before the next look");
    file.write(b"a\n").unwrap();
    assert!(file.look().is_err());
    fs::rename(&away, &folder.0).unwrap();
    assert!(!file.look().unwrap() && file.is_full(1));
    assert!(file.rotate(SystemTime::now()).unwrap());
    assert_eq!(folder.texts(), ["123456789\na\n", ""]);
}

#[test]
fn a_run_killed_after_a_rotation_is_told() {
    let folder = Folder::new("killed");
    let (mut file, unclean) = folder.open(SMALL);
    assert!(!unclean, "the first run");
    file.write(b"1\n").unwrap();
    file.rotate(SystemTime::now()).unwrap();
    drop(file);
    let (mut file, unclean) = folder.open(SMALL);
    assert!(unclean, "the file is empty and was not ended");
    file.write(b"2\n").unwrap();
    file.rotate(SystemTime::now()).unwrap();
    file.end().unwrap();
    drop(file);
    assert!(!folder.open(SMALL).1, "the file is empty and was ended");
}

#[test]
fn a_run_that_takes_over_is_clean() {
    let folder = Folder::new("over");
    let (mut old, _) = folder.open(SMALL);
    old.write(b"{\"time\":\"1\"}\n").unwrap();
    old.share();
    let (mut new, unclean) = folder.start(SMALL, Others::Share, "y").unwrap();
    assert!(!unclean);
    old.rotate(SystemTime::now()).unwrap();
    assert!(new.look().unwrap(), "it follows");
    new.write(b"2\n").unwrap();
    old.write(b"3\n").unwrap();
    assert_eq!(folder.texts(), ["{\"time\":\"1\"}\n", "2\n3\n"]);
    old.end().unwrap();
    old.look().unwrap();
    drop(old);
    new.look().unwrap();
    assert!(!new.take_unclean(), "it was ended");
    drop(new);
    let (new, unclean) = folder.open(SMALL);
    assert!(unclean, "the second one was killed and had written nothing");
    drop(new);
}

#[test]
fn a_mark_goes_whoever_holds_the_lock() {
    let folder = Folder::new("mark");
    let (mut old, _) = folder.open(SMALL);
    old.write(b"1\n").unwrap();
    old.share();
    let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
    // The new one rotates: the new file's lock is its own.
    new.rotate(SystemTime::now()).unwrap();
    old.look().unwrap();
    old.end().unwrap();
    drop(old);
    new.look().unwrap();
    drop(new);
    assert!(folder.open(SMALL).1, "the second one was killed");
}

#[test]
fn a_run_that_hands_over_and_is_killed_is_told() {
    // Nobody to follow: the file is another one than that of the run which hands over.
    let folder = Folder::new("another");
    let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
    new.write(b"1\n").unwrap();
    new.rotate(SystemTime::now()).unwrap();
    new.look().unwrap();
    assert!(!new.take_unclean());
    new.end().unwrap();
    drop(new);
    assert!(!folder.open(SMALL).1, "it ended well");

    for (rotations, notices) in [(0, true), (1, true), (2, true), (1, false), (2, false)] {
        for killed in [true, false] {
            let folder = Folder::new("handed");
            let (mut old, _) = folder.open(SMALL);
            old.share();
            let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
            new.look().unwrap();
            old.write(b"1\n").unwrap();
            for _ in 0..rotations {
                new.rotate(SystemTime::now()).unwrap();
                new.look().unwrap();
                if notices {
                    old.look().unwrap();
                }
                new.look().unwrap();
                new.write(b"2\n").unwrap();
            }
            assert!(!new.take_unclean(), "it lives");
            if !killed {
                old.look().unwrap();
                old.end().unwrap();
            }
            drop(old);
            new.look().unwrap();
            let case = format!("{rotations} rotations, noticed: {notices}");
            assert_eq!(new.take_unclean(), killed, "{case}");
            new.look().unwrap();
            assert!(!new.take_unclean(), "once");
            new.end().unwrap();
            drop(new);
            assert!(!folder.open(SMALL).1, "the new one ended well: {case}");
        }
    }
}

#[test]
fn a_run_that_ends_before_the_one_it_follows_leaves_the_end_to_it() {
    for (rotates, killed) in [(false, false), (false, true), (true, false), (true, true)] {
        let folder = Folder::new("first");
        let (mut old, _) = folder.open(SMALL);
        old.write(b"1\n").unwrap();
        old.share();
        let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
        if rotates {
            new.rotate(SystemTime::now()).unwrap();
            old.look().unwrap();
        }
        new.write(b"2\n").unwrap();
        new.look().unwrap();
        new.end().unwrap();
        drop(new);
        old.look().unwrap();
        assert!(!old.take_unclean(), "the new one ended well");
        if !killed {
            old.end().unwrap();
        }
        drop(old);
        assert_eq!(folder.open(SMALL).1, killed, "rotates: {rotates}");
    }
}

#[test]
fn successors_that_are_killed_before_the_first_run_has_ended_are_told() {
    for (second, killed) in [(false, true), (false, false), (true, true), (true, false)] {
        let folder = Folder::new("killed-first");
        let (mut old, _) = folder.open(SMALL);
        old.share();
        let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
        new.serves();
        if second {
            let next = following(&folder, "z");
            new.end().unwrap();
            drop(std::mem::replace(&mut new, next));
            old.look().unwrap();
            new.look().unwrap();
        }
        if !killed {
            new.end().unwrap();
        }
        drop(new);
        old.look().unwrap();
        assert!(!old.take_unclean());
        old.end().unwrap();
        drop(old);
        assert_eq!(folder.open(SMALL).1, killed, "second: {second}");
    }
}

/// A run that hands over, and the one that serves already.
fn handing_over(folder: &Folder) -> (AuditFile, AuditFile) {
    let (mut old, _) = folder.open(SMALL);
    old.write(b"1\n").unwrap();
    old.share();
    (old, following(folder, "y"))
}

fn following(folder: &Folder, start: &str) -> AuditFile {
    let (mut new, _) = folder.start(SMALL, Others::Share, start).unwrap();
    new.serves();
    new
}

/// The first run ends or is killed; the last one tells that, once.
fn ends(folder: &Folder, mut old: AuditFile, mut last: AuditFile, killed: bool, case: &str) {
    if !killed {
        old.look().unwrap();
        old.end().unwrap();
    }
    drop(old);
    last.look().unwrap();
    last.look().unwrap();
    assert_eq!(last.take_unclean(), killed, "{case}");
    last.end().unwrap();
    drop(last);
    assert!(!folder.open(SMALL).1, "{case}");
}

#[test]
fn a_run_that_is_killed_as_its_successors_successor_writes_is_told() {
    let all = [false, true];
    for (rotates, noticed) in all.into_iter().flat_map(|r| all.map(|n| (r, n))) {
        for killed in all {
            let folder = Folder::new("third");
            let (mut old, mut new) = handing_over(&folder);
            let mut next = following(&folder, "z");
            if rotates {
                new.rotate(SystemTime::now()).unwrap();
                next.look().unwrap();
                if noticed {
                    old.look().unwrap();
                }
            }
            new.end().unwrap();
            drop(new);
            let case = format!("rotates: {rotates}, noticed: {noticed}");
            ends(&folder, old, next, killed, &case);
        }
    }
}

#[test]
fn a_third_run_that_rotates_before_it_looks_tells_no_kill() {
    for (noticed, killed) in [(true, false), (false, false), (true, true), (false, true)] {
        let folder = Folder::new("third-rotates");
        let (mut old, mut new) = handing_over(&folder);
        new.rotate(SystemTime::now()).unwrap();
        new.write(b"2\n").unwrap();
        new.look().unwrap();
        if noticed {
            old.look().unwrap();
        }
        let mut next = following(&folder, "z");
        new.end().unwrap();
        drop(new);
        next.rotate(SystemTime::now()).unwrap();
        next.write(b"3\n").unwrap();
        next.look().unwrap();
        let case = format!("noticed: {noticed}, killed: {killed}");
        assert!(!next.take_unclean(), "nobody was killed: {case}");
        ends(&folder, old, next, killed, &case);
    }
}

#[test]
fn three_runs_that_all_rotate_tell_each_kill_once() {
    for (looks, killed) in [(true, false), (true, true), (false, false), (false, true)] {
        let folder = Folder::new("third-all");
        let (mut old, mut new) = handing_over(&folder);
        new.rotate(SystemTime::now()).unwrap();
        new.write(b"2\n").unwrap();
        old.look().unwrap();
        let mut next = following(&folder, "z");
        next.rotate(SystemTime::now()).unwrap();
        next.write(b"3\n").unwrap();
        if looks {
            new.look().unwrap();
        }
        new.end().unwrap();
        drop(new);
        next.look().unwrap();
        next.look().unwrap();
        let case = format!("looks: {looks}, killed: {killed}");
        assert!(!next.take_unclean(), "nobody was killed: {case}");
        ends(&folder, old, next, killed, &case);
    }
}

#[test]
fn a_third_run_that_is_killed_is_told() {
    for seen in [true, false] {
        let folder = Folder::new("third-killed");
        let (mut old, mut new) = handing_over(&folder);
        let mut next = following(&folder, "z");
        next.write(b"2\n").unwrap();
        drop(next);
        if seen {
            new.look().unwrap();
        }
        let told = new.take_unclean();
        assert_eq!(told, seen);
        new.end().unwrap();
        drop(new);
        old.look().unwrap();
        old.end().unwrap();
        drop(old);
        let unclean = folder.open(SMALL).1;
        assert!(told != unclean, "once");
    }
}

#[test]
fn an_end_that_nobody_has_seen_yet_is_an_end() {
    for rotates in [false, true] {
        let folder = Folder::new("unseen");
        let (mut old, mut new) = handing_over(&folder);
        if rotates {
            new.rotate(SystemTime::now()).unwrap();
            old.look().unwrap();
        }
        old.end().unwrap();
        drop(old);
        new.write(b"2\n").unwrap();
        new.end().unwrap();
        drop(new);
        assert!(!folder.open(SMALL).1, "rotates: {rotates}");
    }
}

#[test]
fn a_start_waits_for_a_successor_that_has_not_seen_its_run_end() {
    for linked in [false, true] {
        let folder = Folder::new("fresh");
        if linked {
            let elsewhere = folder.0.join("elsewhere");
            fs::create_dir(&elsewhere).unwrap();
            std::os::unix::fs::symlink(elsewhere.join("real.jsonl"), folder.file()).unwrap();
        }
        a_start_waits(&folder);
    }
}

fn a_start_waits(folder: &Folder) {
    let (mut old, _) = folder.open(SMALL);
    old.share();
    let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
    new.serves();
    old.end().unwrap();
    drop(old);
    for _ in 0..2 {
        let started = folder.start(SMALL, Others::End(Duration::from_millis(60)), "z");
        assert_eq!(started.unwrap_err().kind(), io::ErrorKind::ResourceBusy);
        new.look().unwrap();
        assert!(!new.take_unclean());
    }
    new.end().unwrap();
    drop(new);
    assert!(!folder.open(SMALL).1);
}

#[test]
fn a_file_has_one_run() {
    let folder = Folder::new("one");
    let (mut first, _) = folder.open(SMALL);
    let error = folder
        .start(SMALL, Others::End(Duration::from_millis(60)), "y")
        .unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    first.write(b"1\n").unwrap();
    // It rotates while it is waited for, and ends.
    let path = folder.file();
    let waits = std::thread::spawn(move || {
        AuditFile::open(&path, None, Others::End(Duration::from_secs(10)), "y")
    });
    std::thread::sleep(Duration::from_millis(120));
    first.rotate(SystemTime::now()).unwrap();
    first.write(b"2\n").unwrap();
    std::thread::sleep(Duration::from_millis(120));
    assert!(!waits.is_finished());
    first.end().unwrap();
    drop(first);
    let (mut second, unclean) = waits.join().unwrap().unwrap();
    assert!(!unclean);
    second.write(b"3\n").unwrap();
    assert_eq!(folder.texts(), ["1\n", "2\n3\n"]);
}

#[test]
fn a_half_line_of_another_stands_alone() {
    let folder = Folder::new("stands");
    let (mut old, _) = folder.open(SMALL);
    old.share();
    let (mut new, _) = folder.start(SMALL, Others::Share, "y").unwrap();
    // As a killed process leaves it.
    fs::write(folder.file(), "{\"time\":\"ha").unwrap();
    new.write(b"1\n").unwrap();
    old.write(b"2\n").unwrap();
    assert_eq!(folder.texts(), ["{\"time\":\"ha\n1\n2\n"]);
    let turns = Turns::of(&folder.file()).unwrap();
    turns.begin().unwrap();
    let error = new.write(b"3\n").unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(!new.rotate(SystemTime::now()).unwrap());
    turns.end();
    assert_eq!(new.write(b"3\n").unwrap(), 2);
}

#[test]
fn lines_of_a_deleted_file_are_written_again() {
    let folder = Folder::new("deleted");
    let line = |start: &str, n: u32| format!("{{\"start\":\"{start}\",\"n\":{n}}}\n");
    let (mut file, _) = folder.open(SMALL);
    for n in 0..3 {
        file.write(line("x", n).as_bytes()).unwrap();
        file.look().unwrap();
    }
    fs::remove_file(folder.file()).unwrap();
    file.write(line("x", 3).as_bytes()).unwrap();
    // Of another process.
    (&file.file).write_all(line("y", 1).as_bytes()).unwrap();
    assert!(file.is_deleted());
    assert!(file.look().unwrap() && file.owes() && !file.is_deleted());
    assert_eq!(file.write(b"").unwrap(), 0);
    assert!(!file.owes());
    file.write(line("x", 4).as_bytes()).unwrap();
    // From the look before the last one on.
    let expect: String = (2..5).map(|n| line("x", n)).collect();
    assert_eq!(folder.texts(), [expect.as_str()]);

    // The new one goes, too, before it had the lines of the first.
    fs::remove_file(folder.file()).unwrap();
    assert!(file.look().unwrap());
    fs::remove_file(folder.file()).unwrap();
    file.write(line("x", 5).as_bytes()).unwrap();
    assert!(file.look().unwrap());
    file.write(line("x", 6).as_bytes()).unwrap();
    let expect: String = (2..7).map(|n| line("x", n)).collect();
    assert_eq!(folder.texts(), [expect.as_str()]);
    assert_eq!(file.take_lost(), 0);
}

#[test]
fn lines_that_cannot_be_read_back_are_counted() {
    let folder = Folder::new("unread");
    let (mut file, _) = folder.open(SMALL);
    file.file = fs::OpenOptions::new()
        .append(true)
        .open(folder.file())
        .unwrap();
    fs::remove_file(folder.file()).unwrap();
    file.write(b"{\"start\":\"x\"}\n{\"start\":\"x\"}\n")
        .unwrap();
    assert!(file.look().unwrap());
    file.write(b"3\n").unwrap();
    assert_eq!((file.take_lost(), file.take_lost()), (2, 0));
    assert_eq!(folder.texts(), ["3\n"]);
}

#[test]
fn a_link_that_is_put_in_its_place_is_followed() {
    let folder = Folder::new("replaced");
    let (mut file, _) = folder.open(SMALL);
    file.write(b"1\n").unwrap();
    let real = folder.0.join("real.jsonl");
    fs::rename(folder.file(), &real).unwrap();
    std::os::unix::fs::symlink("real.jsonl", folder.file()).unwrap();
    assert!(file.look().unwrap(), "once");
    assert!(!file.look().unwrap());
    assert!(file.tenure.is_locked() && !file.take_unclean());
    file.write(b"2\n").unwrap();
    assert!(file.rotate(SystemTime::now()).unwrap());
    file.write(b"3\n").unwrap();
    assert_eq!(fs::read_to_string(folder.file()).unwrap(), "3\n");
    assert!(fs::symlink_metadata(folder.file()).unwrap().is_symlink());
    let old = rotated(&real).unwrap();
    assert_eq!(fs::read_to_string(&old[0].1).unwrap(), "1\n2\n");
}
