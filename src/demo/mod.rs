//! `sealgate demo`: an embedded store, the proxy in front of it, a policy, and each decision as it happens.

mod client;
mod show;
mod store;
mod unread;

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{config::Config, gate};

/// What `sealgate demo` takes.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Send the two requests that the demo is about, print them, and exit: 0 if they went as they must
    #[arg(long, conflicts_with = "store_only")]
    once: bool,
    /// Only the embedded store, without the proxy
    #[arg(long)]
    store_only: bool,
    /// Where the proxy (or, with --store-only, the store) listens; the default gives way to a free port
    #[arg(long)]
    address: Option<SocketAddr>,
    /// The folder of the store's buckets; the default is a temporary one
    #[arg(long)]
    dir: Option<PathBuf>,
}

/// The bucket of the demo.
const BUCKET: &str = "demo";
const USUAL: &str = "127.0.0.1:8080";

/// Why the demo did not work.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The embedded store did not start.
    #[error(transparent)]
    Store(#[from] store::StoreError),
    /// The proxy did not start.
    #[error(transparent)]
    Gate(#[from] gate::StartError),
    /// Its configuration is wrong: a fault of this program.
    #[error("the demo's own configuration is wrong: {0}")]
    Config(#[from] crate::config::ConfigErrors),
    /// A file or socket.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// A request did not go as it must.
    #[error("{0}")]
    Unexpected(String),
}

fn io(what: &'static str) -> impl FnOnce(std::io::Error) -> DemoError {
    move |source| DemoError::Io { what, source }
}

/// Runs the demo.
///
/// # Errors
/// It could not start or, with `--once`, a request did not go as it must.
pub fn run(options: &Options) -> Result<(), DemoError> {
    let temporary = tempfile::tempdir().map_err(io("cannot make a temporary folder"))?;
    let folder = options
        .dir
        .clone()
        .unwrap_or_else(|| temporary.path().join("store"));
    std::fs::create_dir_all(&folder).map_err(io("cannot make the store's folder"))?;
    if options.store_only {
        let address = options.address.unwrap_or_else(any_port);
        let bound = store::start(address, &folder)?;
        println!(
            "embedded store on http://{bound}, access key {}, secret key {}",
            store::ACCESS_KEY,
            store::SECRET_KEY
        );
        loop {
            std::thread::park();
        }
    }
    // To the embedded store a bucket is a folder.
    std::fs::create_dir_all(folder.join(BUCKET)).map_err(io("cannot make the bucket"))?;
    let behind = store::start(any_port(), &folder)?;
    let front = front(options.address)?;
    let audit = temporary.path().join("audit.jsonl");
    let config = config(front, behind, temporary.path())?;
    let hang_ups = gate::HangUps::hold()?;

    if options.once {
        std::thread::spawn(move || {
            if let Err(error) = gate::run(&config, gate::Start::Fresh, hang_ups) {
                eprintln!("{error}");
            }
        });
        wait_for(front)?;
        return client::both(front, BUCKET);
    }
    show::intro(front, behind, BUCKET, &folder);
    show::follow(audit);
    Ok(gate::run(&config, gate::Start::Fresh, hang_ups)?)
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// The address asked for, or the usual one, or any.
fn front(asked: Option<SocketAddr>) -> Result<SocketAddr, DemoError> {
    if let Some(asked) = asked.filter(|a| a.port() != 0) {
        return Ok(asked);
    }
    let free = TcpListener::bind(USUAL).or_else(|_| TcpListener::bind(any_port()));
    free.and_then(|l| l.local_addr())
        .map_err(io("cannot find a free port on 127.0.0.1"))
}

fn config(front: SocketAddr, behind: SocketAddr, folder: &Path) -> Result<Config, DemoError> {
    let text = format!(
        "listen: [{{address: \"{front}\"}}]\n\
         store: {{endpoint: \"http://{behind}\"}}\n\
         rules:\n  - {{bucket: {BUCKET}, require: any, unconfirmed: report}}\n  - {{bucket: \"*\"}}\n\
         audit: {{stdout: false, file: audit.jsonl}}\n"
    );
    let (config, _) = Config::parse(&folder.join("demo.yaml"), &text, &|_| None)?;
    Ok(config)
}

fn wait_for(address: SocketAddr) -> Result<(), DemoError> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match TcpStream::connect(address) {
            Ok(_) => return Ok(()),
            Err(source) if Instant::now() > deadline => {
                return Err(DemoError::Io {
                    what: "the proxy does not answer",
                    source,
                });
            }
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}
