//! Which hosts requests may name: `Host` goes to the store as it came, so a host is served only where it is known what the store reads in it.

use super::address::{
    AddressError, below, host_name, named_host, names_a_bucket_at_aws, stands_inside,
};

/// The hosts that are served.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// Those that may be named beside the base domains, without port; none: any.
    hosts: Vec<String>,
    /// What stands behind a bucket in a host.
    domains: Vec<String>,
    store: Store,
}

/// What is known of the store by its name.
#[derive(Clone, Debug, Default)]
enum Store {
    /// It has none, or it is a base domain.
    #[default]
    Plain,
    /// It reads a bucket from any host, as Amazon S3 does.
    AnyHost,
    /// Whether it takes what stands before this name for a bucket is its own configuration, which is not known here.
    Named(String),
}

impl Served {
    /// The configured `hosts` and `base_domains`, and the name or address of the store.
    #[must_use]
    pub fn new(hosts: Vec<String>, domains: Vec<String>, store: &str) -> Self {
        let mut served = Self {
            hosts,
            domains,
            store: Store::Plain,
        };
        if reads_any_host(store) {
            served.store = Store::AnyHost;
            if !served.domains.iter().any(|domain| domain == store) {
                served.domains.push(store.to_owned());
            }
        } else if store.parse::<std::net::IpAddr>().is_err()
            && !served.domains.iter().any(|domain| domain == store)
        {
            served.store = Store::Named(store.to_owned());
        }
        served
    }

    /// The base domains: the configured ones, and the name of a store that reads buckets from any host.
    #[must_use]
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Whether a request with this target and `Host` may name the host that it names.
    ///
    /// # Errors
    /// [`AddressError::HostNotServed`], [`AddressError::BelowTheStore`], [`AddressError::HoldsTheStore`],
    /// [`AddressError::BucketByHost`].
    pub fn check(&self, target: &[u8], host: Option<&str>) -> Result<(), AddressError> {
        let Some(host) = named_host(target, host) else {
            return if self.hosts.is_empty() {
                Ok(())
            } else {
                Err(AddressError::HostNotServed)
            };
        };
        let name = host_name(host);
        let below_domain = self
            .domains
            .iter()
            .any(|domain| below(name, domain).is_some());
        if !self.hosts.is_empty() && !below_domain && !self.hosts.iter().any(|one| one == name) {
            return Err(AddressError::HostNotServed);
        }
        match &self.store {
            Store::Named(own)
                if !below_domain && below(name, own).is_some_and(|label| !label.is_empty()) =>
            {
                Err(AddressError::BelowTheStore)
            }
            Store::Named(own) if !below_domain && stands_inside(name, own) => {
                match own.contains('.') {
                    true => Err(AddressError::BelowTheStore),
                    // It may be a namespace's name, too, as in `gate.minio.svc`: who lists the host has thought of it.
                    false if !self.hosts.is_empty() => Ok(()),
                    false => Err(AddressError::HoldsTheStore),
                }
            }
            Store::AnyHost if !below_domain && names_a_bucket_at_aws(name) != Some(false) => {
                Err(AddressError::BucketByHost)
            }
            _ => Ok(()),
        }
    }
}

