//! RFC 3339 times in UTC with microseconds, written without a calendar library: a line has one.

use std::time::{SystemTime, UNIX_EPOCH};

/// Writes times; the text of the latest second is kept, as most lines share it with their neighbours.
#[derive(Clone, Debug)]
pub struct TimeText {
    second: u64,
    text: [u8; 20],
}

impl Default for TimeText {
    fn default() -> Self {
        Self {
            second: 0,
            text: *b"1970-01-01T00:00:00.",
        }
    }
}

impl TimeText {
    /// Appends `2026-11-24T08:24:30.000001Z`. Times before 1970 are written as its start, times after 9999 as its end.
    pub fn write(&mut self, time: SystemTime, out: &mut Vec<u8>) {
        const LAST: u64 = 253_402_300_799;
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let second = since.as_secs().min(LAST);
        if second != self.second {
            self.second = second;
            self.text = text(second);
        }
        out.extend_from_slice(&self.text);
        let mut micros = *b"000000Z";
        digits(&mut micros[..6], u64::from(since.subsec_micros()));
        out.extend_from_slice(&micros);
    }
}

fn text(second: u64) -> [u8; 20] {
    let (days, rest) = (second / 86_400, second % 86_400);
    // Days to civil date: years begin in March, so that leap days end them; eras are 400 years.
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let mut text = *b"0000-00-00T00:00:00.";
    digits(&mut text[0..4], year);
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day);
    digits(&mut text[11..13], rest / 3600);
    digits(&mut text[14..16], rest / 60 % 60);
    digits(&mut text[17..19], rest % 60);
    text
}

/// Fills the place with the number's last digits.
fn digits(place: &mut [u8], mut number: u64) {
    for byte in place.iter_mut().rev() {
        // Less than 10, so it fits.
        *byte = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn shown(time: SystemTime) -> String {
        let mut out = Vec::new();
        TimeText::default().write(time, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn edges() {
        assert_eq!(shown(UNIX_EPOCH), "1970-01-01T00:00:00.000000Z");
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert_eq!(shown(before), "1970-01-01T00:00:00.000000Z");
        let leap = UNIX_EPOCH + Duration::from_micros(1_709_251_199_999_999);
        assert_eq!(shown(leap), "2024-02-29T23:59:59.999999Z");
    }

    proptest! {
        #[test]
        fn as_jiff_does(micros in 0_i64..253_402_207_200_000_000) {
            let time = UNIX_EPOCH + Duration::from_micros(micros.unsigned_abs());
            let expect = jiff::Timestamp::from_microsecond(micros).unwrap();
            prop_assert_eq!(shown(time), format!("{expect:.6}"));
        }
    }
}
