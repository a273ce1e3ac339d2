//! Dates of conditions: the W3C profile of ISO 8601 (`2026`, `2026-01`, `2026-01-01`, `2026-01-01T10:00Z`,
//! `2026-01-01T10:00:00.5+02:00`) or seconds since 1970.

/// Reads a date as milliseconds since 1970-01-01T00:00:00Z. A time without a zone is UTC.
#[must_use]
pub fn parse(text: &str) -> Option<i64> {
    // Four digits are a year; longer runs of digits count seconds.
    let number = text.strip_prefix('-').unwrap_or(text);
    if number.len() > 4 && number.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    let (mut month, mut day, mut time_of_day) = (1, 1, 0);
    if eat(&mut rest, b'-') {
        month = digits(&mut rest, 2)?;
        if eat(&mut rest, b'-') {
            day = digits(&mut rest, 2)?;
            if eat(&mut rest, b'T') || eat(&mut rest, b't') || eat(&mut rest, b' ') {
                time_of_day = time(&mut rest)?;
            }
        }
    }
    if !rest.is_empty() || !(1..=12).contains(&month) || !(1..=days_in(year, month)).contains(&day)
    {
        return None;
    }
    Some(days_from_civil(year, month, day) * 86_400_000 + time_of_day)
}

fn time(rest: &mut &[u8]) -> Option<i64> {
    let hour = digits(rest, 2)?;
    if !eat(rest, b':') {
        return None;
    }
    let minute = digits(rest, 2)?;
    let (mut second, mut millis) = (0, 0);
    if eat(rest, b':') {
        second = digits(rest, 2)?;
        if eat(rest, b'.') {
            let mut weight = 100;
            let mut any = false;
            while let Some(d) = rest.first().filter(|b| b.is_ascii_digit()) {
                millis += i64::from(d - b'0') * weight;
                weight /= 10;
                any = true;
                *rest = &rest[1..];
            }
            if !any {
                return None;
            }
        }
    }
    // 60: a leap second.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut offset = 0;
    if !(eat(rest, b'Z') || eat(rest, b'z')) {
        let sign = if eat(rest, b'+') {
            1
        } else if eat(rest, b'-') {
            -1
        } else {
            0
        };
        if sign != 0 {
            let h = digits(rest, 2)?;
            eat(rest, b':');
            let m = digits(rest, 2)?;
            if h > 23 || m > 59 {
                return None;
            }
            offset = sign * (h * 3_600_000 + m * 60_000);
        }
    }
    Some(hour * 3_600_000 + minute * 60_000 + second * 1000 + millis - offset)
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let head = rest.get(..count)?;
    if !head.iter().all(u8::is_ascii_digit) {
        return None;
    }
    *rest = &rest[count..];
    Some(head.iter().fold(0, |n, b| n * 10 + i64::from(b - b'0')))
}

fn eat(rest: &mut &[u8], byte: u8) -> bool {
    let hit = rest.first() == Some(&byte);
    if hit {
        *rest = &rest[1..];
    }
    hit
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar: years counted from March, in eras of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn forms() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1970", 0),
            ("1970-01", 0),
            ("1970-01-02", 86_400_000),
            ("1970-01-01T01:00Z", 3_600_000),
            ("1970-01-01T01:00:00.25+01:00", 250),
            ("1970-01-01T00:00:00-0030", 1_800_000),
            ("2026-01-01T00:00:00Z", 1_767_225_600_000),
            ("1767225600", 1_767_225_600_000),
            ("-86400", -86_400_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
        for bad in [
            "",
            "now",
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
            "2026-01-01T24:00Z",
            "2026-01-01T",
            "2026-01-01Tx",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00Zjunk",
            "99999999999999999999",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_jiff(second in -60_000_000_000_i64..250_000_000_000) {
            let stamp = jiff::Timestamp::from_second(second).unwrap();
            prop_assert_eq!(parse(&stamp.to_string()), Some(second * 1000));
        }
    }
}
