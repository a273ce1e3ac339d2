//! How many files the system lets this process open, and what follows for connections: the admin port, the audit outputs and the
//! store must be served when clients have taken all that they may.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept back for what is no client's: listeners, audit outputs, the admin port, certificates that are read again.
const KEPT_BACK: u64 = 64;

/// The bound that the system sets.
#[derive(Clone, Copy, Debug)]
pub struct Files {
    most: Option<u64>,
}

impl Files {
    /// Asks for as many as the system gives, and says so in the log where that is less than the limits allow.
    #[must_use]
    pub fn raise(connections: Option<u64>, requests: Option<u64>) -> Self {
        let found = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: found.maximum,
            maximum: found.maximum,
        };
        let files = Self {
            most: match setrlimit(Resource::Nofile, raised) {
                Ok(()) => found.maximum,
                Err(_) => found.current,
            },
        };
        let wanted = [connections, requests].map(|limit| limit.unwrap_or(u64::MAX));
        if let (Some(most), Some(share)) = (files.most, files.share())
            && wanted.iter().any(|wanted| *wanted > share)
        {
            tracing::warn!(
                files = most,
                connections = share,
                requests = share,
                "limits.connections or limits.requests asks for more open files than the system allows, so fewer of both are taken; raise the limit (`ulimit -n`, LimitNOFILE) or lower them"
            );
        }
        files
    }

    /// A limit on connections, or on requests, as far as there are files for it.
    #[must_use]
    pub fn bound(self, limit: Option<u64>) -> Option<u64> {
        match (limit, self.share()) {
            (Some(limit), Some(share)) => Some(limit.min(share)),
            (limit, share) => limit.or(share),
        }
    }

    /// A limit on those of one address, where `all` is that on all: half of what there are files for, so that no address
    /// takes all, unless it is configured that one may.
    #[must_use]
    pub fn bound_of_one(self, limit: Option<u64>, all: Option<u64>) -> Option<u64> {
        match (limit, self.share()) {
            (Some(limit), Some(share)) if all.is_none_or(|all| share < all && limit < all) => {
                Some(limit.min(share.div_ceil(2)))
            }
            (limit, _) => limit,
        }
    }

    /// A third for clients, one for what their requests take at the store, one for the looks at what they have written there.
    fn share(self) -> Option<u64> {
        self.most
            .map(|most| (most - KEPT_BACK.min(most / 2)).div_ceil(3))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_does_not_take_all() {
        let few = Files { most: Some(1024) };
        assert_eq!(few.bound_of_one(Some(1000), Some(10_000)), Some(160));
        assert_eq!(few.bound_of_one(Some(100), Some(10_000)), Some(100));
        assert_eq!(few.bound_of_one(Some(1000), None), Some(160));
        // Behind a balancer all clients are one: so it is configured.
        assert_eq!(few.bound_of_one(Some(10_000), Some(10_000)), Some(10_000));
        assert_eq!(few.bound_of_one(None, Some(10_000)), None);
        assert_eq!(few.bound_of_one(Some(100), Some(200)), Some(100));
        let many = Files {
            most: Some(100_000),
        };
        assert_eq!(many.bound_of_one(Some(1000), Some(10_000)), Some(1000));
    }

    #[test]
    fn some_are_kept_back() {
        for (files, share) in [(1024, 320), (64, 11), (1, 1), (30_064, 10_000)] {
            let files = Files { most: Some(files) };
            assert_eq!(files.bound(Some(10_000)), Some(share));
            assert_eq!(files.bound(Some(1)), Some(1));
            assert_eq!(files.bound(None), Some(share));
        }
        let unbounded = Files { most: None };
        assert_eq!(unbounded.bound(Some(10_000)), Some(10_000));
        assert_eq!(unbounded.bound(None), None);
    }
}
