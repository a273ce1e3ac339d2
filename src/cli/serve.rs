//! `run` and `check`.

use std::path::Path;

use super::{GOOD, UNUSABLE, WRONG, complain, say};
use crate::{
    config::{Config, Warning},
    gate::{self, HangUps, Start, StartError},
};

fn load(path: &Path) -> Result<(Config, Vec<Warning>), u8> {
    Config::load(path).map_err(|errors| {
        let code = if errors.unreadable { UNUSABLE } else { WRONG };
        complain(&errors, code)
    })
}

/// Runs the proxy until a signal ends it; `held` since the process began.
pub fn run(path: &Path, upgrade: bool, held: Result<HangUps, StartError>) -> u8 {
    let hang_ups = match held {
        Ok(held) => held,
        Err(error) => return complain(&error, WRONG),
    };
    let (config, warnings) = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    let start = if upgrade {
        Start::Upgrade
    } else {
        Start::Fresh
    };
    match gate::run(&config, start, hang_ups) {
        Ok(()) => GOOD,
        Err(error) => complain(&error, WRONG),
    }
}

/// Checks a configuration, its policies included.
pub fn check(path: &Path, strict: bool) -> u8 {
    let (config, warnings) = match load(path) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &warnings {
        say(&format!("warning: {warning}"));
    }
    for note in config.notes() {
        say(&format!("note: {note}"));
    }
    say(&format!(
        "{}: good (rules: {}, warnings: {})",
        path.display(),
        config.rules.len(),
        warnings.len()
    ));
    if strict && !warnings.is_empty() {
        WRONG
    } else {
        GOOD
    }
}
