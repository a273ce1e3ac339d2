//! Bucket patterns of rules: `*` stands for any characters, `?` for one.

/// Whether the pattern stands for the name. Linear in the name for a pattern with one `*`, never worse than their product.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    walk(pattern.as_bytes(), name.as_bytes(), |p, n| {
        p == b'?' || p == n
    })
}

/// Whether every name that `narrow` stands for is one of `wide`'s. A "yes" is always right.
#[must_use]
pub fn covers(wide: &str, narrow: &str) -> bool {
    walk(wide.as_bytes(), narrow.as_bytes(), |w, n| {
        n != b'*' && (w == b'?' || w == n)
    })
}

/// Whether some name is of both.
#[must_use]
pub fn meet(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    // Row by row: whether the rest of `a` and the rest of `b` meet, from their ends.
    let mut below = vec![false; b.len() + 1];
    for i in (0..=a.len()).rev() {
        let mut row = vec![false; b.len() + 1];
        for j in (0..=b.len()).rev() {
            let down = below.get(j).copied().unwrap_or(false) && i < a.len();
            let right = row.get(j + 1).copied().unwrap_or(false);
            let both = below.get(j + 1).copied().unwrap_or(false) && i < a.len();
            row[j] = match (a.get(i), b.get(j)) {
                (None, None) => true,
                // A star stands for nothing, or takes one more of the other.
                (Some(b'*'), _) | (_, Some(b'*')) => down || right,
                (Some(&x), Some(&y)) => both && (x == y || x == b'?' || y == b'?'),
                _ => false,
            };
        }
        below = row;
    }
    below.first().copied().unwrap_or(false)
}

/// Matching with one place to come back to: the latest `*`.
fn walk(pattern: &[u8], name: &[u8], one: impl Fn(u8, u8) -> bool) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star = None;
    while let Some(&byte) = name.get(n) {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(&c) if one(c, byte) => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, at)) = star else {
                    return false;
                };
                star = Some((after, at + 1));
                p = after;
                n = at + 1;
            }
        }
    }
    pattern.iter().skip(p).all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, expect) in [
            ("*", "any", true),
            ("*", "", true),
            ("finance-*", "finance-2026", true),
            ("finance-*", "finance", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("log?", "logs", true),
            ("log?", "log", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(matches(pattern, name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn meeting() {
        for (a, b, expect) in [
            ("*", "finance-*", true),
            ("", "", true),
            ("", "*", true),
            ("a", "", false),
            ("finance-*", "*-2026", true),
            ("finance-*", "legal-*", false),
            ("a?c", "ab*", true),
            ("a?c", "ab", false),
            ("examplebucket", "finance", false),
            ("a*b", "a", false),
        ] {
            assert_eq!(meet(a, b), expect, "{a} {b}");
            assert_eq!(meet(b, a), expect, "{b} {a}");
        }
    }

    #[test]
    fn covering() {
        for (wide, narrow, expect) in [
            ("*", "finance-*", true),
            ("finance-*", "*", false),
            ("finance-*", "finance-2026", true),
            ("log?", "log*", false),
            ("log?", "log?", true),
            ("log*", "log?", true),
            ("a", "a", true),
        ] {
            assert_eq!(covers(wide, narrow), expect, "{wide} {narrow}");
        }
    }
}
