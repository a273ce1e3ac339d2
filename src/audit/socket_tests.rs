#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant, UNIX_EPOCH};

use serde_json::Value;

use super::{AuditError, AuditSink, Decision, Event};
use crate::config::Audit;

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let name = format!("sealgate-{name}-{}.sock", std::process::id());
        let place = Self(std::env::temp_dir().join(name));
        let _ = fs::remove_file(&place.0);
        place
    }

    fn sink(&self) -> AuditSink {
        AuditSink::open(
            &Audit {
                stdout: false,
                socket: Some(self.0.clone()),
                ..Audit::default()
            },
            crate::audit::Others::End(Duration::ZERO),
        )
        .unwrap()
    }

    fn listen(&self) -> UnixListener {
        let _ = fs::remove_file(&self.0);
        UnixListener::bind(&self.0).unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn record(sink: &AuditSink) -> Result<(), AuditError> {
    let event = Event::new(UNIX_EPOCH, "r", "PUT", Decision::Allow);
    sink.record(&event, true)
}

fn accept(listener: &UnixListener) -> BufReader<UnixStream> {
    BufReader::new(listener.accept().unwrap().0)
}

fn seq(line: &str) -> u64 {
    let line: Value = serde_json::from_str(line).unwrap();
    line["seq"].as_u64().unwrap()
}

fn next(reader: &mut impl BufRead) -> u64 {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    seq(&line)
}

/// As the process does every 20 ms.
fn until(sink: &AuditSink, done: impl Fn(&AuditSink) -> bool) {
    for _ in 0..500 {
        let _ = sink.flush();
        if done(sink) {
            return;
        }
        sleep(Duration::from_millis(20));
    }
    panic!("not within 10 s");
}

#[test]
fn lines_go_to_a_stream() {
    let place = Place::new("stream");
    let listener = place.listen();
    let sink = place.sink();
    let mut reader = accept(&listener);
    assert!(!sink.is_blocked());
    for n in 1..=3 {
        record(&sink).unwrap();
        assert_eq!(next(&mut reader), n);
    }
}

#[test]
fn lines_go_to_a_syslog_daemon() {
    let place = Place::new("datagram");
    let daemon = UnixDatagram::bind(&place.0).unwrap();
    let sink = place.sink();
    let receive = |daemon: &UnixDatagram| {
        let mut message = vec![0; 4096];
        let n = daemon.recv(&mut message).unwrap();
        let text = String::from_utf8(message[..n].to_vec()).unwrap();
        let before = format!("<134>sealgate[{}]: ", std::process::id());
        seq(text.strip_prefix(&before).unwrap())
    };
    for n in 1..=3 {
        record(&sink).unwrap();
        assert_eq!(receive(&daemon), n);
    }
    drop(daemon);
    assert!(record(&sink).is_err() && sink.is_blocked());
    fs::remove_file(&place.0).unwrap();
    let daemon = UnixDatagram::bind(&place.0).unwrap();
    until(&sink, |sink| !sink.is_blocked());
    assert_eq!(receive(&daemon), 4);
}

#[test]
fn a_reader_may_come_later() {
    let place = Place::new("later");
    let sink = place.sink();
    assert!(sink.is_blocked(), "nobody listens");
    let error = record(&sink).unwrap_err().to_string();
    assert!(error.contains("No such file"), "{error}");
    let listener = place.listen();
    until(&sink, |sink| !sink.is_blocked());
    assert_eq!(next(&mut accept(&listener)), 1);
}

#[test]
fn a_stopped_reader_blocks_and_no_thread_waits() {
    let place = Place::new("stopped");
    let listener = place.listen();
    let sink = place.sink();
    let mut reader = accept(&listener);
    let mut taken = 0;
    let begin = Instant::now();
    while record(&sink).is_ok() {
        taken += 1;
        assert!(taken < 100_000);
    }
    assert!(sink.is_blocked() && sink.lost() == 0);
    for _ in 0..200 {
        assert!(record(&sink).is_err());
    }
    assert!(begin.elapsed() < Duration::from_secs(5), "{begin:?}");
    let all = taken + 1 + 200;
    std::thread::scope(|scope| {
        let reading = scope.spawn(move || (0..all).map(|_| next(&mut reader)).collect::<Vec<_>>());
        until(&sink, |sink| !sink.is_blocked());
        assert_eq!(reading.join().unwrap(), (1..=all).collect::<Vec<_>>());
    });
}

#[test]
fn a_reader_that_read_all_gets_nothing_twice() {
    let place = Place::new("orderly");
    let listener = place.listen();
    let sink = place.sink();
    let mut reader = accept(&listener);
    for n in 1..=3 {
        record(&sink).unwrap();
        assert_eq!(next(&mut reader), n);
    }
    drop(reader);
    // Not within the pause between two connections.
    sleep(Duration::from_millis(150));
    record(&sink).unwrap();
    let mut reader = accept(&listener);
    assert_eq!(next(&mut reader), 4);
}

#[test]
fn what_a_reader_left_unread_comes_again_whole() {
    let place = Place::new("unread");
    let listener = place.listen();
    let sink = place.sink();
    let mut reader = listener.accept().unwrap().0;
    let mut sent = 0;
    while record(&sink).is_ok() {
        sent += 1;
    }
    // It leaves in the middle of a line, with others unread.
    let mut some = vec![0; 1000];
    reader.read_exact(&mut some).unwrap();
    let first = some.split(|&b| b == b'\n').next().unwrap();
    assert_eq!(seq(std::str::from_utf8(first).unwrap()), 1);
    drop(reader);
    let all = sent + 1;
    std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut reader = accept(&listener);
            let mut seqs = vec![next(&mut reader)];
            while seqs.last() != Some(&all) {
                seqs.push(next(&mut reader));
            }
            seqs
        });
        until(&sink, |sink| !sink.is_blocked());
        let seqs = reading.join().unwrap();
        let (from, to) = (seqs[0], all);
        assert_eq!(seqs, (from..=to).collect::<Vec<_>>());
        assert!(from <= 1000 / u64::try_from(first.len()).unwrap(), "{from}");
    });
}

#[test]
fn a_reader_that_leaves_is_noticed_without_a_line() {
    let place = Place::new("noticed");
    let listener = place.listen();
    let sink = place.sink();
    drop(accept(&listener));
    drop(listener);
    until(&sink, AuditSink::is_blocked);
    let listener = place.listen();
    until(&sink, |sink| !sink.is_blocked());
    record(&sink).unwrap();
    assert_eq!(next(&mut accept(&listener)), 1);
}

#[test]
fn one_blocked_output_costs_the_others_nothing() {
    let place = Place::new("others");
    let file = place.0.with_extension("jsonl");
    let _ = fs::remove_file(&file);
    let sink = AuditSink::open(
        &Audit {
            stdout: false,
            socket: Some(place.0.clone()),
            file: Some(file.clone()),
            ..Audit::default()
        },
        crate::audit::Others::End(Duration::ZERO),
    )
    .unwrap();
    for _ in 0..3000 {
        assert!(record(&sink).is_err(), "the socket has no reader");
    }
    assert!(sink.lost() > 0);
    let text = fs::read_to_string(&file).unwrap();
    let seqs: Vec<_> = text.lines().map(seq).collect();
    assert_eq!(seqs, (1..=3000).collect::<Vec<_>>());
    assert!(!text.contains("\"lost\""), "the file lost nothing");
    fs::remove_file(&file).unwrap();
    let _ = fs::remove_file(file.with_extension("jsonl.end"));
}
