//! Decimal numbers of any length, compared exactly: `1.2` is `1.20`, and thirty digits do not round.

use std::cmp::Ordering;

/// A parsed decimal that borrows or owns its digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal<S> {
    negative: bool,
    /// Without leading zeros.
    whole: S,
    /// Without trailing zeros.
    fraction: S,
}

impl<'a> Decimal<&'a str> {
    /// Reads an optional sign, digits, and an optional fraction. No exponent, no white space.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.trim_end_matches('0');
        let zero = whole.is_empty() && fraction.is_empty();
        Some(Self {
            negative: sign && !zero,
            whole,
            fraction,
        })
    }

    /// A copy that owns its digits.
    #[must_use]
    pub fn into_owned(self) -> Decimal<Box<str>> {
        Decimal {
            negative: self.negative,
            whole: self.whole.into(),
            fraction: self.fraction.into(),
        }
    }
}

impl<S: AsRef<str>> Decimal<S> {
    /// Which is larger.
    #[must_use]
    pub fn compare<T: AsRef<str>>(&self, other: &Decimal<T>) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => self.magnitude(other).reverse(),
        }
    }

    fn magnitude<T: AsRef<str>>(&self, other: &Decimal<T>) -> Ordering {
        let (a, b) = (self.whole.as_ref(), other.whole.as_ref());
        // Without trailing zeros, fractions order as text.
        a.len()
            .cmp(&b.len())
            .then_with(|| a.cmp(b))
            .then_with(|| self.fraction.as_ref().cmp(other.fraction.as_ref()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges() {
        let d = |s| Decimal::parse(s).unwrap();
        assert_eq!(d("1.2").compare(&d("01.20")), Ordering::Equal);
        assert_eq!(d("-0").compare(&d("0.0")), Ordering::Equal);
        assert_eq!(d("1.10").compare(&d("1.9")), Ordering::Less);
        assert_eq!(d("-2").compare(&d("-10")), Ordering::Greater);
        assert_eq!(
            d("123456789012345678901234567890").compare(&d("123456789012345678901234567891")),
            Ordering::Less
        );
        for bad in ["", "-", ".", "1.", ".5", "1e3", " 1", "0x1", "1,0", "--1"] {
            assert!(Decimal::parse(bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn orders_as_integers(a in -1_000_000_i64..1_000_000, b in -1_000_000_i64..1_000_000) {
            let text = |n: i64| format!("{}{}.{:03}", if n < 0 { "-" } else { "" }, n.abs() / 1000, n.abs() % 1000);
            let (ta, tb) = (text(a), text(b));
            prop_assert_eq!(Decimal::parse(&ta).unwrap().compare(&Decimal::parse(&tb).unwrap()), a.cmp(&b));
        }
    }
}
