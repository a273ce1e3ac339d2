//! What comes with a connection besides HTTP: the PROXY protocol's header, and the names of a client's certificate.

pub mod certificate_name;
pub mod proxy_protocol;

pub use certificate_name::{CertificateName, Identity};
