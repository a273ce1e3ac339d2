//! Condition operators: the names AWS documents, with their prefixes and suffix.

use std::fmt;

/// A comparison without prefix and suffix. `...Equals` and `...Like` of ARNs mean the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are AWS's and say it all
pub enum Comparison {
    StringEquals,
    StringNotEquals,
    StringEqualsIgnoreCase,
    StringNotEqualsIgnoreCase,
    StringLike,
    StringNotLike,
    NumericEquals,
    NumericNotEquals,
    NumericLessThan,
    NumericLessThanEquals,
    NumericGreaterThan,
    NumericGreaterThanEquals,
    DateEquals,
    DateNotEquals,
    DateLessThan,
    DateLessThanEquals,
    DateGreaterThan,
    DateGreaterThanEquals,
    Bool,
    BinaryEquals,
    IpAddress,
    NotIpAddress,
    ArnEquals,
    ArnLike,
    ArnNotEquals,
    ArnNotLike,
    Null,
}

/// What a comparison compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Family {
    String,
    Numeric,
    Date,
    Bool,
    Binary,
    Ip,
    Arn,
    Null,
}

/// The prefix for keys with many values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// `ForAllValues:` every value of the request must fit; true where there is none.
    ForAllValues,
    /// `ForAnyValue:` at least one value of the request must fit; false where there is none.
    ForAnyValue,
}

/// A condition operator as written in a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operator {
    /// `ForAllValues:` or `ForAnyValue:`.
    pub quantifier: Option<Quantifier>,
    /// The comparison.
    pub comparison: Comparison,
    /// `...IfExists`: true where the key is absent.
    pub if_exists: bool,
}

const NAMES: [(Comparison, &str); 27] = [
    (Comparison::StringEquals, "StringEquals"),
    (Comparison::StringNotEquals, "StringNotEquals"),
    (Comparison::StringEqualsIgnoreCase, "StringEqualsIgnoreCase"),
    (
        Comparison::StringNotEqualsIgnoreCase,
        "StringNotEqualsIgnoreCase",
    ),
    (Comparison::StringLike, "StringLike"),
    (Comparison::StringNotLike, "StringNotLike"),
    (Comparison::NumericEquals, "NumericEquals"),
    (Comparison::NumericNotEquals, "NumericNotEquals"),
    (Comparison::NumericLessThan, "NumericLessThan"),
    (Comparison::NumericLessThanEquals, "NumericLessThanEquals"),
    (Comparison::NumericGreaterThan, "NumericGreaterThan"),
    (
        Comparison::NumericGreaterThanEquals,
        "NumericGreaterThanEquals",
    ),
    (Comparison::DateEquals, "DateEquals"),
    (Comparison::DateNotEquals, "DateNotEquals"),
    (Comparison::DateLessThan, "DateLessThan"),
    (Comparison::DateLessThanEquals, "DateLessThanEquals"),
    (Comparison::DateGreaterThan, "DateGreaterThan"),
    (Comparison::DateGreaterThanEquals, "DateGreaterThanEquals"),
    (Comparison::Bool, "Bool"),
    (Comparison::BinaryEquals, "BinaryEquals"),
    (Comparison::IpAddress, "IpAddress"),
    (Comparison::NotIpAddress, "NotIpAddress"),
    (Comparison::ArnEquals, "ArnEquals"),
    (Comparison::ArnLike, "ArnLike"),
    (Comparison::ArnNotEquals, "ArnNotEquals"),
    (Comparison::ArnNotLike, "ArnNotLike"),
    (Comparison::Null, "Null"),
];

