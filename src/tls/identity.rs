//! What a certificate says of its owner, read with `x509-parser`.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use crate::transit::{Identity, certificate_name::short_name};

/// Reads a certificate (DER).
///
/// # Errors
/// It is not an X.509 certificate.
pub fn identity(der: &[u8]) -> Result<Identity, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
    let mut identity = Identity {
        not_after: certificate.validity().not_after.timestamp(),
        ..Identity::default()
    };
    let alternative = certificate
        .subject_alternative_name()
        .map_err(|e| e.to_string())?;
    for name in alternative.iter().flat_map(|san| &san.value.general_names) {
        match name {
            GeneralName::URI(uri) => identity.uris.push((*uri).to_owned()),
            GeneralName::DNSName(name) => identity.dns.push(name.to_ascii_lowercase()),
            _ => {}
        }
    }
    for attribute in certificate.subject().iter_attributes() {
        // What cannot be read counts, so that a subject never has fewer values than it has.
        let value = attribute.as_str().unwrap_or("\u{fffd}");
        let kind = short_name(&attribute.attr_type().to_id_string());
        identity.subject.push((kind, value.to_owned()));
    }
    Ok(identity)
}

/// When a certificate (DER) becomes valid and when it expires, in seconds since 1970.
///
/// # Errors
/// It is not an X.509 certificate.
pub fn validity(der: &[u8]) -> Result<(i64, i64), String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
    let validity = certificate.validity();
    Ok((
        validity.not_before.timestamp(),
        validity.not_after.timestamp(),
    ))
}

/// The public key of a certificate (DER), as `SubjectPublicKeyInfo` in DER.
///
/// # Errors
/// It is not an X.509 certificate.
pub fn public_key(der: &[u8]) -> Result<Vec<u8>, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|e| e.to_string())?;
    Ok(certificate.public_key().raw.to_vec())
}
