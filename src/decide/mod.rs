//! One request, one verdict: which rule is for it, what the policies say, whether its encryption headers are in order.
//!
//! Pure: it knows neither sockets nor clocks. The gate asks it with a request's head, and again with what a body names.

mod demand;
mod forwarded;
mod keeper;
mod verdict;

pub use demand::{Demand, always_echoes};
pub use forwarded::{client_tls, source_ip};
pub use keeper::Keeper;
pub use verdict::{Denial, Facts, Object, Verdict};

#[cfg(test)]
mod body_tests;
#[cfg(test)]
mod tests;
