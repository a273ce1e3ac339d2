//! The configuration: typed, validated as a whole, every error at once.
//!
//! A file is read into a tree that keeps duplicates and lines, then by typed readers that
//! report what is wrong and go on. What this version cannot do is refused where it is demanded, never ignored.

mod audit;
mod certificates;
mod clients;
mod endpoint;
mod env;
pub mod glob;
mod limits;
mod listen;
mod masked;
mod nearest;
mod notes;
mod places;
mod policies;
mod problem;
mod read;
mod reader;
mod rules;
mod secret;
mod stamp;
mod tree;
mod types;
mod units;

#[cfg(test)]
mod audit_tests;
#[cfg(test)]
mod care_tests;
#[cfg(test)]
mod tests;

use std::path::Path;

pub use crate::policy::Multipart;
pub use limits::{BodyRate, Limits, Linger};
pub use problem::{ConfigErrors, Problem, Warning};
pub use secret::Secret;
pub use stamp::{Stamp, Stamps, are_same, is_pipe, stamp};
pub use types::{
    Addressing, Audit, CertificateClient, Client, ClientAuth, Config, Credentials, Denial,
    Endpoint, Listener, ListenerTls, Mode, PlainHttp, PolicySource, Rotate, Rule, Serve, Shutdown,
    Store, StoreTls, TlsVersion, Unconfirmed, WhenBlocked,
};

impl Config {
    /// Reads a file, the policies it names, and checks that the other files it names can be read.
    /// `${NAME}` in a value is the process' environment.
    ///
    /// # Errors
    /// Everything that is wrong, at once; [`ConfigErrors::unreadable`] where the file itself could not be read.
    pub fn load(path: &Path) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        let stamps = Stamps::from([(path.to_owned(), stamp::settled(path))]);
        match std::fs::read_to_string(path) {
            Ok(text) => read::config(path, &text, &|name| std::env::var(name).ok(), stamps),
            Err(e) => Err(ConfigErrors {
                problems: vec![Problem {
                    file: path.to_owned(),
                    line: None,
                    field: String::new(),
                    message: format!("cannot read the configuration: {e}"),
                }],
                unreadable: true,
                stamps,
                may_pass: stamp::may_pass(&e),
            }),
        }
    }

    /// The same from a text that is already read and an environment of one's own; `path` is what
    /// other paths are relative to and what messages name.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        path: &Path,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<(Config, Vec<Warning>), ConfigErrors> {
        read::config(path, text, env, Stamps::new())
    }
}
