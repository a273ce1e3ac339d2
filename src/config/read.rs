//! Reading a configuration's top level and all that is neither a rule nor a limit.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::{IpNet, Ipv6Net};

use super::audit::audit;
use super::certificates;
use super::clients::{access_key, clients};
use super::endpoint::{endpoint, is_host};
use super::limits::{Limits, limits, time_or};
use super::listen::{address, clash, listen};
use super::places::Place;
use super::policies::policies;
use super::problem::{ConfigErrors, Problem, Warning};
use super::reader::{Fields, Node, Reading};
use super::rules::{Defaults, rules};
use super::secret::Secret;
use super::stamp::{Stamp, Stamps};
use super::tree;
use super::types::{
    Addressing, Audit, CertificateClient, ClientAuth, Config, Credentials, Denial, Endpoint,
    Listener, PlainHttp, Shutdown, Store, StoreTls,
};
use crate::policy::principal::is_account;
use crate::s3::address::below;

const LATER: &str = "is not available in this version";

/// Reads a whole configuration.
pub fn config(
    path: &Path,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
    stamps: Stamps,
) -> Result<(Config, Vec<Warning>), ConfigErrors> {
    let mut value = match tree::parse(text) {
        Ok(value) => value,
        Err(e) => {
            return Err(ConfigErrors {
                problems: vec![Problem {
                    file: path.to_owned(),
                    line: e.line,
                    field: String::new(),
                    message: e.message,
                }],
                unreadable: false,
                stamps,
                may_pass: false,
            });
        }
    };
    let places = Place::of(text, &mut value);
    let reading = Reading::new(path, text, env, places, stamps);
    let config = top(&Node::root(&reading, &value));
    let mut problems = reading.problems.into_inner();
    let stamps = reading.stamps.into_inner();
    match config {
        Some(mut config) if problems.is_empty() => {
            let named: HashSet<_> = config.files().chain([&config.file]).collect();
            let own = |(path, _): &(PathBuf, Stamp)| named.contains(path);
            config.stamps = stamps.into_iter().filter(own).collect();
            Ok((config, reading.warnings.into_inner()))
        }
        _ => {
            // Readers go by their own order; people read a file from its top.
            problems.sort_by_key(|(line, _)| line.unwrap_or(usize::MAX));
            Err(ConfigErrors {
                problems: problems.into_iter().map(|(_, p)| p).collect(),
                unreadable: false,
                stamps,
                may_pass: reading.may_pass.get(),
            })
        }
    }
}

fn top(node: &Node<'_>) -> Option<Config> {
    let fields = node.fields(&[
        "account",
        "listen",
        "admin",
        "store",
        "clients",
        "policies",
        "rules",
        "mode",
        "multipart",
        "authorize",
        "unconfirmed",
        "keys",
        "base_domains",
        "hosts",
        "trusted_proxies",
        "continue_timeout",
        "denial",
        "sse_c_over_http",
        "limits",
        "audit",
        "shutdown",
        "upgrade_socket",
    ])?;
    fields.refuse("keys", None, LATER);
    let account = match fields.get("account") {
        Some(node) => node.parsed(account),
        None => Some("111122223333".to_owned()),
    };
    let listen = listen(&fields);
    let admin = admin(&fields, &listen);
    let store = fields.required("store").and_then(|node| store(&node));
    let (clients, certificates) = fields
        .get("clients")
        .map(|n| clients(&n))
        .unwrap_or_default();
    let policies = fields.get("policies").map(|n| policies(&n));
    let defaults = Defaults::default().read(&fields);
    let rules = match fields.get("rules") {
        Some(node) => rules(&node, defaults, policies.as_deref().unwrap_or_default()),
        None => Vec::new(),
    };
    if fields.get("rules").is_none_or(|n| n.items().is_empty()) {
        node.warn("there are no rules: every request to a bucket is refused");
    }
    let denial = match fields.get("denial") {
        Some(node) => node.choice(&[("detailed", Denial::Detailed), ("plain", Denial::Plain)]),
        None => Some(Denial::default()),
    };
    let sse_c_over_http = match fields.get("sse_c_over_http") {
        Some(node) => node.choice(&[("refuse", PlainHttp::Refuse), ("allow", PlainHttp::Allow)]),
        None => Some(PlainHttp::default()),
    };
    let limits = match fields.get("limits") {
        Some(node) => limits(&node),
        None => Some(Limits::default()),
    };
    let audit = match fields.get("audit") {
        Some(node) => audit(&node),
        None => Some(Audit::default()),
    };
    let shutdown = shutdown(&fields);
    let upgrade_socket = fields.get("upgrade_socket").and_then(|node| {
        let path = super::audit::socket(&node)?;
        // It comes and goes with each hand-over, and nothing of the configuration is in it.
        node.reading.stamps.borrow_mut().remove(&path);
        Some(path)
    });
    let base_domains = base_domains(&fields);
    let hosts = hosts(&fields);
    let trusted_proxies = trusted_proxies(&fields);
    transit(&fields, &listen, &trusted_proxies, &certificates);
    let continue_timeout = time_or(&fields, "continue_timeout", Duration::from_millis(200));
    Some(Config {
        file: node.reading.file.clone(),
        account: account?,
        listen,
        admin,
        store: store?,
        clients,
        certificates,
        policies: policies.unwrap_or_default(),
        rules,
        base_domains,
        hosts,
        trusted_proxies,
        continue_timeout: continue_timeout?,
        denial: denial?,
        sse_c_over_http: sse_c_over_http?,
        limits: limits?,
        audit: audit?,
        shutdown: shutdown?,
        upgrade_socket,
        stamps: Stamps::new(),
    })
}

