//! Certificates, keys and authorities that a configuration names are read when it is read, so that what does not fit is found by
//! `sealgate check`. Without the feature `gate` nothing here can read them, and nothing uses them.

use std::path::Path;

use super::reader::Node;

/// A chain and its key: each is readable, they fit, and the certificate has not expired.
#[cfg(feature = "gate")]
pub fn pair(cert: (&Node<'_>, &Path), key: (&Node<'_>, &Path)) {
    use crate::tls::{MaterialError, material};

    let material = match material::load(cert.1, key.1) {
        Ok(material) => material,
        Err(error) => {
            failed(cert.0, &error);
            let of_key = match &error {
                MaterialError::Read { path, .. } | MaterialError::Content { path, .. } => {
                    path == key.1 && key.1 != cert.1
                }
                MaterialError::Mismatch { .. } => true,
                MaterialError::Setup(_) => false,
            };
            let node = if of_key { key.0 } else { cert.0 };
            node.error(error.to_string());
            return;
        }
    };
    let now = jiff::Timestamp::now().as_second();
    let day = |second: i64| {
        jiff::Timestamp::from_second(second).map_or_else(
            |_| "an unknown date".to_owned(),
            |time| time.strftime("%Y-%m-%d").to_string(),
        )
    };
    if material.not_after < now {
        cert.0.warn(format!(
            "{} expired on {}",
            cert.1.display(),
            day(material.not_after)
        ));
    } else if material.not_before > now {
        cert.0.warn(format!(
            "{} is not valid before {}",
            cert.1.display(),
            day(material.not_before)
        ));
    }
}

#[cfg(feature = "gate")]
fn failed(node: &Node<'_>, error: &crate::tls::MaterialError) {
    if let crate::tls::MaterialError::Read { source, .. } = error {
        node.reading.failed(source);
    }
}

/// Authorities; `alone`: nothing but certificates may be in the file.
#[cfg(feature = "gate")]
pub fn roots(node: &Node<'_>, path: &Path, alone: bool) {
    if let Err(error) = crate::tls::material::roots(path) {
        failed(node, &error);
        node.error(error.to_string());
        return;
    }
    let pem = std::fs::read(path).unwrap_or_default();
    let count = |what: &str| memchr::memmem::find_iter(&pem, what).count();
    if alone && count("-----BEGIN ") != count("-----BEGIN CERTIFICATE-----") {
        node.error(format!(
            "{} holds more than certificates: take the rest out",
            path.display()
        ));
    }
}

/// Nothing to check it with.
#[cfg(not(feature = "gate"))]
pub fn pair(_: (&Node<'_>, &Path), _: (&Node<'_>, &Path)) {}

/// Nothing to check it with.
#[cfg(not(feature = "gate"))]
pub fn roots(_: &Node<'_>, _: &Path, _: bool) {}
