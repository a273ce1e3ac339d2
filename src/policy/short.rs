//! placeholder until the branch lands
/// placeholder
pub fn expand(_t: &str, _b: &str, _p: &str) -> Result<super::Document, String> { Err("x".into()) }
