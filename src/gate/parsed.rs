//! A head's method, target and fields.

use std::mem::MaybeUninit;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::MOST_FIELDS;
use crate::{http1::head::HeadError, s3::RequestHead};

/// A head, parsed. [`examine`](crate::http1::head::examine) has found it unambiguous before.
#[derive(Debug)]
pub struct Parsed {
    /// The method.
    pub method: Method,
    /// The fields, in their order.
    pub headers: HeaderMap,
    target: Vec<u8>,
}

impl Parsed {
    /// Parses a whole head. One without `Host`, as HTTP/1.0 allows, is read as it goes on: with `host`.
    ///
    /// # Errors
    /// It is not one after all.
    pub fn of(head: &[u8], host: &str) -> Result<Self, HeadError> {
        let mut fields = [const { MaybeUninit::uninit() }; MOST_FIELDS];
        let mut request = httparse::Request::new(&mut []);
        request
            .parse_with_uninit_headers(head, &mut fields)
            .map_err(|_| HeadError::RequestLine)?;
        let method = Method::from_bytes(request.method.unwrap_or_default().as_bytes())
            .map_err(|_| HeadError::RequestLine)?;
        let mut headers = HeaderMap::with_capacity(request.headers.len());
        for field in request.headers.iter() {
            let name =
                HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| HeadError::FieldName)?;
            let value = HeaderValue::from_bytes(field.value).map_err(|_| HeadError::Control)?;
            headers.append(name, value);
        }
        if !headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(host).map_err(|_| HeadError::Host)?;
            headers.insert(header::HOST, host);
        }
        Ok(Self {
            method,
            headers,
            target: request.path.unwrap_or_default().as_bytes().to_vec(),
        })
    }

    /// As the pure rooms see it.
    #[must_use]
    pub fn head(&self) -> RequestHead<'_> {
        RequestHead {
            method: &self.method,
            target: &self.target,
            host: self.headers.get(header::HOST).and_then(|v| v.to_str().ok()),
            headers: &self.headers,
        }
    }

    /// Whether the client ends the connection after this request.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.headers.get_all(header::CONNECTION).iter().any(|v| {
            v.as_bytes()
                .split(|b| *b == b',')
                .any(|token| token.trim_ascii().eq_ignore_ascii_case(b"close"))
        })
    }
}
