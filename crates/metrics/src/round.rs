//! The one place where numbers become decimal text: tables, report, web page and messages agree.

/// Decimals of percentages in tables that people read, as in the paper.
pub const TABLE_DECIMALS: usize = 1;
/// Decimals of percentages in `table.csv`.
pub const CSV_DECIMALS: usize = 4;
/// Decimals of percentages in `metrics.csv`, `table.json` and the HTTP API.
pub const EXACT_DECIMALS: usize = 6;

/// `value` rounded to `digits` decimals, halves away from zero. What differs from a half only by
/// the error of a sum (below 10⁻⁶ of the last digit) counts as a half, so that the order of
/// additions never shows.
pub fn rounded(value: f64, digits: usize) -> f64 {
    let scale = 10f64.powi(i32::try_from(digits).unwrap_or(i32::MAX));
    // Six more digits than are kept are enough to see a half, and too few to see a sum's error.
    let snapped = (value * scale * 1e6).round() / 1e6;
    let result = snapped.round() / scale;
    // −0 would print as "-0.0".
    if result == 0.0 { 0.0 } else { result }
}

/// [`rounded`] as text with exactly `digits` decimals.
pub fn fixed(value: f64, digits: usize) -> String {
    format!("{:.digits$}", rounded(value, digits))
}

/// A share from 0 to 1 in percent with the decimals of tables, e.g. `95.3`; the sign is the caller's.
pub fn percent(share: f64) -> String {
    fixed(100.0 * share, TABLE_DECIMALS)
}

/// As [`fixed`], with a sign: `+0.3`, `−0.3` (a true minus), `0.0`.
pub fn signed(value: f64, digits: usize) -> String {
    let r = rounded(value, digits);
    let sign = if r > 0.0 {
        "+"
    } else if r < 0.0 {
        "−"
    } else {
        ""
    };
    format!("{sign}{:.digits$}", r.abs())
}

/// A coordinate or measure with at most `digits` decimals and no trailing zeros.
pub fn short(value: f64, digits: usize) -> String {
    let text = fixed(value, digits);
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}

/// Four significant digits, for values of unknown size.
pub fn significant(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let magnitude = value.abs().log10().floor();
    if (-4.0..6.0).contains(&magnitude) {
        short(value, (3.0 - magnitude).max(0.0) as usize)
    } else {
        format!("{value:.3e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_away_from_zero_even_after_a_sum() {
        assert_eq!(fixed(88.25, 1), "88.3");
        assert_eq!(fixed(-88.25, 1), "-88.3");
        assert_eq!(fixed(88.25 - 1e-13, 1), "88.3");
        assert_eq!(fixed(88.2499, 1), "88.2");
        assert_eq!(fixed(-0.01, 1), "0.0");
        // 100 · 0.8835 is 88.349 999 999 999 99.
        assert_eq!(percent(0.8835), "88.4");
    }

    #[test]
    fn signs_and_short_forms() {
        assert_eq!(
            (signed(0.34, 1), signed(-0.34, 1), signed(-0.01, 1)),
            ("+0.3".into(), "−0.3".into(), "0.0".into())
        );
        assert_eq!(
            (short(2.5, 2), short(100.0, 0), short(3.0, 2)),
            ("2.5".into(), "100".into(), "3".into())
        );
        assert_eq!(significant(1234.56), "1235");
        assert_eq!(significant(0.012_345), "0.01235");
        assert_eq!(significant(1.5e-9), "1.500e-9");
    }
}
