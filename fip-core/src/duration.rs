//! Spans of time, as `100ms`, `5s`, `1.5s` or `0`.

use std::time::Duration;

use crate::error::Error;

/// The longest that can be asked for.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Parses a span of time of up to a day. Zero needs no unit.
///
/// # Errors
/// [`Error::Parse`].
pub fn parse_duration(text: &str) -> Result<Duration, Error> {
    let bad = || Error::parse(text, "a time (a number with ms, s, m or h, as 100ms or 1.5s)");
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    // `f64::from_str` would take signs and exponents as well.
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(bad());
    }
    let number: f64 = number.parse().map_err(|_| bad())?;
    let seconds = match unit {
        "ms" => number / 1000.0,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(bad()),
    };
    let time = Duration::try_from_secs_f64(seconds).map_err(|_| bad())?;
    if time > LONGEST {
        return Err(Error::parse(text, "a time of at most a day"));
    }
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, milliseconds) in [
            ("0", 0),
            ("0ms", 0),
            ("100ms", 100),
            ("5s", 5_000),
            ("1.5s", 1_500),
            (".5s", 500),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            let expected = Duration::from_millis(milliseconds);
            assert_eq!(parse_duration(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_named() {
        let nines = "9".repeat(400) + "s";
        for text in [
            "", "1", "s", ".", ".s", "1.2.3s", "-1s", "+1s", "1e3s", "inf", "NaN", "nans", "1 s",
            "1d", "1sec", "1s2", "25h", "ä", &nines,
        ] {
            let error = parse_duration(text).unwrap_err();
            assert!(error.is_usage(), "{text}: {error}");
        }
    }
}
