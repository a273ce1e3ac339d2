//! The head of a request as the pure parts see it.

use http::{HeaderMap, Method};

/// The head of a request, borrowed from whoever received it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method; `CONNECT`, `TRACE` and extensions are refused by the router.
    pub method: &'a Method,
    /// The request target as received: origin form `/b/k?q` or absolute form `http://host/b/k?q` (RFC 9112, 3.2).
    pub target: &'a [u8],
    /// The `Host` header or HTTP/2's `:authority`, with its port; `None` only for HTTP/1.0.
    pub host: Option<&'a str>,
    /// All header fields, in the order and the number they came in.
    pub headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// The value of a header that may come once; `None` where it is absent or not UTF-8.
    ///
    /// Of a header that came twice this is the first: the router has refused such requests where it matters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        std::str::from_utf8(self.headers.get(name)?.as_bytes()).ok()
    }
}
