//! Sizes and times as the configuration writes them: `64KiB`, `15s`.

use std::time::Duration;

/// Reads a size: a whole number with `B`, `KiB`, `MiB` or `GiB`; without a unit it is bytes.
///
/// # Errors
/// What is wrong, for a message that starts with the text itself.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => {
            return Err(
                "is not a size: write a whole number and KiB, MiB or GiB, as in 64KiB".into(),
            );
        }
    };
    let number: u64 = number
        .parse()
        .map_err(|_| "is not a size: write a whole number and KiB, MiB or GiB, as in 64KiB")?;
    number
        .checked_mul(1 << shift)
        .ok_or_else(|| "is too large a size: the most is 17179869183GiB".into())
}

/// Reads a time: a whole number with `ms`, `s`, `m` or `h`. The longest is 365 days, which every clock can add.
///
/// # Errors
/// What is wrong, for a message that starts with the text itself.
pub fn time(text: &str) -> Result<Duration, String> {
    const USE: &str = "is not a time: write a whole number and ms, s, m or h, as in 15s";
    let (number, unit) = split(text);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(USE.into()),
    };
    let number: u64 = number.parse().map_err(|_| USE)?;
    number
        .checked_mul(millis)
        .filter(|&ms| ms <= 365 * 24 * 3_600_000)
        .map(Duration::from_millis)
        .ok_or_else(|| "is too long a time: the longest is 8760h".into())
}

/// How a size is written: with the largest unit that divides it.
#[must_use]
pub fn show_size(bytes: u64) -> String {
    for (shift, unit) in [(30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes != 0 && bytes.is_multiple_of(1 << shift) {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// How a time is written.
#[must_use]
pub fn show_time(time: Duration) -> String {
    let ms = time.as_millis();
    for (unit, of) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if ms != 0 && ms.is_multiple_of(of) {
            return format!("{}{unit}", ms / of);
        }
    }
    format!("{ms}ms")
}

fn split(text: &str) -> (&str, &str) {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    (number, unit.trim_start())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("128 MiB"), Ok(128 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("512"), Ok(512));
        for text in [
            "",
            "KiB",
            "64KB",
            "64k",
            "-1KiB",
            "1.5MiB",
            "99999999999999999GiB",
            "17179869184GiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        assert_eq!(time("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(time("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(time("24h"), Ok(Duration::from_hours(24)));
        for text in [
            "",
            "15",
            "s",
            "1d",
            "-1s",
            "1.5s",
            "99999999999999999999h",
            "8761h",
        ] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shown_as_read() {
        for text in ["64KiB", "1GiB", "1000"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
        for text in ["200ms", "15s", "2m", "24h", "0ms"] {
            assert_eq!(show_time(time(text).unwrap()), text);
        }
    }
}
