//! What is seen of requests: one [`Event`] each, from which its audit line and its metrics come.

mod beside;
mod clock;
mod deleted;
mod event;
mod file;
mod follower;
mod line;
mod metrics;
mod opened;
mod output;
mod pipe;
mod process;
mod rotation;
mod sink;
mod socket;
mod standing;
mod tail;
mod transport;
mod turns;

#[cfg(test)]
mod socket_tests;

pub use clock::TimeText;
pub use event::{Continue, Decision, Event, Handshake, Lingered, PutEncryption, Reason};
pub use file::Others;
pub use line::{Stamp, write_line};
pub use metrics::{Metrics, Reload};
pub use pipe::Pipe;
pub use sink::{AuditError, AuditSink};
pub use standing::Standing;
pub use transport::Transport;
