//! The memory of what must be held before it may go on: request bodies that decide something, answers that are looked at first.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::connections::network;

/// What is held at a time in the whole process has at most this many bytes; beyond it requests are told to slow down.
/// Each body alone is bounded by `limits.xml_bytes` or `limits.form_bytes`.
const HELD_BYTES: usize = 64 << 20;
/// Of these, what is held for one address has at most this many: nobody takes it all.
const HELD_BYTES_OF_ONE: usize = HELD_BYTES / 4;

/// Counts the bytes that are held, by the address that they are held for.
#[derive(Clone, Default)]
pub struct Pool(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Pool {
    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One body's share of a [`Pool`], given back when dropped.
#[derive(Default)]
pub struct Held {
    taken: Option<(Pool, IpAddr)>,
    bytes: usize,
}

impl Held {
    /// Takes `more` bytes; false where there are none left.
    /// However little is there for all, one body of at most `limit` bytes fits; one without a limit has no such right.
    pub fn grow(&mut self, pool: &Pool, source: IpAddr, more: usize, limit: usize) -> bool {
        let limit = if limit == usize::MAX { 0 } else { limit };
        let source = network(source);
        let mut by_source = pool.lock();
        let all: usize = by_source.values().sum();
        let own = by_source.get(&source).copied().unwrap_or_default();
        let fits = |held: usize, most: usize| held.checked_add(more).is_some_and(|sum| sum <= most);
        if !fits(all, HELD_BYTES.max(limit)) || !fits(own, HELD_BYTES_OF_ONE.max(limit)) {
            return false;
        }
        by_source.insert(source, own + more);
        drop(by_source);
        self.bytes += more;
        self.taken.get_or_insert_with(|| (pool.clone(), source));
        true
    }

    /// How many bytes are taken.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some((pool, source)) = &self.taken else {
            return;
        };
        let mut by_source = pool.lock();
        if let Some(own) = by_source.get_mut(source) {
            *own = own.saturating_sub(self.bytes);
            if *own == 0 {
                by_source.remove(source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn ip6(last: u16) -> IpAddr {
        std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last).into()
    }

    #[test]
    fn held_bytes_are_bounded_and_given_back() {
        let pool = Pool::default();
        let mut first = Held::default();
        assert!(first.grow(&pool, ip(1), HELD_BYTES_OF_ONE - 1, 0));
        let mut second = Held::default();
        assert!(!second.grow(&pool, ip(1), 2, 0));
        assert!(second.grow(&pool, ip(1), 1, 0));
        drop(first);
        assert!(second.grow(&pool, ip(1), HELD_BYTES_OF_ONE - 1, 0));
        assert!(!second.grow(&pool, ip(1), usize::MAX, 0));
        // Others have their share, until all is taken.
        let mut others = [2, 3, 4, 5].map(|last| (ip(last), Held::default()));
        for (source, held) in &mut others[..3] {
            assert!(held.grow(&pool, *source, HELD_BYTES_OF_ONE, 0));
        }
        let (source, held) = &mut others[3];
        assert!(!held.grow(&pool, *source, 1, 0));
        drop(second);
        assert!(held.grow(&pool, *source, 1, 0));
        drop(others);
        // One that is allowed to be larger than all that, and the other half of a network.
        let mut large = Held::default();
        assert!(large.grow(&pool, ip6(1), HELD_BYTES + 1, HELD_BYTES + 1));
        assert!(!large.grow(&pool, ip6(1), 1, HELD_BYTES + 1));
        assert!(!Held::default().grow(&pool, ip6(2), 1, HELD_BYTES + 1));
        drop(large);
        // Without a limit there is what all have.
        let mut unlimited = Held::default();
        assert!(!unlimited.grow(&pool, ip(1), HELD_BYTES_OF_ONE + 1, usize::MAX));
        assert!(unlimited.grow(&pool, ip(1), HELD_BYTES_OF_ONE, usize::MAX));
        drop(unlimited);
        assert!(pool.lock().is_empty());
    }
}
