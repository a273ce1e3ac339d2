//! HTTP/1 as it stands on the wire: heads examined strictly, the framing of bodies, what goes on over the hop.
//!
//! Stricter than RFC 9112 demands: whatever two parsers might read differently (bare LF, folded lines, two lengths,
//! a length beside chunks) is refused here, before the request is parsed for real. A gate that reads a request
//! otherwise than the store behind it is no gate.

pub mod chunked;
pub mod fields;
pub mod head;
pub mod response;
