//! Server-side encryption as a request asks for it.
//!
//! `headers` reads what was sent, `validate` holds it against S3's rules and says what it means, `echo` holds a store's
//! answer against it.

pub mod echo;
pub mod headers;
pub mod validate;

pub use echo::{Echo, Kind, Kinds, Wanted};
pub use headers::{CustomerHeaders, SseRequest};
pub use validate::{Channel, CustomerKey, Encryption, Validated, validate};
