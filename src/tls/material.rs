//! Certificates, keys and authorities, from PEM files.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    crypto::ring::sign::any_supported_type,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use super::identity::{identity, public_key, validity};

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MaterialError {
    /// It cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// It is not PEM, or not what it should be.
    #[error("{} holds no {what}: {why}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// The key is another certificate's.
    #[error("the key {} does not fit the certificate {}", key.display(), cert.display())]
    Mismatch {
        /// The certificate.
        cert: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// TLS cannot be set up with what the files hold.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// A certificate chain with its key.
#[derive(Clone, Debug)]
pub struct Material {
    /// Ready to sign with.
    pub certified: Arc<CertifiedKey>,
    /// The DNS names that the certificate is for, in lower case, wildcards as `*.example`. Without any, its `CN`.
    pub names: Vec<String>,
    /// When it becomes valid, in seconds since 1970.
    pub not_before: i64,
    /// When it expires, in seconds since 1970.
    pub not_after: i64,
}

fn read(path: &Path) -> Result<Vec<u8>, MaterialError> {
    // Before it is opened: a named pipe would be waited for for ever.
    let read = std::fs::metadata(path).and_then(|meta| {
        if meta.is_file() {
            std::fs::read(path)
        } else {
            Err(std::io::Error::other("it is not a file"))
        }
    });
    read.map_err(|source| MaterialError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The certificates in a file, at least one.
///
/// # Errors
/// It cannot be read, or holds none, or one that is broken.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, MaterialError> {
    let wrong = |why: String| MaterialError::Content {
        path: path.to_owned(),
        what: "certificate in PEM",
        why,
    };
    let pem = read(path)?;
    let chain = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| wrong(e.to_string()))?;
    if chain.is_empty() {
        return Err(wrong("no `BEGIN CERTIFICATE` in it".to_owned()));
    }
    for certificate in &chain {
        validity(certificate).map_err(wrong)?;
    }
    Ok(chain)
}

/// Reads a chain and its key, and checks that they fit.
///
/// # Errors
/// One of the files cannot be used, or the key is another certificate's.
pub fn load(cert: &Path, key: &Path) -> Result<Material, MaterialError> {
    let chain = certificates(cert)?;
    let wrong_key = |why: String| MaterialError::Content {
        path: key.to_owned(),
        what: "private key in PEM (PKCS#8, PKCS#1 or SEC1, not encrypted)",
        why,
    };
    let der = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|e| wrong_key(e.to_string()))?;
    let signing = any_supported_type(&der).map_err(|e| wrong_key(e.to_string()))?;
    let leaf = identity(&chain[0]).map_err(|why| MaterialError::Content {
        path: cert.to_owned(),
        what: "certificate that can be read",
        why,
    })?;
    let (not_before, not_after) = validity(&chain[0]).unwrap_or((i64::MIN, leaf.not_after));
    let certified = CertifiedKey::new(chain, signing);
    let fits = match certified.keys_match() {
        Ok(()) => true,
        Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => false,
        // rustls reads no certificate of version 1.
        Err(_) => certified
            .key
            .public_key()
            .is_none_or(|key| public_key(&certified.cert[0]).as_deref() == Ok(key.as_ref())),
    };
    if !fits {
        return Err(MaterialError::Mismatch {
            cert: cert.to_owned(),
            key: key.to_owned(),
        });
    }
    let common = || {
        leaf.subject
            .iter()
            .filter(|(kind, _)| kind == "CN")
            .map(|(_, name)| name.to_ascii_lowercase())
            .collect()
    };
    Ok(Material {
        certified: Arc::new(certified),
        names: if leaf.dns.is_empty() {
            common()
        } else {
            leaf.dns
        },
        not_before,
        not_after,
    })
}

/// The authorities in a file, at least one.
///
/// # Errors
/// It cannot be read, or holds none, or one that is broken.
pub fn roots(path: &Path) -> Result<RootCertStore, MaterialError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| MaterialError::Content {
            path: path.to_owned(),
            what: "certificate of an authority",
            why: e.to_string(),
        })?;
    }
    Ok(roots)
}
