//! What a listener's TLS is made of.

use std::{collections::HashMap, sync::Arc};

use rustls::{
    ServerConfig,
    crypto::ring,
    server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};

use super::material::{self, Material, MaterialError};
use crate::config::{ClientAuth, ListenerTls, TlsVersion};

/// A listener's TLS, ready to use.
#[derive(Debug)]
pub struct Server {
    /// What connections are set up with.
    pub config: Arc<ServerConfig>,
    /// When the first of its certificates expires, in seconds since 1970.
    pub not_after: i64,
}

/// Makes a listener's TLS from its files; `protocols` are offered by ALPN, none: ALPN is not spoken.
///
/// # Errors
/// A file cannot be used.
pub fn server(tls: &ListenerTls, protocols: Vec<Vec<u8>>) -> Result<Server, MaterialError> {
    let setup = |e: &dyn std::fmt::Display| MaterialError::Setup(e.to_string());
    let materials = tls
        .pairs()
        .map(|(cert, key)| material::load(cert, key))
        .collect::<Result<Vec<_>, _>>()?;
    let not_after = materials.iter().map(|m| m.not_after).min();
    let provider = Arc::new(ring::default_provider());
    let versions: &[_] = match tls.min_version {
        TlsVersion::V1_2 => &[&TLS13, &TLS12],
        TlsVersion::V1_3 => &[&TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|e| setup(&e))?;
    let builder = match (&tls.client_ca, tls.client_auth) {
        (Some(ca), ClientAuth::Optional | ClientAuth::Required) => {
            let roots = Arc::new(material::roots(ca)?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            let verifier = if tls.client_auth == ClientAuth::Optional {
                verifier.allow_unauthenticated()
            } else {
                verifier
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|e| setup(&e))?)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(BySni::new(materials)));
    config.ticketer = ring::Ticketer::new().map_err(|e| setup(&e))?;
    config.alpn_protocols = protocols;
    Ok(Server {
        config: Arc::new(config),
        not_after: not_after.unwrap_or(i64::MAX),
    })
}

/// Chooses a certificate by the name that the client asks for.
#[derive(Debug)]
struct BySni {
    all: Vec<Arc<CertifiedKey>>,
    /// Indices into `all`, in the order of the configuration; wildcards as `*.example`.
    by_name: HashMap<String, Vec<usize>>,
}

impl BySni {
    fn new(materials: Vec<Material>) -> Self {
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (i, material) in materials.iter().enumerate() {
            for name in &material.names {
                by_name.entry(name.clone()).or_default().push(i);
            }
        }
        Self {
            all: materials.into_iter().map(|m| m.certified).collect(),
            by_name,
        }
    }

    /// Those for a name, else all: the first is for names that nobody knows.
    fn candidates(&self, name: Option<&str>) -> Vec<usize> {
        let found = name.map(str::to_ascii_lowercase).and_then(|name| {
            let wildcard = || {
                let (_, parent) = name.split_once('.')?;
                self.by_name.get(&format!("*.{parent}"))
            };
            self.by_name.get(&name).or_else(wildcard)
        });
        found.map_or_else(|| (0..self.all.len()).collect(), Clone::clone)
    }
}

impl ResolvesServerCert for BySni {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let candidates = self.candidates(hello.server_name());
        // An RSA and an ECDSA certificate may bear one name: the first that the client can check.
        let fits = |&&i: &&usize| {
            self.all
                .get(i)
                .is_some_and(|c| c.key.choose_scheme(hello.signature_schemes()).is_some())
        };
        let chosen = candidates.iter().find(fits).or(candidates.first())?;
        self.all.get(*chosen).map(Arc::clone)
    }
}
