//! Splits against numpy and scikit-learn: a table drawn by hand-checked reference runs and a
//! fixture of 384 splits.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "tests"
)]

use segad_core::Seed;
use segad_datasets::DatasetError;
use segad_datasets::numpy::{RandomState, TestSize, train_test_split};

/// Seed, images, test size, first test positions, first training positions.
type Case = (u64, usize, TestSize, &'static [usize], &'static [usize]);

#[test]
fn the_reference_table_holds() {
    use TestSize::{Count, Fraction};
    let table: [Case; 21] = [
        (0, 10, Count(3), &[2, 8, 4], &[9, 1, 6, 7, 3, 0, 5]),
        (333, 10, Count(3), &[5, 2, 0], &[1, 8, 4, 7, 6, 9, 3]),
        (
            333,
            100,
            Count(90),
            &[52, 61, 89, 63, 68, 17, 44, 69, 95, 38],
            &[23, 71, 29, 83, 60, 46, 51, 35, 77, 12],
        ),
        (
            576,
            100,
            Count(90),
            &[53, 29, 81, 9, 75, 58, 84, 43, 54, 78],
            &[35, 68, 30, 7, 32, 5, 97, 20, 22, 19],
        ),
        (
            725,
            100,
            Count(90),
            &[31, 64, 19, 56, 8, 20, 71, 54, 72, 1],
            &[68, 44, 80, 7, 6, 25, 74, 11, 66, 3],
        ),
        (
            823,
            100,
            Count(90),
            &[44, 95, 40, 66, 42, 33, 8, 50, 16, 64],
            &[69, 27, 4, 86, 72, 63, 37, 82, 17, 88],
        ),
        (
            831,
            100,
            Count(90),
            &[41, 3, 14, 13, 51, 25, 0, 26, 23, 54],
            &[79, 2, 18, 64, 34, 72, 35, 9, 19, 90],
        ),
        (
            902,
            100,
            Count(90),
            &[17, 48, 45, 10, 40, 80, 92, 25, 72, 73],
            &[15, 56, 9, 39, 91, 38, 7, 29, 49, 66],
        ),
        (
            226,
            100,
            Count(90),
            &[96, 87, 4, 63, 2, 79, 25, 23, 45, 60],
            &[8, 20, 97, 84, 77, 76, 85, 88, 10, 64],
        ),
        (
            598,
            100,
            Count(90),
            &[95, 0, 57, 74, 13, 20, 42, 88, 63, 62],
            &[23, 46, 5, 8, 75, 26, 86, 3, 31, 15],
        ),
        (
            874,
            100,
            Count(90),
            &[5, 50, 44, 6, 93, 55, 1, 62, 41, 86],
            &[52, 75, 42, 58, 2, 68, 88, 97, 15, 79],
        ),
        (
            589,
            100,
            Count(90),
            &[92, 18, 69, 40, 50, 99, 94, 77, 78, 1],
            &[91, 80, 73, 84, 58, 20, 90, 22, 61, 96],
        ),
        (
            333,
            900,
            Fraction(0.1),
            &[492, 137, 561, 215, 183, 442, 103, 534, 339, 88],
            &[843, 346, 195, 180, 301, 429, 55, 253, 171, 469],
        ),
        (
            333,
            450,
            Fraction(0.1),
            &[51, 323, 16, 5, 27, 81, 32, 128, 251, 247],
            &[437, 43, 371, 256, 82, 186, 48, 221, 253, 270],
        ),
        (
            333,
            542,
            Fraction(0.1),
            &[381, 317, 176, 126, 134, 231, 145, 404, 90, 391],
            &[326, 456, 241, 500, 89, 160, 216, 513, 457, 422],
        ),
        (
            333,
            904,
            Fraction(0.1),
            &[496, 137, 491, 215, 183, 633, 103, 537, 339, 88],
            &[346, 195, 180, 301, 430, 55, 253, 171, 570, 899],
        ),
        (
            0,
            2000,
            Fraction(0.5),
            &[405, 1190, 1132, 731, 1754, 1178, 1533, 1303, 1857, 18],
            &[103, 1638, 60, 784, 1084, 969, 1520, 78, 1956, 391],
        ),
        (
            1,
            2000,
            Fraction(0.5),
            &[674, 1699, 1282, 1315, 1210, 1636, 613, 447, 1131, 808],
            &[10, 918, 1180, 639, 1012, 826, 766, 1116, 1719, 64],
        ),
        (
            42,
            2000,
            Count(1000),
            &[1860, 353, 1333, 905, 1289, 1273, 938, 1731, 65, 1323],
            &[440, 573, 946, 997, 503, 605, 1716, 1163, 1786, 846],
        ),
        (
            42,
            1000,
            Count(900),
            &[521, 737, 740, 660, 411, 678, 626, 513, 859, 136],
            &[815, 862, 269, 201, 161, 555, 729, 401, 702, 476],
        ),
        (
            u64::from(u32::MAX),
            257,
            Count(7),
            &[21, 120, 94, 175, 6, 113, 178],
            &[230, 67, 79, 43, 91, 239, 95, 15, 76, 167],
        ),
    ];
    for (seed, n, size, test, train) in table {
        let (all_train, all_test) = train_test_split(n, size, Seed(seed)).unwrap();
        assert_eq!(
            (&all_test[..test.len()], &all_train[..train.len()]),
            (test, train),
            "seed {seed}, n {n}"
        );
        assert_eq!(all_test.len(), size.of(n).unwrap());
        assert_eq!(all_test.len() + all_train.len(), n);
    }
}

