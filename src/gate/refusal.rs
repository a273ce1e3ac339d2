//! proto
use std::sync::Arc;
use super::conn::{Client, Rest};
use crate::http1::head::HeadError;
use tokio::io::AsyncWriteExt;
/// proto
pub async fn refuse_head(_g: &super::phases::Shared, _c: &Arc<Client>, rest: &mut Rest, e: Option<HeadError>) {
    let _ = rest.stream.write_all(format!("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n{e:?}").as_bytes()).await;
    let _ = rest.stream.flush().await;
}
