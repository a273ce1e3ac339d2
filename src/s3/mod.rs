//! What an S3 request is.

pub mod form;
pub mod xml;
