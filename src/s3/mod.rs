//! What an S3 request is: its operation, its bucket and key, the actions it needs, and the errors S3 answers with.
//!
//! Pure: borrowed bytes in, values out. Nothing here knows a socket.

pub mod action;
pub mod address;
pub mod copy_source;
#[cfg(test)]
pub(crate) mod effort;
pub mod error;
pub mod extension;
pub mod form;
pub mod operation;
pub mod query;
pub mod request;
pub mod route;
pub mod served;
pub mod xml;

pub use action::{Action, ActionLevel, Actions, Needed, Resource, actions};
pub use copy_source::CopySource;
pub use error::{ErrorCode, S3Error};
pub use operation::{Level, Operation};
pub use query::Query;
pub use request::RequestHead;
pub use route::{RouteError, Routed, route};
