//! The embedded store: `s3s-fs` on a loopback port, its objects in a folder.

use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;

use super::unread;

/// The access key of the demo.
pub const ACCESS_KEY: &str = "sealgate";
/// The secret key of the demo. It protects nothing: the store listens on a loopback address and holds toys.
pub const SECRET_KEY: &str = "sealgate-secret";

/// Why the embedded store did not start.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder cannot be used.
    #[error(
        "the embedded store cannot use {path}: {message}; name a folder that exists and is writable"
    )]
    Folder {
        /// The folder.
        path: String,
        /// What the store says.
        message: String,
    },
    /// The port or the thread cannot be had.
    #[error("the embedded store cannot listen on {address}: {source}; choose another --address")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Starts the store on a thread of its own, for as long as the process lives; returns where it listens.
///
/// # Errors
/// Where the folder or the address cannot be used.
pub fn start(address: SocketAddr, folder: &Path) -> Result<SocketAddr, StoreError> {
    let files = FileSystem::new(folder).map_err(|e| StoreError::Folder {
        path: folder.display().to_string(),
        message: format!("{e:?}"),
    })?;
    let service = {
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        builder.build()
    };
    let listen = |source| StoreError::Listen { address, source };
    let listener = TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(listen)?;
    std::thread::Builder::new()
        .name("embedded-store".into())
        .spawn(move || {
            runtime.block_on(async move {
                let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
                    tracing::error!("the embedded store cannot listen; start the demo again");
                    return;
                };
                loop {
                    let Ok((socket, _)) = listener.accept().await else {
                        continue;
                    };
                    let service = service.clone();
                    tokio::spawn(async move {
                        let service = service_fn(|request| unread::serve(&service, request));
                        let connection = http1::Builder::new()
                            .timer(TokioTimer::new())
                            .serve_connection(TokioIo::new(socket), service);
                        if let Err(error) = connection.await {
                            tracing::debug!(%error, "a connection to the embedded store ended");
                        }
                    });
                }
            });
        })
        .map_err(listen)?;
    Ok(bound)
}
