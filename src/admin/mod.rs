//! The admin port: `/metrics`, `/healthz`, `/readyz`, `/config`, `/log`. Plain HTTP, for probes, scrapers and operators only.
//!
//! It has a thread and a runtime of its own, so that it answers however busy the proxy is.

mod serve;

use std::{fmt::Write as _, sync::Arc};

use http::{Method, Response, StatusCode, header};

pub use serve::{reserve, set_log_level, start};

use crate::{audit::Standing, gate::Live};

const TEXT: &str = "text/plain; charset=utf-8";

/// Changes what is logged, and says what is. Given by whoever set up the log.
pub trait LogLevel: Send + Sync {
    /// The filter in force, as `RUST_LOG` would have it.
    fn get(&self) -> String;
    /// Puts another into force.
    ///
    /// # Errors
    /// It is no filter; the text says why.
    fn set(&self, filter: &str) -> Result<(), String>;
}

/// Answers the admin port's requests.
struct Admin {
    live: Arc<Live>,
}

struct Answer(StatusCode, &'static str, String);

impl Admin {
    fn answer(&self, method: &Method, path: &str, query: Option<&str>) -> Answer {
        if path == "/log" {
            return log(method, query);
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Answer(
                StatusCode::METHOD_NOT_ALLOWED,
                TEXT,
                "only GET and HEAD\n".to_owned(),
            );
        }
        match path {
            "/metrics" => self.metrics(),
            "/healthz" => Answer(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => self.ready(),
            "/config" => self.config(),
            _ => Answer(
                StatusCode::NOT_FOUND,
                TEXT,
                "/metrics, /healthz, /readyz, /config or /log\n".to_owned(),
            ),
        }
    }

    fn metrics(&self) -> Answer {
        let process = &self.live.process;
        let current = self.live.current();
        process.metrics.stand(&Standing {
            connections: process.connections.open() as u64,
            refused: process.connections.refused(),
            store: process.store_uses.counts(),
            store_idle: current.store.idle() as u64,
            requests: process.active() as u64,
            generation: current.generation,
            since: current.since,
            outdated: self.live.refused().is_some(),
            certificates_refused: current.entries.refused(),
            certificates_until: current.entries.not_after(),
        });
        match process.metrics.encode(Some(&process.audit)) {
            Ok(text) => Answer(
                StatusCode::OK,
                "text/plain; version=0.0.4; charset=utf-8",
                text,
            ),
            Err(error) => Answer(
                StatusCode::INTERNAL_SERVER_ERROR,
                TEXT,
                format!("{error}\n"),
            ),
        }
    }

    fn ready(&self) -> Answer {
        let process = &self.live.process;
        if let Some(why) = process.unready() {
            return Answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{why}\n"));
        }
        let current = self.live.current();
        let generation = current.generation;
        let mut text = match self.live.refused() {
            None => format!("ready\nconfiguration: generation {generation}\n"),
            Some(errors) => format!(
                "ready\nconfiguration: generation {generation}; the file has changed since and has errors, so it is not in force:\n{errors}\n"
            ),
        };
        if !current.needs_restart.is_empty() {
            let names = current.needs_restart.join(", ");
            let _ = writeln!(text, "changed, and in force after a restart: {names}");
        }
        if let Some(why) = process.not_handed_over() {
            let _ = writeln!(
                text,
                "the last hand-over failed, and this process went on: {why}"
            );
        }
        Answer(StatusCode::OK, TEXT, text)
    }

    fn config(&self) -> Answer {
        let current = self.live.current();
        let since = jiff::Timestamp::try_from(current.since).unwrap_or_default();
        let config = serde_json::json!({
            "generation": current.generation,
            "since": since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "refused": self.live.refused(),
            "needs_restart": current.needs_restart,
            "config": current.masked,
        });
        Answer(StatusCode::OK, "application/json", format!("{config:#}\n"))
    }
}

/// `GET /log` says what is logged, `PUT /log?filter=debug` changes it until the process ends.
fn log(method: &Method, query: Option<&str>) -> Answer {
    let Some(level) = serve::log_level() else {
        return Answer(
            StatusCode::NOT_FOUND,
            TEXT,
            "this process does not log\n".to_owned(),
        );
    };
    let asked = query.and_then(|q| q.strip_prefix("filter="));
    match (method, asked) {
        (&Method::GET | &Method::HEAD, _) => Answer(StatusCode::OK, TEXT, level.get() + "\n"),
        (&Method::PUT, Some(filter)) => {
            let filter = percent_encoding::percent_decode_str(filter).decode_utf8_lossy();
            match level.set(&filter) {
                Ok(()) => Answer(StatusCode::OK, TEXT, level.get() + "\n"),
                Err(error) => Answer(StatusCode::BAD_REQUEST, TEXT, format!("{error}\n")),
            }
        }
        _ => Answer(
            StatusCode::METHOD_NOT_ALLOWED,
            TEXT,
            "GET /log, or PUT /log?filter=FILTER, where FILTER is error, warn, info, debug, trace, or what RUST_LOG takes\n".to_owned(),
        ),
    }
}

impl Answer {
    fn response(self) -> Response<String> {
        let Self(status, kind, text) = self;
        let mut response = Response::new(text);
        *response.status_mut() = status;
        let kind = header::HeaderValue::from_static(kind);
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}