#[test]
fn scikit_learns_own_splits_come_out() {
    let text = include_str!("fixtures/numpy_splits.csv");
    let mut rows = 0;
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let (seed, n) = (Seed(fields[0].parse().unwrap()), fields[1].parse().unwrap());
        let size = match fields[2].parse() {
            Ok(count) => TestSize::Count(count),
            Err(_) => TestSize::Fraction(fields[2].parse().unwrap()),
        };
        let (train, test) = train_test_split(n, size, seed).unwrap();
        let ends = |s: &[usize]| -> String {
            let chosen = s.iter().take(4).chain(&s[s.len().saturating_sub(4)..]);
            chosen
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            (ends(&test).as_str(), ends(&train).as_str()),
            (fields[3], fields[4]),
            "{line}"
        );
        let sum = test
            .iter()
            .chain(&train)
            .fold(0u32, |h, &v| h.wrapping_mul(31).wrapping_add(v as u32));
        assert_eq!(sum, fields[5].parse::<u32>().unwrap(), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 384);
}

#[test]
fn the_generator_is_mt19937() {
    let mut rng = RandomState::new(333);
    let first: Vec<u32> = (0..6).map(|_| rng.next_u32()).collect();
    assert_eq!(
        first,
        [
            2333417452, 1473935116, 3130819533, 2244339107, 72505267, 1429429614
        ]
    );
    // The reference implementation's 10 000th number for its default seed (C++ standard,
    // [rand.predef]).
    let mut rng = RandomState::new(5489);
    let last = (0..10_000).map(|_| rng.next_u32()).last().unwrap();
    assert_eq!(last, 4_123_659_995);
}

#[test]
fn impossible_splits_are_refused_as_in_python() {
    for (n, size) in [
        (10, TestSize::Count(0)),
        (10, TestSize::Count(10)),
        (1, TestSize::Fraction(0.5)),
        (0, TestSize::Count(1)),
        (10, TestSize::Fraction(1.0)),
        (10, TestSize::Fraction(f64::NAN)),
    ] {
        let error = train_test_split(n, size, Seed(1)).unwrap_err();
        assert!(
            matches!(error, DatasetError::SplitSize { .. }),
            "{n} {size:?}: {error}"
        );
    }
    assert!(matches!(
        train_test_split(10, TestSize::Count(3), Seed(1 << 32)),
        Err(DatasetError::Seed(_))
    ));
}
