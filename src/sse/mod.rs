//! Server-side encryption as a request asks for it.
//!
//! `headers` reads what was sent, `validate` holds it against S3's rules and says what it means.

pub mod headers;
pub mod validate;

pub use headers::{CustomerHeaders, SseRequest};
pub use validate::{Channel, CustomerKey, Encryption, Validated, validate};