impl Comparison {
    /// Every comparison, in the order of AWS's documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(c, _)| *c)
    }

    /// AWS's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(c, _)| *c == self)
            .map_or("", |(_, n)| n)
    }

    /// What it compares.
    #[must_use]
    pub fn family(self) -> Family {
        use Comparison as C;
        match self {
            C::StringEquals
            | C::StringNotEquals
            | C::StringEqualsIgnoreCase
            | C::StringNotEqualsIgnoreCase
            | C::StringLike
            | C::StringNotLike => Family::String,
            C::NumericEquals
            | C::NumericNotEquals
            | C::NumericLessThan
            | C::NumericLessThanEquals
            | C::NumericGreaterThan
            | C::NumericGreaterThanEquals => Family::Numeric,
            C::DateEquals
            | C::DateNotEquals
            | C::DateLessThan
            | C::DateLessThanEquals
            | C::DateGreaterThan
            | C::DateGreaterThanEquals => Family::Date,
            C::Bool => Family::Bool,
            C::BinaryEquals => Family::Binary,
            C::IpAddress | C::NotIpAddress => Family::Ip,
            C::ArnEquals | C::ArnLike | C::ArnNotEquals | C::ArnNotLike => Family::Arn,
            C::Null => Family::Null,
        }
    }

    /// A negated comparison is true where the key is absent, and where none of the values fits.
    #[must_use]
    pub fn negated(self) -> bool {
        use Comparison as C;
        matches!(
            self,
            C::StringNotEquals
                | C::StringNotEqualsIgnoreCase
                | C::StringNotLike
                | C::NumericNotEquals
                | C::DateNotEquals
                | C::NotIpAddress
                | C::ArnNotEquals
                | C::ArnNotLike
        )
    }
}

impl Operator {
    /// A bare comparison.
    #[must_use]
    pub const fn plain(comparison: Comparison) -> Self {
        Self {
            quantifier: None,
            comparison,
            if_exists: false,
        }
    }

    /// Reads a name as AWS does: case-sensitive. `None` for what AWS calls `Invalid Condition type`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (quantifier, rest) = if let Some(r) = name.strip_prefix("ForAllValues:") {
            (Some(Quantifier::ForAllValues), r)
        } else if let Some(r) = name.strip_prefix("ForAnyValue:") {
            (Some(Quantifier::ForAnyValue), r)
        } else {
            (None, name)
        };
        let (if_exists, base) = rest
            .strip_suffix("IfExists")
            .map_or((false, rest), |b| (true, b));
        let comparison = NAMES.iter().find(|(_, n)| *n == base).map(|(c, _)| *c)?;
        // Null asks for presence itself: neither suffix nor prefix has a meaning on it.
        if comparison == Comparison::Null && (if_exists || quantifier.is_some()) {
            return None;
        }
        Some(Self {
            quantifier,
            comparison,
            if_exists,
        })
    }

    /// The truth of this operator where the key is absent (reference: the missing-key table); `Null` is not asked here.
    #[must_use]
    pub fn when_absent(self) -> bool {
        match (self.if_exists, self.quantifier) {
            (true, _) | (_, Some(Quantifier::ForAllValues)) => true,
            (false, Some(Quantifier::ForAnyValue)) => false,
            (false, None) => self.comparison.negated(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.quantifier {
            Some(Quantifier::ForAllValues) => f.write_str("ForAllValues:")?,
            Some(Quantifier::ForAnyValue) => f.write_str("ForAnyValue:")?,
            None => {}
        }
        f.write_str(self.comparison.name())?;
        if self.if_exists {
            f.write_str("IfExists")
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_name_comes_back() {
        for c in Comparison::all() {
            for q in ["", "ForAllValues:", "ForAnyValue:"] {
                for s in ["", "IfExists"] {
                    let name = format!("{q}{}{s}", c.name());
                    match Operator::parse(&name) {
                        Some(op) => assert_eq!(op.to_string(), name),
                        None => assert!(
                            c == Comparison::Null && (!q.is_empty() || !s.is_empty()),
                            "{name}"
                        ),
                    }
                }
            }
        }
    }

    #[test]
    fn case_counts() {
        assert!(Operator::parse("stringequals").is_none());
        assert!(Operator::parse("StringEqualsIfexists").is_none());
    }

    #[test]
    fn missing_key_table() {
        let t = |n: &str| Operator::parse(n).unwrap().when_absent();
        assert!(
            !t("StringEquals")
                && t("StringNotEquals")
                && t("StringEqualsIfExists")
                && t("StringNotEqualsIfExists")
        );
        assert!(
            t("ForAllValues:StringEquals")
                && !t("ForAnyValue:StringEquals")
                && !t("ForAnyValue:StringNotEquals")
        );
    }
}
