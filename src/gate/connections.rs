//! How many clients are connected, in all and from each address.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// Counts connections.
#[derive(Debug, Default)]
pub struct Connections {
    all: AtomicUsize,
    refused: AtomicU64,
    by_source: Mutex<HashMap<IpAddr, Source>>,
}

/// What comes from one address.
#[derive(Debug, Default)]
struct Source {
    connections: u64,
    requests: Arc<AtomicU64>,
}

impl Connections {
    /// Open connections.
    #[must_use]
    pub fn open(&self) -> usize {
        self.all.load(Ordering::Acquire)
    }

    /// Connections that were one too many, so far.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Counts a connection until the guard is dropped; `None`: it is more than `most`.
    #[must_use]
    pub fn admit(self: &Arc<Self>, most: Option<u64>) -> Option<Open> {
        let before = self.all.fetch_add(1, Ordering::AcqRel) as u64;
        // From here on the guard gives back what was taken.
        let open = Open {
            connections: Arc::clone(self),
            source: None,
        };
        if most.is_some_and(|most| before >= most) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(open)
    }

    fn by_source(&self) -> MutexGuard<'_, HashMap<IpAddr, Source>> {
        self.by_source
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection that is counted.
#[derive(Debug)]
pub struct Open {
    connections: Arc<Connections>,
    source: Option<IpAddr>,
}

impl Open {
    /// Counts the connection for `source`, which has none of its own yet, and gives the counter of the requests from
    /// there; `None`: it is more than `most`.
    #[must_use]
    pub fn from(&mut self, source: IpAddr, most: Option<u64>) -> Option<Arc<AtomicU64>> {
        let source = network(source);
        let mut by_source = self.connections.by_source();
        let found = by_source.entry(source).or_default();
        if most.is_some_and(|most| found.connections >= most) {
            if found.connections == 0 {
                by_source.remove(&source);
            }
            self.connections.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        found.connections += 1;
        let requests = Arc::clone(&found.requests);
        drop(by_source);
        self.source = Some(source);
        Some(requests)
    }
}

/// Whose address it is: in IPv6 a client has a whole /64 (RFC 7934, RFC 8273).
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::AcqRel);
        let Some(source) = self.source else {
            return;
        };
        let mut by_source = self.connections.by_source();
        if let Some(found) = by_source.get_mut(&source) {
            found.connections -= 1;
            if found.connections == 0 {
                by_source.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn admit(connections: &Arc<Connections>, source: IpAddr) -> Option<Open> {
        let mut open = connections.admit(Some(3))?;
        open.from(source, Some(2)).map(|_| open)
    }

    #[test]
    fn each_address_has_its_share_and_gives_it_back() {
        let connections = Arc::new(Connections::default());
        let first = admit(&connections, ip(1)).unwrap();
        let _second = admit(&connections, ip(1)).unwrap();
        assert!(admit(&connections, ip(1)).is_none());
        let third = admit(&connections, ip(2)).unwrap();
        assert!(admit(&connections, ip(3)).is_none());
        assert_eq!((connections.open(), connections.refused()), (3, 2));
        drop(third);
        drop(first);
        assert_eq!(connections.by_source().len(), 1);
        assert!(admit(&connections, ip(1)).is_some());
        assert!(connections.admit(None).unwrap().from(ip(3), None).is_some());
        assert!(
            connections
                .admit(None)
                .unwrap()
                .from(ip(3), Some(0))
                .is_none()
        );
        assert_eq!(connections.open(), 1);
        assert_eq!(connections.by_source().len(), 1);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        let connections = Arc::new(Connections::default());
        let one = |text: &str| admit(&connections, text.parse().unwrap());
        let _open = (one("2001:db8::1").unwrap(), one("2001:db8::2").unwrap());
        assert!(one("2001:db8::3").is_none());
        assert!(one("2001:db8:0:1::3").is_some());
    }

    #[test]
    fn requests_are_counted_for_all_connections_of_an_address() {
        let connections = Arc::new(Connections::default());
        let (mut one, mut two) = (
            connections.admit(None).unwrap(),
            connections.admit(None).unwrap(),
        );
        let first = one.from(ip(1), None).unwrap();
        let second = two.from(ip(1), None).unwrap();
        assert!(Arc::ptr_eq(&first, &second));
    }
}