/// Whether a store of this name takes any `Host` that is not its own for the name of a bucket: Amazon S3 does
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html>), and Google Cloud Storage
/// (<https://cloud.google.com/storage/docs/request-endpoints#cname>).
fn reads_any_host(name: &str) -> bool {
    names_a_bucket_at_aws(name).is_some() || below(name, "googleapis.com").is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(hosts: &[&str], domains: &[&str], store: &str) -> Served {
        let texts = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect();
        Served::new(texts(hosts), texts(domains), store)
    }

    fn check(served: &Served, host: &str) -> Result<(), AddressError> {
        served.check(b"/b/k", Some(host))
    }

    #[test]
    fn hosts_can_be_listed() {
        let served = served(
            &["gate", "127.0.0.1", "[::1]"],
            &["s3.example.test"],
            "127.0.0.1",
        );
        for host in [
            "gate",
            "gate:80",
            "127.0.0.1:9",
            "[::1]",
            "[::1]:80",
            "s3.example.test",
            "b.s3.example.test:1",
        ] {
            assert_eq!(check(&served, host), Ok(()), "{host}");
        }
        for host in [
            "Gate",
            "gate.x",
            "127.0.0.2",
            "[::2]:80",
            "xs3.example.test",
            "",
        ] {
            assert_eq!(
                check(&served, host),
                Err(AddressError::HostNotServed),
                "{host}"
            );
        }
        assert_eq!(
            served.check(b"/b/k", None),
            Err(AddressError::HostNotServed)
        );
        assert_eq!(
            served.check(b"http://other/b/k", None),
            Err(AddressError::HostNotServed)
        );
        assert_eq!(Served::default().check(b"/b/k", None), Ok(()));
    }

    #[test]
    fn a_store_may_or_may_not_take_buckets_from_hosts_below_its_name() {
        let unknown = served(&[], &[], "minio.data.svc");
        for host in [
            "minio.data.svc",
            "minio.data.svc:9000",
            "MINIO.data.svc",
            "gate",
            "xminio.data.svc",
        ] {
            assert_eq!(check(&unknown, host), Ok(()), "{host}");
        }
        for host in [
            "public.minio.data.svc",
            "public.minio.data.svc:9000",
            "Public.Minio.data.svc",
            "a.b.minio.data.svc",
            "public.minio.data.svc.evil.test",
        ] {
            assert_eq!(
                check(&unknown, host),
                Err(AddressError::BelowTheStore),
                "{host}"
            );
        }
        assert_eq!(
            unknown.check(b"http://public.minio.data.svc/b/k", None),
            Err(AddressError::BelowTheStore)
        );
        // To be listed in `hosts` says that it is served, not what the store reads.
        let listed = served(&["public.minio"], &[], "minio");
        assert_eq!(
            check(&listed, "public.minio"),
            Err(AddressError::BelowTheStore)
        );
        // A name of one label stands anywhere, and versitygw cuts the bucket off before it.
        let short = served(&[], &[], "minio");
        for host in [
            "public.minio.svc",
            "public.minio-system.svc:80",
            "a.b.MINIO.x",
        ] {
            assert_eq!(
                check(&short, host),
                Err(AddressError::HoldsTheStore),
                "{host}"
            );
        }
        for host in ["minio", "minio.svc", "xminio.svc", "gate.xminio.svc"] {
            assert_eq!(check(&short, host), Ok(()), "{host}");
        }
        let listed = served(&["gate.minio.svc"], &[], "minio");
        assert_eq!(check(&listed, "gate.minio.svc"), Ok(()));
        let known = served(&[], &["minio.data.svc"], "minio.data.svc");
        assert_eq!(check(&known, "public.minio.data.svc"), Ok(()));
        assert_eq!(known.domains(), ["minio.data.svc"]);
        // A base domain above the store's name says what stands before it, the store's name included.
        let above = served(&[], &["data.svc"], "minio.data.svc");
        assert_eq!(check(&above, "b.minio.data.svc"), Ok(()));
    }

    #[test]
    fn amazon_reads_a_bucket_from_any_host() {
        let aws = served(&[], &[], "s3.eu-west-1.amazonaws.com");
        assert_eq!(aws.domains(), ["s3.eu-west-1.amazonaws.com"]);
        for host in [
            "s3.eu-west-1.amazonaws.com",
            "b.s3.eu-west-1.amazonaws.com:443",
            "s3.amazonaws.com",
        ] {
            assert_eq!(check(&aws, host), Ok(()), "{host}");
        }
        for host in [
            "vault.example.com",
            "localhost:8080",
            "127.0.0.1",
            "amazonaws.com.evil",
            "b.s3.us-east-1.amazonaws.com",
            "b.s3.us-east-1.api.aws",
            "b.s3.eusc-de-east-1.amazonaws.eu",
        ] {
            assert_eq!(check(&aws, host), Err(AddressError::BucketByHost), "{host}");
        }
        let google = served(&[], &[], "storage.googleapis.com");
        assert_eq!(check(&google, "b.storage.googleapis.com"), Ok(()));
        for host in ["vault.example.com", "b.storage.us-east1.rep.googleapis.com"] {
            assert_eq!(
                check(&google, host),
                Err(AddressError::BucketByHost),
                "{host}"
            );
        }
    }
}
