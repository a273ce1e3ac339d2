//! `${NAME}` in a value reads the environment; `$${` is a plain `${`.

/// Puts the environment's values in.
///
/// # Errors
/// A name that is not set or not a name, or a `${` without its end.
pub fn expand(text: &str, get: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        let after = after.strip_prefix("${").unwrap_or(after);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let (name, tail) = after
            .split_once('}')
            .ok_or("has a ${ without its }; write $${ for the characters themselves")?;
        if !is_name(name) {
            // The text may be a secret: it is not repeated.
            return Err("has a ${...} that names no environment variable (letters, digits and _); write $${ for the characters themselves".into());
        }
        out.push_str(
            &get(name).ok_or_else(|| format!("the environment variable {name} is not set"))?,
        );
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(name: &str) -> Option<String> {
        (name == "A").then(|| "va}l${A}".to_owned())
    }

    #[test]
    fn expands() {
        for (text, expect) in [
            ("plain $ {A} $A", Ok("plain $ {A} $A")),
            ("x${A}y${A}", Ok("xva}l${A}yva}l${A}")),
            ("$${A}", Ok("${A}")),
            ("${B}", Err("variable B is not set")),
            ("${aws:username}", Err("that names no environment variable")),
            ("${}", Err("that names no environment variable")),
            ("${A", Err("without its }")),
        ] {
            match (expand(text, &get), expect) {
                (Ok(got), Ok(expect)) => assert_eq!(got, expect),
                (Err(got), Err(expect)) => assert!(got.contains(expect), "{got}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}
