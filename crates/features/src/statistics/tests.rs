use super::*;
use proptest::prelude::*;

fn of(values: &[f32], level: f64, numerics: Numerics) -> Statistics {
    Statistics::of(
        values,
        &Statistic::ALL.into(),
        level,
        numerics,
        &mut Scratch::default(),
    )
}

#[test]
fn edges() {
    for numerics in [Numerics::Exact, Numerics::Fast] {
        assert_eq!(of(&[], 0.995, numerics), Statistics::default());
        let one = of(&[0.25], 0.995, numerics);
        assert_eq!((one.quantile, one.mean, one.max), (0.25, 0.25, 0.25));
        assert!(one.skewness.is_nan() && one.kurtosis.is_nan());
        for n in [2, 100, 9000, 65_536] {
            let flat = of(&vec![0.1; n], 0.995, numerics);
            assert!(flat.skewness.is_nan() && flat.kurtosis.is_nan(), "{n}");
            assert_eq!(flat.quantile, f64::from(0.1f32));
        }
        let zero = of(&[0.0; 5], 0.995, numerics);
        assert!(zero.skewness.is_nan() && zero.mean == 0.0);
    }
}

#[test]
fn only_what_is_wanted() {
    let mut scratch = Scratch::default();
    let wanted = [Statistic::Kurtosis].into();
    let s = Statistics::of(&[0.0, 1.0], &wanted, 0.5, Numerics::Exact, &mut scratch);
    assert_eq!(
        s,
        Statistics {
            kurtosis: -2.0,
            ..Default::default()
        }
    );
}

#[test]
fn power_is_rounded_once() {
    // (k·2⁻¹⁰)² to the 1.5 is exact: k³·2⁻³⁰.
    for k in 1..2000 {
        let root = f64::from(k) / 1024.0;
        assert_eq!(power_three_halves(root * root), root * root * root);
    }
    for x in [2.0f64, 3.0, 1e-40, 1e30] {
        assert!((power_three_halves(x) / x.powf(1.5) - 1.0).abs() < 2.3e-16);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn quantile_is_that_of_a_sort(
        mut values in prop::collection::vec(-1000i32..1000, 1..3000),
        level in prop_oneof![Just(0.995), Just(1.0), Just(0.0), 0.0f64..=1.0],
        descending in any::<bool>(),
    ) {
        if descending {
            values.sort_unstable_by(|a, b| b.cmp(a)); // defeats a bound guessed from a regular sample least kindly
        }
        let values: Vec<f32> = values.into_iter().map(|v| v as f32 / 7.0).collect();
        let got = of(&values, level, Numerics::Fast).quantile;
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f32::total_cmp);
        let h = (sorted.len() - 1) as f64 * level;
        let (a, b) = (sorted[h.floor() as usize], sorted[(h.ceil() as usize).min(sorted.len() - 1)]);
        let expected = f64::from(a) + (f64::from(b) - f64::from(a)) * (h - h.floor());
        prop_assert!((got - expected).abs() <= 1e-12 * (1.0 + expected.abs()), "{} {}", got, expected);
    }

    #[test]
    fn both_arithmetics_agree(values in prop::collection::vec(0.0f32..1.0, 8..2000)) {
        let (a, b) = (of(&values, 0.995, Numerics::Exact), of(&values, 0.995, Numerics::Fast));
        for s in Statistic::ALL {
            prop_assert!((a.get(s) - b.get(s)).abs() <= 1e-4, "{}: {} {}", s, a.get(s), b.get(s));
        }
    }

    #[test]
    fn shape_ignores_offset_and_scale(values in prop::collection::vec(-100i32..100, 2..500)) {
        // Quarters and powers of two are exact in f32, so only f64 rounding remains.
        let plain: Vec<f32> = values.iter().map(|&v| v as f32 / 4.0).collect();
        let moved: Vec<f32> = plain.iter().map(|v| v * 8.0 + 3.0).collect();
        let (a, b) = (of(&plain, 0.9, Numerics::Fast), of(&moved, 0.9, Numerics::Fast));
        prop_assert!((a.mean * 8.0 + 3.0 - b.mean).abs() < 1e-9);
        prop_assert!((a.quantile * 8.0 + 3.0 - b.quantile).abs() < 1e-9);
        prop_assert_eq!(a.skewness.is_nan(), b.skewness.is_nan());
        if !a.skewness.is_nan() {
            prop_assert!((a.skewness - b.skewness).abs() < 1e-9 && (a.kurtosis - b.kurtosis).abs() < 1e-8);
            prop_assert!(a.kurtosis >= a.skewness * a.skewness - 2.0 - 1e-9); // Pearson's inequality
        }
    }
}
