//! Signature Version 4: what a request claims of its signer, and signing one.

pub mod claim;
pub mod sign;

pub use claim::{AuthType, Claim, SignatureVersion, claim, claim_of_form, claim_of_post};
