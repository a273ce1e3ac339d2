//! Signature Version 4, and what a request claims of its signer.

pub mod claim;

pub use claim::{AuthType, Claim, SignatureVersion, claim, claim_of_form};
