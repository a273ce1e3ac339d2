//! Sealgate: an enforcing reverse proxy for S3.
//!
//! No object reaches the store unless it is encrypted the way the policy says, and you can prove it.
//! See `ARCHITECTURE.md` for the way of a request through the modules.

pub mod policy;
pub mod s3;
pub mod sigv4;
pub mod sse;
