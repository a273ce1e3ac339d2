//! The configuration as it is in force, for people: secrets are stars.

use serde_json::{Map, Value, json};

use super::types::{
    Addressing, ClientAuth, Config, Denial, Mode, PlainHttp, Rule, Serve, Unconfirmed, WhenBlocked,
};
use super::units::{show_size, show_time};
use crate::policy::Multipart;

impl Config {
    /// The configuration with all its defaults, as JSON of the names that its file has. Secret keys are `***`;
    /// policies are told by name, without their text.
    #[must_use]
    pub fn masked(&self) -> Value {
        let listen: Vec<_> = self
            .listen
            .iter()
            .map(|listener| {
                let tls = listener.tls.as_ref().map(|tls| {
                    let more: Vec<_> = tls
                        .certificates
                        .iter()
                        .map(|(cert, key)| json!({"cert": cert, "key": key}))
                        .collect();
                    json!({
                        "cert": tls.cert,
                        "key": tls.key,
                        "min_version": tls.min_version.as_str(),
                        "client_ca": tls.client_ca,
                        "client_auth": match tls.client_auth {
                            ClientAuth::None => "none",
                            ClientAuth::Optional => "optional",
                            ClientAuth::Required => "required",
                        },
                        "certificates": more,
                    })
                });
                json!({
                    "address": listener.address.to_string(),
                    "tls": tls,
                    "proxy_protocol": listener.proxy_protocol,
                    "serve": match listener.serve {
                        Serve::All => "all",
                        Serve::Health => "health",
                    },
                })
            })
            .collect();
        let clients: Vec<_> = self
            .clients
            .iter()
            .map(|client| {
                json!({
                    "access_key": client.access_key,
                    "secret_key": client.secret_key.as_ref().map(|_| "***"),
                    "principal": client.principal.arn(),
                })
            })
            .chain(self.certificates.iter().map(|client| {
                json!({
                    "certificate": client.certificate.to_string(),
                    "principal": client.principal.arn(),
                })
            }))
            .collect();
        let policies: Vec<_> = self.policies.iter().map(|p| p.name.as_str()).collect();
        let rules: Vec<_> = self.rules.iter().map(rule).collect();
        let nets: Vec<_> = self
            .trusted_proxies
            .iter()
            .map(ToString::to_string)
            .collect();
        json!({
            "account": self.account,
            "listen": listen,
            "admin": self.admin.map(|address| json!({"address": address.to_string()})),
            "store": self.store(),
            "clients": clients,
            "policies": policies,
            "rules": rules,
            "base_domains": self.base_domains,
            "hosts": self.hosts,
            "trusted_proxies": nets,
            "continue_timeout": show_time(self.continue_timeout),
            "denial": match self.denial {
                Denial::Detailed => "detailed",
                Denial::Plain => "plain",
            },
            "sse_c_over_http": match self.sse_c_over_http {
                PlainHttp::Refuse => "refuse",
                PlainHttp::Allow => "allow",
            },
            "limits": self.limits(),
            "audit": {
                "stdout": self.audit.stdout,
                "file": self.audit.file,
                "rotate": self.audit.rotate.map(|rotate| json!({
                    "bytes": rotate.bytes.map(show_size),
                    "time": rotate.time.map(show_time),
                    "keep": rotate.keep,
                })),
                "socket": self.audit.socket,
                "when_blocked": match self.audit.when_blocked {
                    WhenBlocked::Refuse => "refuse",
                    WhenBlocked::Count => "count",
                },
            },
            "shutdown": {
                "drain": show_time(self.shutdown.drain),
                "delay": show_time(self.shutdown.delay),
            },
            "upgrade_socket": self.upgrade_socket,
        })
    }

    fn store(&self) -> Value {
        let store = &self.store;
        let scheme = if store.endpoint.tls { "https" } else { "http" };
        json!({
            "endpoint": format!("{scheme}://{}", store.endpoint.authority()),
            "region": store.region,
            "addressing": match store.addressing {
                Addressing::Path => "path",
                Addressing::Virtual => "virtual",
            },
            "tls": {
                "ca": store.tls.ca,
                "server_name": store.tls.server_name,
                "cert": store.tls.client.as_ref().map(|(cert, _)| cert),
                "key": store.tls.client.as_ref().map(|(_, key)| key),
            },
            "response_timeout": show_time(store.response_timeout),
            "connect_timeout": show_time(store.connect_timeout),
            "credentials": store.credentials.as_ref().map(|credentials| {
                json!({"access_key": credentials.access_key, "secret_key": "***"})
            }),
        })
    }

    fn limits(&self) -> Value {
        let limits = &self.limits;
        let bound = |n: u64| (n != u64::MAX).then(|| show_size(n));
        json!({
            "connections": limits.connections,
            "connections_per_source": limits.connections_per_source,
            "requests": limits.requests,
            "requests_per_source": limits.requests_per_source,
            "header_bytes": bound(limits.header_bytes),
            "header_count": (limits.header_count != u64::MAX).then_some(limits.header_count),
            "header_timeout": limits.header_timeout.map(show_time),
            "idle_timeout": limits.idle_timeout.map(show_time),
            "body_bytes": limits.body_bytes.map(show_size),
            "body_rate": limits.body_rate.map(|rate| {
                json!({"bytes": show_size(rate.bytes), "after": show_time(rate.after)})
            }),
            "xml_bytes": bound(limits.xml_bytes),
            "form_bytes": bound(limits.form_bytes),
            "linger": {
                "bytes": bound(limits.linger.bytes),
                "time": show_time(limits.linger.time),
            },
        })
    }
}

fn rule(rule: &Rule) -> Value {
    let mut map = Map::new();
    map.insert("bucket".into(), json!(rule.bucket));
    map.insert("prefix".into(), json!(rule.prefix));
    if let Some(policy) = &rule.policy {
        map.insert("policy".into(), json!(policy.name));
    }
    if let Some(short) = &rule.short
        && let Ok(Value::Object(fields)) = serde_json::from_str(&short.text)
    {
        map.extend(fields);
    }
    let mode = match rule.mode {
        Mode::Enforce => "enforce",
        Mode::Report => "report",
    };
    let multipart = match rule.multipart {
        Multipart::Inherit => "inherit",
        Multipart::Literal => "literal",
    };
    let unconfirmed = match rule.unconfirmed {
        Unconfirmed::Fail => "fail",
        Unconfirmed::Delete => "delete",
        Unconfirmed::Report => "report",
    };
    map.insert("mode".into(), json!(mode));
    map.insert("multipart".into(), json!(multipart));
    map.insert("authorize".into(), json!(rule.authorize));
    map.insert("unconfirmed".into(), json!(unconfirmed));
    Value::Object(map)
}
