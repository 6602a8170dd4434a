//! Sizes, times, counts, shares and costs as people type them.
//!
//! Every parser says what it expects, as clap and [`crate::explain`] put the option and its value in
//! front of the message.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::time::Duration;

/// Reads `512MiB`, `4GiB` or `1000000` as bytes.
///
/// # Errors
/// What was expected instead.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split_unit(text);
    let factor = match unit {
        "" | "B" => Some(1.0),
        "KiB" => Some(1024.0),
        "MiB" => Some(1024f64.powi(2)),
        "GiB" => Some(1024f64.powi(3)),
        // Disks are sold in powers of ten, memory in powers of two; the unit says which.
        "kB" => Some(1e3),
        "MB" => Some(1e6),
        "GB" => Some(1e9),
        _ => None,
    };
    number
        .zip(factor)
        .map(|(number, factor)| (number * factor) as u64)
        .ok_or_else(|| "expected a number of bytes, e.g. 512MiB or 4GiB".to_owned())
}

/// The least that networks and their caches can work with.
const LEAST_MEMORY: u64 = 64 << 20;

/// [`bytes`] for caches and temporary arrays.
///
/// # Errors
/// What was expected instead.
pub fn memory(text: &str) -> Result<u64, String> {
    let bytes = bytes(text)?;
    if bytes < LEAST_MEMORY {
        return Err(format!("expected at least {}MiB", LEAST_MEMORY >> 20));
    }
    Ok(bytes)
}

/// Reads `90s`, `30m`, `12h` or `1.5d`; a number without a unit is seconds.
///
/// # Errors
/// What was expected instead, also of zero.
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
        // A limit of nothing would fail every cell, and is most likely a slip.
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "expected a time, e.g. 90s, 30m or 12h".to_owned())
}

/// Which of the files that a watch finds at the start it judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// All of them.
    All,
    /// None of them, only what comes later.
    Now,
    /// Those that changed within this time.
    Last(Duration),
}

/// Reads `all`, `now` or a [`duration`].
pub(crate) fn since(text: &str) -> Result<Since, String> {
    match text {
        "all" => Ok(Since::All),
        "now" => Ok(Since::Now),
        time => duration(time)
            .map(Since::Last)
            .map_err(|_| format!("{text:?}: expected all, now or a time, e.g. 30m or 12h")),
    }
}

/// Reads `1:20`.
pub(crate) fn cost(text: &str) -> Result<(f64, f64), String> {
    let expected = || {
        "expected two numbers of at least 0, one of them above 0, e.g. 1:20 for a miss that costs \
         20 times as much as a false alarm"
            .to_owned()
    };
    let (false_alarm, miss) = text.split_once(':').ok_or_else(expected)?;
    let [false_alarm, miss] = [false_alarm, miss].map(|part| number(part.trim()));
    let (Ok(false_alarm), Ok(miss)) = (false_alarm, miss) else {
        return Err(expected());
    };
    // With both at 0 every threshold costs the same.
    if false_alarm < 0.0 || miss < 0.0 || false_alarm + miss == 0.0 {
        return Err(expected());
    }
    Ok((false_alarm, miss))
}

/// Reads a share that is neither nothing nor everything.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let expected = "expected a share above 0 and below 1, e.g. 0.05";
    let share = number(text).map_err(|_| expected.to_owned())?;
    if share > 0.0 && share < 1.0 {
        Ok(share)
    } else {
        Err(expected.to_owned())
    }
}

/// Reads the confidence of a bound: below one half it would be no assurance.
pub(crate) fn confidence(text: &str) -> Result<f64, String> {
    let expected = "expected a number above 0.5 and below 1, e.g. 0.95";
    let level = number(text).map_err(|_| expected.to_owned())?;
    if level > 0.5 && level < 1.0 {
        Ok(level)
    } else {
        Err(expected.to_owned())
    }
}

/// Reads a finite number above 0.
pub(crate) fn positive(text: &str) -> Result<f64, String> {
    match number(text) {
        Ok(value) if value > 0.0 => Ok(value),
        _ => Err("expected a number above 0".to_owned()),
    }
}

/// Reads a number of things of which there must be some.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    some(text).map(NonZeroUsize::get)
}

/// [`count`], as threads are counted.
pub(crate) fn some(text: &str) -> Result<NonZeroUsize, String> {
    whole(text)
}

/// Reads a number of parts: one part is no split.
pub(crate) fn folds(text: &str) -> Result<usize, String> {
    match whole(text) {
        Ok(folds) if folds >= 2 => Ok(folds),
        _ => Err("expected a whole number of at least 2".to_owned()),
    }
}

fn whole<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse()
        .map_err(|_| "expected a whole number of at least 1".to_owned())
}

/// A finite number.
fn number(text: &str) -> Result<f64, ()> {
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ => Err(()),
    }
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
        assert_eq!(memory("64MiB"), Ok(64 << 20));
        assert!(memory("1KiB").unwrap_err().contains("64MiB"));
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
    fn starts_are_read() {
        assert_eq!(since("all"), Ok(Since::All));
        assert_eq!(since("2h"), Ok(Since::Last(Duration::from_secs(7200))));
        assert!(since("ever").unwrap_err().contains("expected all, now"));
    }

    #[test]
    fn costs_are_read() {
        assert_eq!(cost("1: 20"), Ok((1.0, 20.0)));
        assert_eq!(cost("0:1"), Ok((0.0, 1.0)));
        for text in ["1", "0:0", "-1:3", "1:nan", "1:inf", "a:b"] {
            assert!(cost(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ranges_are_checked() {
        assert_eq!(share("0.05"), Ok(0.05));
        assert_eq!(confidence("0.95"), Ok(0.95));
        assert_eq!((count("7"), folds("2")), (Ok(7), Ok(2)));
        for text in ["0", "1", "2", "-1", "nan", "inf", "", "five"] {
            assert!(share(text).is_err(), "{text}");
            assert!(confidence(text).is_err(), "{text}");
        }
        for text in ["0", "-1", "", "1.5"] {
            assert!(count(text).is_err() && folds(text).is_err(), "{text}");
        }
        assert!(confidence("0.5").is_err() && folds("1").is_err() && positive("0").is_err());
    }
}
