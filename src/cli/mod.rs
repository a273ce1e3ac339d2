//! The command line: what is typed, turned into calls of the other rooms.
//!
//! Exit codes: 0 good, 1 something is wrong with what was looked at, 2 wrong usage or an unreadable file.

mod log;
mod policy;
mod serve;
mod shell;

use std::{
    io::{IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// An enforcing reverse proxy for S3: no object reaches the store unless it is encrypted the way the policy says.
#[derive(Debug, Parser)]
#[command(name = "sealgate", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show it: an embedded store, the proxy in front of it, a policy, and lines to paste
    #[cfg(feature = "demo")]
    Demo(crate::demo::Options),
    /// Run the proxy
    Run {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Take the listeners over from the process that runs: it hands them over when it gets SIGQUIT
        #[arg(long)]
        upgrade: bool,
    },
    /// Check a configuration: every error at once
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Take warnings for errors
        #[arg(long)]
        strict: bool,
    },
    /// Check, test, prove, expand and generate bucket policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Print what a shell needs to complete this command line
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write one for each command into a folder
    Man {
        /// The folder: sealgate.1, sealgate-run.1 and so on
        #[arg(long, value_name = "FOLDER")]
        dir: Option<PathBuf>,
    },
}

/// What a command found: good, or something wrong with what was looked at.
const GOOD: u8 = 0;
const WRONG: u8 = 1;
/// Wrong usage, or a file that cannot be read.
const UNUSABLE: u8 = 2;

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> ExitCode {
    let code = match Cli::parse_from(policy::join_version(std::env::args_os())).command {
        #[cfg(feature = "demo")]
        Command::Demo(options) => {
            log(Level::Quiet);
            match crate::demo::run(&options) {
                Ok(()) => GOOD,
                Err(error) => complain(&error, WRONG),
            }
        }
        Command::Run { config, upgrade } => {
            let held = crate::gate::HangUps::hold();
            log(Level::Usual);
            serve::run(&config, upgrade, held)
        }
        Command::Check { config, strict } => serve::check(&config, strict),
        Command::Policy(command) => policy::run(command),
        Command::Completions { shell } => shell::completions(shell),
        Command::Man { dir } => shell::man(dir.as_deref()),
    };
    ExitCode::from(code)
}

/// How much is logged where `RUST_LOG` says nothing.
#[derive(Clone, Copy)]
enum Level {
    Usual,
    #[cfg(feature = "demo")]
    Quiet,
}

/// Logs to standard error: standard output is for audit lines and results.
fn log(level: Level) {
    use tracing_subscriber::{filter::filter_fn, fmt, prelude::*};
    // pingora logs heads and targets, where signatures stand; what matters of them is said by the gate.
    let default = match level {
        Level::Usual => "info,pingora=error,pingora_core=error",
        #[cfg(feature = "demo")]
        Level::Quiet => "error,pingora=off,pingora_core=off,s3s=off",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = fmt()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::sync::Mutex::new(log::Log::new()))
        .with_env_filter(filter)
        .with_filter_reloading();
    let handle = log.reload_handle();
    log.finish()
        .with(filter_fn(|event| {
            may_be_logged(event.target(), *event.level())
        }))
        .init();
    crate::admin::set_log_level(Box::new(Filter(handle)));
}

/// The filter of the log that runs.
struct Filter<S>(tracing_subscriber::reload::Handle<EnvFilter, S>);

impl<S> crate::admin::LogLevel for Filter<S> {
    fn get(&self) -> String {
        self.0
            .with_current(ToString::to_string)
            .unwrap_or_else(|e| e.to_string())
    }

    fn set(&self, filter: &str) -> Result<(), String> {
        // A word alone would be taken for a target of which all is logged.
        let is_level = |word: &str| word.parse::<tracing::level_filters::LevelFilter>().is_ok();
        let parts = || filter.split(',').map(str::trim);
        if let Some(part) = parts().find(|p| p.is_empty() || !(p.contains('=') || is_level(p))) {
            return Err(format!(
                "{part:?} is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL"
            ));
        }
        let filter = EnvFilter::builder()
            .parse(filter)
            .map_err(|e| format!("{filter:?} is no filter: {e}"))?;
        self.0.reload(filter).map_err(|e| e.to_string())
    }
}

/// Whatever `RUST_LOG` says, pingora and h2 log errors at most: below that they print heads and targets, with signatures
/// and keys in them.
fn may_be_logged(target: &str, level: tracing::Level) -> bool {
    let prints_heads =
        target.starts_with("pingora") || target == "h2" || target.starts_with("h2::");
    !prints_heads || level <= tracing::Level::ERROR
}

/// Prints a result. A reader that has gone (`| head`) is no fault.
fn say(text: &impl std::fmt::Display) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Prints what is wrong.
fn complain(text: &impl std::fmt::Display, code: u8) -> u8 {
    let _ = writeln!(std::io::stderr(), "{text}");
    code
}

/// Reads a file that the command line names.
fn read(path: &Path) -> Result<String, u8> {
    std::fs::read_to_string(path).map_err(|e| {
        complain(
            &format!("{}: cannot be read: {e}", path.display()),
            UNUSABLE,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pingora_logs_errors_alone() {
        use tracing::Level;
        for target in [
            "h2::codec::framed_read",
            "pingora",
            "pingora_core::protocols::http",
            "pingora_proxy",
        ] {
            assert!(may_be_logged(target, Level::ERROR));
            for level in [Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE] {
                assert!(!may_be_logged(target, level), "{target} {level}");
            }
        }
        assert!(may_be_logged("sealgate::gate", Level::TRACE));
    }
}
