//! How many clients are connected, in all and from each address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

/// The most there may be; `None`: any number.
#[derive(Clone, Copy, Debug, Default)]
pub struct Most {
    /// In all.
    pub all: Option<u64>,
    /// From one address.
    pub from_one: Option<u64>,
}

/// Counts connections.
#[derive(Debug, Default)]
pub struct Connections {
    all: AtomicUsize,
    refused: AtomicU64,
    by_source: Mutex<HashMap<IpAddr, u64>>,
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

    /// Counts a connection from `source` until the guard is dropped; `None`: it is one too many.
    #[must_use]
    pub fn admit(self: &Arc<Self>, source: IpAddr, most: Most) -> Option<Open> {
        let before = self.all.fetch_add(1, Ordering::AcqRel) as u64;
        // From here on the guard gives back what was taken.
        let mut open = Open {
            connections: Arc::clone(self),
            source: None,
        };
        if most.all.is_some_and(|most| before >= most) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        open.from(source, most.from_one).then_some(open)
    }

    fn by_source(&self) -> MutexGuard<'_, HashMap<IpAddr, u64>> {
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
    /// Counts the connection for `source`, which has none of its own yet; false: it is one too many.
    #[must_use]
    pub fn from(&mut self, source: IpAddr, most: Option<u64>) -> bool {
        let Some(most) = most else {
            return true;
        };
        let mut by_source = self.connections.by_source();
        let count = by_source.entry(source).or_default();
        if *count >= most {
            self.connections.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        *count += 1;
        drop(by_source);
        self.source = Some(source);
        true
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connections.all.fetch_sub(1, Ordering::AcqRel);
        let Some(source) = self.source else {
            return;
        };
        let mut by_source = self.connections.by_source();
        if let Some(count) = by_source.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
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

    #[test]
    fn each_address_has_its_share_and_gives_it_back() {
        let connections = Arc::new(Connections::default());
        let most = Most {
            all: Some(3),
            from_one: Some(2),
        };
        let first = connections.admit(ip(1), most).unwrap();
        let _second = connections.admit(ip(1), most).unwrap();
        assert!(connections.admit(ip(1), most).is_none());
        let third = connections.admit(ip(2), most).unwrap();
        assert!(connections.admit(ip(3), most).is_none());
        assert_eq!((connections.open(), connections.refused()), (3, 2));
        drop(third);
        drop(first);
        assert_eq!(connections.by_source().len(), 1);
        assert!(connections.admit(ip(1), most).is_some());
        assert!(connections.admit(ip(3), Most::default()).is_some());
        assert_eq!(connections.open(), 1);
    }
}
