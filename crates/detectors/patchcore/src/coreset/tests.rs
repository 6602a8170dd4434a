use super::*;
use rand::Rng;
use segad_core::Seed;
use segad_nn::golden;

/// Normal numbers around `centres` centres whose spread is `spread` times the noise.
fn clusters(n: usize, dim: usize, centres: usize, spread: f32, seed: u64) -> Vec<f32> {
    let mut rng = Seed(seed).rng();
    let mut normal = || {
        let mut unit = || (f64::from(rng.next_u32()) + 0.5) / 4_294_967_296.0;
        let (a, b) = (unit(), unit());
        ((-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos()) as f32
    };
    let middle: Vec<f32> = (0..centres * dim).map(|_| spread * normal()).collect();
    (0..n * dim)
        .map(|i| middle[i / dim % centres * dim + i % dim] + normal())
        .collect()
}

fn run(rows: Rows<'_>, count: usize, start: usize, candidates: usize) -> Vec<usize> {
    Search::new(rows, start)
        .run(count, candidates, &mut |_| true)
        .unwrap()
}

pub(crate) fn golden_rows(name: &str, n: usize) -> Vec<f32> {
    (0..n * 16)
        .map(|j| (4.0 * golden::uniform(name, j)) as f32)
        .collect()
}

#[test]
fn known_list() {
    let values = golden_rows("coreset", 200);
    let rows = Rows::new(&values, 16);
    let expected = [
        136, 0, 89, 116, 102, 163, 157, 161, 180, 181, 44, 43, 137, 18, 178, 25, 150, 16, 36, 168,
    ];
    assert_eq!(dense(rows, 20, 7), expected);
    for candidates in [1, 5, 40, 200, 500] {
        assert_eq!(
            run(rows, 20, 7, candidates),
            expected,
            "{candidates} candidates"
        );
    }
    // The largest distance that is left.
    let nearest = |i| {
        let to_centre = |&j: &usize| squared_distance(rows.row(i), rows.row(j));
        expected
            .iter()
            .chain(&[7])
            .map(to_centre)
            .fold(f32::MAX, f32::min)
    };
    let left = (0..200).filter(|i| !expected.contains(i)).map(nearest);
    let left = left.fold(0.0, f32::max).sqrt();
    assert!((left - 6.1308446).abs() < 1e-5, "{left}");
}

#[test]
fn same_list_as_the_plain_algorithm() {
    for (n, dim, centres, spread) in [
        (3000, 40, 1, 0.0),
        (3000, 24, 12, 6.0),
        (2000, 7, 300, 20.0),
    ] {
        let values = clusters(n, dim, centres, spread, n as u64 + dim as u64);
        let rows = Rows::new(&values, dim);
        let expected = dense(rows, n / 10, 5);
        for candidates in [n / 100, n / 20, n / 3] {
            assert_eq!(
                run(rows, n / 10, 5, candidates),
                expected,
                "{n} {dim} {centres} {candidates}"
            );
        }
    }
}

/// Far from the origin the matrix product keeps hardly a digit of the distances; ties and
/// repeated rows abound.
#[test]
fn cancellation_and_ties_change_nothing() {
    let mut far_off = clusters(1500, 16, 20, 3.0, 9);
    far_off.iter_mut().for_each(|v| *v += 1000.0);
    let lattice: Vec<f32> = (0..1200 * 4).map(|i| ((i * 7919) % 5) as f32).collect();
    let constant = vec![0.5; 300 * 4];
    for (values, dim) in [(far_off, 16), (lattice, 4), (constant, 4)] {
        let rows = Rows::new(&values, dim);
        let count = rows.len() / 8;
        assert_eq!(run(rows, count, 3, 50), dense(rows, count, 3));
    }
}

#[test]
fn all_rows_can_be_chosen_and_a_stop_is_obeyed() {
    let values = clusters(60, 5, 1, 0.0, 1);
    let rows = Rows::new(&values, 5);
    let mut all = run(rows, 60, 0, 10);
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>());
    let stopped = Search::new(rows, 0).run(60, 10, &mut |_| false);
    assert!(matches!(stopped, Err(ModelError::Cancelled { .. })));
}
