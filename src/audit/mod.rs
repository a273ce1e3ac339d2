//! What is seen of requests: one [`Event`] each, from which its audit line and its metrics come.

mod clock;
mod event;
mod file;
mod line;
mod metrics;
mod process;
mod standing;
mod tail;

pub use clock::TimeText;
pub use event::{Continue, Decision, Event, Lingered, PutEncryption, Reason};
pub use file::{AuditError, AuditSink};
pub use line::{Stamp, write_line};
pub use metrics::{Metrics, Reload};
pub use standing::Standing;
