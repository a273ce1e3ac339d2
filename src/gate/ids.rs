//! Ids of requests, as S3 gives them.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Upper-case letters and digits that cannot be mistaken for one another.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// Makes ids that are unique within a process, and in all likelihood among all of them.
#[derive(Debug)]
pub struct Ids {
    seed: u64,
    next: AtomicU64,
    /// The start of every `x-amz-id-2` of this process: tells replicas apart.
    host: String,
}

/// A request's id: `x-amz-request-id`, 16 characters of upper-case letters and digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Default for Ids {
    fn default() -> Self {
        // `RandomState` is seeded by the system; no cryptographic promise is made, none is needed.
        let random = RandomState::new();
        let mut ids = Self {
            seed: random.hash_one(std::process::id()),
            next: AtomicU64::new(random.hash_one(1_u8)),
            host: String::new(),
        };
        ids.host = (0..3)
            .map(|_| ids.next().as_str().to_owned())
            .collect::<String>();
        ids
    }
}

impl Ids {
    /// The next id.
    #[must_use]
    pub fn next(&self) -> RequestId {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let (high, low) = (mix(n ^ self.seed), mix(n.wrapping_add(self.seed)));
        let bits = u128::from(high) << 64 | u128::from(low);
        let mut id = [0; 16];
        for (i, place) in id.iter_mut().enumerate() {
            *place = ALPHABET[(bits >> (5 * i)) as usize & 31];
        }
        RequestId(id)
    }

    /// The host id that goes with a request's: `x-amz-id-2`, base64 alphabet, 64 characters.
    #[must_use]
    pub fn host_id(&self, id: &RequestId) -> String {
        format!("{}{}", self.host, id.as_str())
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
const fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_are_distinct_and_look_like_s3s() {
        let ids = Ids::default();
        let seen: HashSet<_> = (0..10_000)
            .map(|_| ids.next().as_str().to_owned())
            .collect();
        assert_eq!(seen.len(), 10_000);
        assert!(seen.iter().all(|id| {
            id.len() == 16
                && id
                    .bytes()
                    .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
        }));
        assert_eq!(ids.host_id(&ids.next()).len(), 64);
    }
}
