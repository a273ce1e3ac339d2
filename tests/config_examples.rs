//! Every file of `config/` loads, and the policies decide as their names promise.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::path::{Path, PathBuf};

use sealgate::config::Config;

fn examples(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

#[test]
fn configurations_load_without_a_warning() {
    for path in examples("config", "yaml") {
        let (_, warnings) = Config::load(&path).unwrap_or_else(|e| panic!("{e}"));
        assert!(warnings.is_empty(), "{warnings:?}");
    }
}

#[test]
fn the_reference_writes_the_defaults() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
    let (reference, _) = Config::load(&folder.join("sealgate.yaml")).unwrap();
    let (minimal, _) = Config::load(&folder.join("minimal.yaml")).unwrap();
    let (reference, minimal) = (reference.masked(), minimal.masked());
    for field in [
        "account",
        "listen",
        "store",
        "continue_timeout",
        "denial",
        "sse_c_over_http",
        "limits",
        "audit",
        "shutdown",
    ] {
        assert_eq!(reference[field], minimal[field], "{field}");
    }
}
