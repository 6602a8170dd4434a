//! Sizes, times and costs as people type them.

use std::time::Duration;

/// Reads `512MiB`, `4GiB` or `1000000` as bytes.
///
/// # Errors
/// A message for anything else.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => Some(1.0),
        "KiB" => Some(1024.0),
        "MiB" => Some(1024f64.powi(2)),
        "GiB" => Some(1024f64.powi(3)),
        "kB" => Some(1e3),
        "MB" => Some(1e6),
        "GB" => Some(1e9),
        _ => None,
    };
    number
        .zip(factor)
        .map(|(number, factor)| (number * factor) as u64)
        .ok_or_else(|| format!("{text:?}: expected a number of bytes, e.g. 512MiB or 4GiB"))
}

/// Reads `90s`, `30m`, `12h` or `1.5d`; a number without a unit is seconds.
///
/// # Errors
/// A message for anything else, and for zero.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "" | "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3600.0),
        "d" => Some(86_400.0),
        _ => None,
    };
    number
        .zip(factor)
        .and_then(|(number, factor)| Duration::try_from_secs_f64(number * factor).ok())
        .filter(|time| !time.is_zero())
        .ok_or_else(|| format!("{text:?}: expected a time, e.g. 90s, 30m or 12h"))
}

/// Reads `1:20`.
pub(crate) fn cost(text: &str) -> Result<(f64, f64), String> {
    text.split_once(':')
        .and_then(|(false_alarm, miss)| {
            Some((false_alarm.trim().parse().ok()?, miss.trim().parse().ok()?))
        })
        .ok_or_else(|| format!("{text:?}: expected two numbers, e.g. 1:20"))
}

/// The number that a text begins with, if it does, and the rest.
fn split_unit(text: &str) -> (Option<f64>, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number.parse().ok(), unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        assert_eq!(bytes("1.5 MB"), Ok(1_500_000));
        assert_eq!(bytes("77"), Ok(77));
        assert!(bytes("4 apples").is_err());
        assert!(bytes("").is_err());
    }

    #[test]
    fn times_are_read() {
        assert_eq!(duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5h"), Ok(Duration::from_secs(5400)));
        for text in ["0s", "3 weeks", "", "h"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn costs_are_read() {
        assert_eq!(cost("1: 20"), Ok((1.0, 20.0)));
        assert!(cost("1").is_err());
    }
}
