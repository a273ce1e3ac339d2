//! `clients`: whom Sealgate knows.

use std::collections::HashSet;

use super::reader::Node;
use super::secret::Secret;
use super::types::{CertificateClient, Client};
use crate::policy::Principal;
use crate::transit::CertificateName;

/// Those known by their access key, and those known by their certificate.
pub fn clients(node: &Node<'_>) -> (Vec<Client>, Vec<CertificateClient>) {
    let mut clients: Vec<Client> = Vec::new();
    let mut certificates: Vec<CertificateClient> = Vec::new();
    let mut keys = HashSet::new();
    for item in node.items() {
        let Some(fields) = item.fields(&["access_key", "secret_key", "principal", "certificate"])
        else {
            continue;
        };
        let secret_key = fields.get("secret_key").and_then(|node| {
            node.warn("is kept and not used in this version: signatures are checked by the store, not here");
            let secret = node.text()?;
            if secret.is_empty() {
                node.error("is empty");
            }
            Some(Secret::new(secret))
        });
        let principal = fields.required("principal").and_then(|node| {
            let text = node.text()?;
            Principal::parse(&text)
                .map_err(|e| node.error(e.to_string()))
                .ok()
        });
        if let Some(node) = fields.get("certificate") {
            if fields.get("access_key").is_some() || fields.get("secret_key").is_some() {
                node.error("stands beside an access key: a client is known by one or the other; write two entries");
                continue;
            }
            let Some(certificate) = node.parsed(CertificateName::parse) else {
                continue;
            };
            if certificates
                .iter()
                .any(|other| other.certificate == certificate)
            {
                node.error(format!(
                    "\"{certificate}\" is there twice: a certificate is one client's"
                ));
            }
            certificates.extend(principal.map(|principal| CertificateClient {
                certificate,
                principal,
            }));
            continue;
        }
        let Some(node) = fields.required("access_key") else {
            continue;
        };
        let Some(access_key) = node.parsed(access_key) else {
            continue;
        };
        if !keys.insert(access_key.clone()) {
            node.error(format!(
                "\"{access_key}\" is there twice: an access key is one client's"
            ));
        }
        let Some(principal) = principal else {
            continue;
        };
        clients.push(Client {
            access_key,
            secret_key,
            principal,
        });
    }
    (clients, certificates)
}

/// What can stand before the first `/` of a credential (stores allow more than AWS' letters and digits).
pub fn access_key(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_graphic() && b != b'/' && b != b',';
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("is not an access key: 1 to 128 characters without spaces, '/' and ','".into())
    }
}
