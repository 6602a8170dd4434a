use super::*;
use segad_nn::golden;

/// Rows around `centres` points, most of whose spread lies in few directions.
fn rows(name: &str, count: i64, dim: i64, spread: f64) -> Tensor {
    let few = golden::input(&format!("{name} few"), &[count, 12]).unwrap();
    let directions = golden::input("directions", &[12, dim]).unwrap();
    let noise = golden::input(&format!("{name} noise"), &[count, dim]).unwrap();
    few.matmul(&directions) + noise * spread + 3.0
}

fn bounds(rows: &Tensor) -> Bounds {
    Bounds::with_basis(rows, subspace(rows, 16).unwrap().0).unwrap()
}

fn search_all(queries: &Tensor, rows: &Tensor) -> (Vec<f64>, Vec<i64>) {
    let (q, m) = (queries.to_kind(Kind::Double), rows.to_kind(Kind::Double));
    let (count, bank) = (q.size()[0], m.size()[0]);
    let mut found = (vec![], vec![]);
    for i in 0..count {
        let d = (&m - q.get(i))
            .square()
            .sum_dim_intlist(1, false, Kind::Double);
        let j = d.argmin(0, false).int64_value(&[]);
        assert!(j < bank);
        found.0.push(d.double_value(&[j]).sqrt());
        found.1.push(j);
    }
    found
}

#[test]
fn the_nearest_row_is_that_of_all_distances() {
    for (spread, resolved) in [(0.05, true), (3.0, false)] {
        let bank = rows("bank", 300, 67, spread);
        let queries = rows("queries", 2 * BLOCK + 9, 67, spread);
        let bounds = bounds(&bank);
        let left = std::cell::Cell::new(0);
        let fallback = |q: &Tensor| {
            left.set(q.size()[0]);
            let (d, r) = search_all(q, &bank);
            let d: Vec<f32> = d.into_iter().map(|d| d as f32).collect();
            Ok(Nearest {
                distances: Tensor::from_slice(&d),
                rows: Tensor::from_slice(&r),
            })
        };
        let found = bounds.nearest(&queries, fallback).unwrap();
        let (expected, nearest) = search_all(&queries, &bank);
        assert_eq!(Vec::<i64>::try_from(found.rows).unwrap(), nearest);
        for (d, e) in to_vec(&found.distances).unwrap().into_iter().zip(expected) {
            assert!((f64::from(d) - e).abs() < 1e-5 * e, "{d} {e}");
        }
        // Each spread takes its own path: the bounds, or the exhaustive search.
        let left = left.get();
        assert!(
            if resolved { left < 50 } else { left > 400 },
            "{spread}: {left}"
        );
    }
}

#[test]
fn equal_rows_and_a_query_in_the_bank() {
    let bank = rows("bank", 200, 40, 0.0);
    let bank = Tensor::cat(&[&bank, &bank], 0);
    let bounds = bounds(&bank);
    let never = |_: &Tensor| Err(NnError::EmptyBatch);
    let found = bounds.nearest(&bank.narrow(0, 190, 20), never).unwrap();
    let distances = to_vec(&found.distances).unwrap();
    assert!(distances.iter().all(|&d| d == 0.0));
    let expected: Vec<i64> = (190..200).chain(0..10).collect();
    assert_eq!(Vec::<i64>::try_from(found.rows).unwrap(), expected);
}

#[test]
fn banks_that_bounds_would_slow_down_have_none() {
    let make = |count: i64, dim: i64, spread: f64| {
        Bounds::new(&rows("bank", count, dim, spread))
            .unwrap()
            .map(|b| b.basis.size()[1])
    };
    assert_eq!((make(2047, 512, 0.05), make(2048, 511, 0.05)), (None, None));
    assert_eq!(make(2048, 512, 0.05), Some(64));
    // Noise in all directions: no subspace holds most of the bank.
    assert_eq!(make(2048, 512, 9.0), None);
    let equal = Tensor::ones([2048, 512], (Kind::Float, tch::Device::Cpu));
    assert!(Bounds::new(&equal).unwrap().is_none());
}

#[test]
fn residuals_are_a_share_of_the_variance() {
    // Twelve directions and the mean fit into sixteen dimensions, noise of 67 does not.
    let share = |spread| subspace(&rows("bank", 400, 67, spread), 16).unwrap().1;
    assert!(
        share(0.0) < 2e-4 && (0.5..0.95).contains(&share(50.0)),
        "{} {}",
        share(0.0),
        share(50.0)
    );
}