/// What one part of the configuration needs of another.
fn transit(
    fields: &Fields<'_>,
    listen: &[Listener],
    trusted: &[IpNet],
    certificates: &[CertificateClient],
) {
    let relayed = listen.iter().any(|l| l.proxy_protocol);
    let nobody = fields
        .get("trusted_proxies")
        .is_none_or(|n| n.items().is_empty());
    if relayed
        && trusted.is_empty()
        && nobody
        && let Some(node) = fields.get("listen")
    {
        node.error("proxy_protocol is true, and trusted_proxies names nobody who may send the header: name the relays there");
    }
    let asks = |l: &Listener| {
        let tls = l.tls.as_ref();
        tls.is_some_and(|tls| tls.client_auth != ClientAuth::None)
    };
    if !certificates.is_empty()
        && !listen.iter().any(asks)
        && let Some(node) = fields.get("clients")
    {
        node.warn("names certificates, and no listener asks for one: set listen[].tls.client_ca");
    }
}

fn shutdown(fields: &Fields<'_>) -> Option<Shutdown> {
    let default = Shutdown::default();
    let Some(node) = fields.get("shutdown") else {
        return Some(default);
    };
    let fields = node.fields(&["drain", "delay"])?;
    let drain = time_or(&fields, "drain", default.drain);
    let delay = time_or(&fields, "delay", default.delay);
    Some(Shutdown {
        drain: drain?,
        delay: delay?,
    })
}

/// Global unicast.
const PUBLIC: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

fn account(text: &str) -> Result<String, String> {
    if is_account(text) {
        Ok(text.to_owned())
    } else {
        Err("is not an account: 12 digits, in quotes".into())
    }
}

fn admin(fields: &Fields<'_>, listen: &[Listener]) -> Option<SocketAddr> {
    let fields = fields.get("admin")?.fields(&["address"])?;
    let node = fields.required("address")?;
    let address = node.parsed(address)?;
    if let Some(other) = listen.iter().find(|other| clash(other.address, address)) {
        node.error(format!(
            "{address} is taken by {}, where clients connect",
            other.address
        ));
    }
    if !address.ip().is_loopback() {
        node.warn("is not a loopback address: whoever reaches it reads the metrics");
    }
    Some(address)
}

fn store(node: &Node<'_>) -> Option<Store> {
    let fields = node.fields(&[
        "endpoint",
        "region",
        "addressing",
        "tls",
        "response_timeout",
        "connect_timeout",
        "credentials",
    ])?;
    let endpoint = fields.required("endpoint").and_then(|node| {
        let text = node.text()?;
        endpoint(&text).map_err(|message| node.error(message)).ok()
    });
    let region = match fields.get("region") {
        Some(node) => node.parsed(region),
        None => Some("us-east-1".to_owned()),
    };
    let addressing = match fields.get("addressing") {
        Some(node) => node.choice(&[("path", Addressing::Path), ("virtual", Addressing::Virtual)]),
        None => Some(Addressing::Path),
    };
    let tls = match fields.get("tls") {
        Some(node) => store_tls(&node, endpoint.as_ref()),
        None => Some(StoreTls::default()),
    };
    let response_timeout = time_or(&fields, "response_timeout", Duration::from_mins(2));
    let connect_timeout = time_or(&fields, "connect_timeout", Duration::from_secs(5));
    let credentials = match fields.get("credentials") {
        Some(node) => credentials(&node).map(Some),
        None => Some(None),
    };
    Some(Store {
        endpoint: endpoint?,
        region: region?,
        addressing: addressing?,
        tls: tls?,
        response_timeout: response_timeout?,
        connect_timeout: connect_timeout?,
        credentials: credentials?,
    })
}

fn credentials(node: &Node<'_>) -> Option<Credentials> {
    if matches!(node.value, tree::Value::Text(_)) {
        // Not shown: it may be a secret in the wrong place.
        node.error("must be {access_key: ..., secret_key: ...}; the AWS default chain (aws) is not available in this version");
        return None;
    }
    let fields = node.fields(&["access_key", "secret_key"])?;
    let access_key = fields
        .required("access_key")
        .and_then(|node| node.parsed(access_key));
    let secret_key = fields.required("secret_key").and_then(|node| {
        let secret = node.text()?;
        if secret.is_empty() {
            node.error("is empty");
        }
        Some(Secret::new(secret))
    });
    Some(Credentials {
        access_key: access_key?,
        secret_key: secret_key?,
    })
}

