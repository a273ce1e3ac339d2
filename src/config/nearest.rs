//! Which name a misspelt one may have meant.

/// The known name that is nearest to a misspelt one, if it is near at all.
pub fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > 64 {
        return None;
    }
    let close = 1 + name.len() / 4;
    known
        .iter()
        .map(|known| (distance(name, known), *known))
        .filter(|&(d, known)| {
            d <= close || known.starts_with(name) && name.len() > 2 || name.starts_with(known)
        })
        .min()
        .map(|(_, known)| known)
}

/// Edit distance, a swap of two neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, &ca) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &cb) in b.iter().enumerate() {
            let at = |up: usize, left: usize| -> usize {
                let row_of = if up == 0 { &row } else { &rows[i + 1 - up] };
                row_of[j + 1 - left]
            };
            let mut best = (at(1, 0) + 1)
                .min(at(0, 1) + 1)
                .min(at(1, 1) + usize::from(ca != cb));
            if i > 0 && j > 0 && a[i - 1] == cb && b[j - 1] == ca {
                best = best.min(at(2, 2) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last().copied()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known = ["mode", "multipart", "authorize", "address", "endpoint"];
        for (name, expect) in [
            ("moed", Some("mode")),
            ("multi_part", Some("multipart")),
            ("authorise", Some("authorize")),
            ("adress", Some("address")),
            ("end", Some("endpoint")),
            ("zzz", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, &known), expect, "{name}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("ab", "ba"), 1);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("abc", ""), 3);
    }
}
