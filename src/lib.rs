//! Sealgate: an enforcing reverse proxy for S3.
//!
//! No object reaches the store unless it is encrypted the way the policy says, and you can prove it.
//! See `ARCHITECTURE.md` for the way of a request through the modules.

#[cfg(feature = "gate")]
pub mod admin;
pub mod audit;
#[cfg(feature = "gate")]
pub mod cli;
pub mod config;
pub mod decide;
#[cfg(feature = "demo")]
pub mod demo;
#[cfg(feature = "gate")]
pub mod gate;
pub mod http1;
pub mod policy;
pub mod s3;
pub mod sigv4;
pub mod sse;
#[cfg(feature = "gate")]
pub mod tls;
pub mod transit;