fn region(text: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if !text.is_empty() && text.bytes().all(good) {
        Ok(text.to_owned())
    } else {
        Err("is not a region, as in us-east-1".into())
    }
}

fn store_tls(node: &Node<'_>, endpoint: Option<&Endpoint>) -> Option<StoreTls> {
    let fields = node.fields(&["ca", "server_name", "cert", "key"])?;
    if endpoint.is_some_and(|endpoint| !endpoint.tls) {
        node.error("is set, and the endpoint is http://: write https:// or remove it");
    }
    let file = |name: &str| -> Result<Option<PathBuf>, ()> {
        match fields.get(name) {
            Some(node) => node.file().map(Some).ok_or(()),
            None => Ok(None),
        }
    };
    let (ca, cert, key) = (file("ca"), file("cert"), file("key"));
    let server_name = match fields.get("server_name") {
        Some(node) => Some(Some(node.parsed(host)?)),
        None => Some(None),
    };
    if let (Ok(Some(path)), Some(node)) = (&ca, fields.get("ca")) {
        certificates::roots(&node, path, true);
    }
    if let (Ok(Some(cert)), Ok(Some(key))) = (&cert, &key)
        && let Some((cert_node, key_node)) = fields.get("cert").zip(fields.get("key"))
    {
        certificates::pair((&cert_node, cert), (&key_node, key));
    }
    let client = match (cert.ok()?, key.ok()?) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        _ => {
            node.error("cert and key go together: one of them is missing");
            return None;
        }
    };
    Some(StoreTls {
        ca: ca.ok()?,
        server_name: server_name?,
        client,
    })
}

fn host(text: &str) -> Result<String, String> {
    if is_host(text) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("is not a host name".into())
    }
}

fn base_domains(fields: &Fields<'_>) -> Vec<String> {
    let mut domains = Vec::new();
    for node in fields.get("base_domains").iter().flat_map(Node::items) {
        let Some(domain) = node.parsed(host) else {
            continue;
        };
        if domains.contains(&domain) {
            node.error("is there twice");
        } else if let Some(other) = domains
            .iter()
            .find(|other| below(&domain, other).or(below(other, &domain)).is_some())
        {
            node.error(format!(
                "and {other} stand within each other: stores differ on which one a host is below; keep one"
            ));
        }
        domains.push(domain);
    }
    if let Some(node) = fields.get("base_domains")
        && fields.get("hosts").is_none()
    {
        node.warn(
            "stands without hosts, so that requests may name any other host, too, and Ceph RGW takes one that it does not know for a bucket: \
             list the other names and addresses that clients use in hosts",
        );
    }
    domains
}

/// Names, IPv4 addresses, and IPv6 addresses with or without brackets; as `Host` has them: without port, IPv6 in brackets.
fn hosts(fields: &Fields<'_>) -> Vec<String> {
    let mut hosts = Vec::new();
    for node in fields.get("hosts").iter().flat_map(Node::items) {
        let Some(host) = node.parsed(|text| {
            let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
            match bare.unwrap_or(text).parse::<std::net::Ipv6Addr>() {
                Ok(address) => Ok(format!("[{address}]")),
                Err(_) if is_host(text) => Ok(text.to_owned()),
                Err(_) => Err("is not a host name or address without port".to_owned()),
            }
        }) else {
            continue;
        };
        if hosts.contains(&host) {
            node.error("is there twice");
        }
        hosts.push(host);
    }
    hosts
}

fn trusted_proxies(fields: &Fields<'_>) -> Vec<IpNet> {
    let Some(node) = fields.get("trusted_proxies") else {
        return Vec::new();
    };
    let nets: Vec<_> = node
        .items()
        .iter()
        .filter_map(|node| {
            node.parsed(|text| {
                text.parse::<IpNet>()
                    .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                    .map_err(|_| "is not an address or network, as in 10.0.0.0/8".to_owned())
            })
        })
        .collect();
    if everybody(&nets) {
        node.warn("trusts every address: any client can claim any source and TLS");
    }
    nets
}

/// Whether the networks together are all addresses of a family.
fn everybody(nets: &[IpNet]) -> bool {
    // An IPv4 address can come in an IPv6 one (RFC 4291 section 2.5.5.2).
    let mapped = |net: &IpNet| match net {
        IpNet::V6(net) => match net.addr().to_ipv4_mapped() {
            Some(ip) if net.prefix_len() >= 96 => IpNet::new(ip.into(), net.prefix_len() - 96).ok(),
            _ => None,
        },
        IpNet::V4(_) => None,
    };
    let all: Vec<_> = nets
        .iter()
        .copied()
        .chain(nets.iter().filter_map(mapped))
        .collect();
    // All that is routed of IPv6 (RFC 4291 section 2.4, IANA) is in 2000::/3.
    IpNet::aggregate(&all).iter().any(|net| match net {
        IpNet::V4(net) => net.prefix_len() == 0,
        IpNet::V6(net) => net.contains(&PUBLIC),
    })
}
