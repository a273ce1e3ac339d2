//! `listen`: where clients connect, and how.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::certificates;
use super::reader::{Fields, Node};
use super::types::{ClientAuth, Listener, ListenerTls, Serve, TlsVersion};

/// Reads `HOST:PORT`, the host being an address or `localhost`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let numeric = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        "is not an address: write ADDRESS:PORT, as in 127.0.0.1:8080, 0.0.0.0:8080 or [::1]:8080"
            .into()
    })
}

/// Whether two listeners cannot both have their port.
pub fn clash(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() != 0
        && a.port() == b.port()
        && (a.ip() == b.ip()
            || a.is_ipv4() == b.is_ipv4() && (a.ip().is_unspecified() || b.ip().is_unspecified()))
}

/// All listeners; one where nothing is said.
pub fn listen(fields: &Fields<'_>) -> Vec<Listener> {
    let Some(node) = fields.get("listen") else {
        return vec![Listener {
            address: SocketAddr::from(([127, 0, 0, 1], 8080)),
            tls: None,
            proxy_protocol: false,
            serve: Serve::All,
        }];
    };
    let items = node.items();
    if items.is_empty() {
        node.error("is empty: name at least one address");
    }
    let alone = items.len() == 1;
    let mut listen: Vec<Listener> = Vec::new();
    for item in items {
        let Some(fields) = item.fields(&["address", "tls", "proxy_protocol", "serve"]) else {
            continue;
        };
        let proxy_protocol = fields.get("proxy_protocol").map(|node| node.flag());
        let serve = fields
            .get("serve")
            .map(|node| node.choice(&[("all", Serve::All), ("health", Serve::Health)]));
        let tls = fields.get("tls").map(|node| listener_tls(&node));
        let Some(node) = fields.required("address") else {
            continue;
        };
        let Some(address) = node.parsed(address) else {
            continue;
        };
        if let Some(other) = listen.iter().find(|other| clash(other.address, address)) {
            node.error(format!("{address} is taken by {}", other.address));
        }
        if address.port() == 0 && !alone {
            node.error("port 0 is for a single listener: with several, each is told by its port");
        }
        listen.push(Listener {
            address,
            tls: tls.flatten(),
            proxy_protocol: proxy_protocol.flatten().unwrap_or_default(),
            serve: serve.flatten().unwrap_or_default(),
        });
    }
    if !listen.is_empty() && listen.iter().all(|l| l.serve == Serve::Health) {
        node.warn("only serves health: no client can reach the store");
    }
    listen
}

fn listener_tls(node: &Node<'_>) -> Option<ListenerTls> {
    let fields = node.fields(&[
        "cert",
        "key",
        "min_version",
        "client_ca",
        "client_auth",
        "certificates",
    ])?;
    let pair = pair(&fields);
    let min_version = match fields.get("min_version") {
        Some(node) => node.choice(&[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)]),
        None => Some(TlsVersion::V1_2),
    };
    let client_ca = match fields.get("client_ca") {
        Some(node) => node
            .file()
            .inspect(|path| certificates::roots(&node, path, false))
            .map(Some),
        None => Some(None),
    };
    let named = fields.get("client_ca").is_some();
    let client_auth = match fields.get("client_auth") {
        Some(node) => {
            let auth = node.choice(&[
                ("none", ClientAuth::None),
                ("optional", ClientAuth::Optional),
                ("required", ClientAuth::Required),
            ]);
            match auth {
                Some(ClientAuth::Optional | ClientAuth::Required) if !named => {
                    node.error("needs client_ca: the authorities whose certificates count");
                }
                Some(ClientAuth::None) if named => {
                    node.warn(
                        "is none, so client_ca has no effect: no client is asked for a certificate",
                    );
                }
                _ => {}
            }
            auth
        }
        None if named => Some(ClientAuth::Required),
        None => Some(ClientAuth::None),
    };
    let certificates: Vec<Option<(PathBuf, PathBuf)>> = fields
        .get("certificates")
        .iter()
        .flat_map(Node::items)
        .map(|item| {
            item.fields(&["cert", "key"])
                .and_then(|fields| self::pair(&fields))
        })
        .collect();
    let (cert, key) = pair?;
    Some(ListenerTls {
        cert,
        key,
        min_version: min_version?,
        client_ca: client_ca?,
        client_auth: client_auth?,
        certificates: certificates.into_iter().collect::<Option<_>>()?,
    })
}

/// `cert` and `key`, which fit each other.
fn pair(fields: &Fields<'_>) -> Option<(PathBuf, PathBuf)> {
    let (cert_node, key_node) = (fields.required("cert"), fields.required("key"));
    let cert = cert_node.as_ref().and_then(Node::file);
    let key = key_node.as_ref().and_then(Node::file);
    let (cert, key) = (cert?, key?);
    certificates::pair((&cert_node?, &cert), (&key_node?, &key));
    Some((cert, key))
}
