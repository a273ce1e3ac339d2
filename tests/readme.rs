//! The README's blocks are what they say: configurations load, policies load, short forms expand, commands exist.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};

use sealgate::config::Config;
use sealgate::policy::Policy;
use sealgate::policy::short::ShortForm;

/// The documents that are looked at, with their text.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    [
        "README.md",
        "docs/configuration.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ]
    .into_iter()
    .map(|name| {
        let path = root.join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        (path, text)
    })
    .collect()
}

/// The fenced blocks of a document: what stands behind the opening fence, and the text.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, block))) => {
                block.push_str(line);
                block.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a fence is not closed");
    blocks
}

#[test]
fn blocks_load() {
    let mut seen = Vec::new();
    for (path, text) in documents() {
        for (info, block) in blocks(&text) {
            match info {
                "yaml config" => {
                    let (_, warnings) = Config::parse(&path, &block, &|_| None)
                        .unwrap_or_else(|e| panic!("{}: {e}\n{block}", path.display()));
                    assert!(warnings.is_empty(), "{warnings:?}");
                }
                "json policy" => {
                    Policy::load(&block).unwrap();
                }
                "yaml short" => {
                    ShortForm::parse(&block).unwrap();
                }
                "text" | "sh" | "mermaid" => continue,
                other => panic!("{}: a block of kind `{other}`", path.display()),
            }
            seen.push(info.to_owned());
        }
    }
    for kind in ["yaml config", "json policy", "yaml short"] {
        assert!(seen.iter().any(|s| s == kind), "{kind}");
    }
}

/// Links to files of the repository, and the files that commands name, are there.
#[test]
fn what_is_named_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, text) in documents() {
        for piece in text.split("](").skip(1) {
            let target = piece.split(')').next().unwrap();
            if !target.contains("://") && !target.starts_with('#') {
                assert!(path.parent().unwrap().join(target).exists(), "{target}");
            }
        }
        for line in text.lines() {
            let line = line.trim_start().trim_start_matches("$ ");
            let Some(rest) = line.strip_prefix("sealgate ") else {
                continue;
            };
            let words: Vec<_> = rest.split_whitespace().collect();
            match words.as_slice() {
                ["demo" | "run" | "check" | "completions" | "man", ..]
                | [
                    "policy",
                    "check" | "test" | "prove" | "expand" | "generate",
                    ..,
                ] => {}
                other => panic!("{}: {other:?} is no command", path.display()),
            }
            for word in words.iter().filter(|w| w.starts_with("policies/")) {
                assert!(root.join("config").join(word).exists(), "{word}");
            }
        }
    }
}
