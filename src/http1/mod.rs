//! HTTP/1 as it stands on the wire: the head of a request examined strictly, the framing of its body.
//!
//! Stricter than RFC 9112 demands: whatever two parsers might read differently (bare LF, folded lines, two lengths,
//! a length beside chunks) is refused here, before the request is parsed for real. A gate that reads a request
//! otherwise than the store behind it is no gate.

pub mod chunked;
pub mod head;
