/// Places of the grid for which counts are stated.
const STATED_PLACES: usize = 256;

/// How many of `places` are as large a share as `of_256` of a 16×16 grid, at least one.
pub fn count_of(of_256: usize, places: usize) -> usize {
    let rounded = (of_256 * places + STATED_PLACES / 2) / STATED_PLACES;
    rounded.clamp(1, places.max(1))
}

/// The positions of the `count` largest values, the largest first; of equal values, the earlier.
pub fn largest(values: &[f64], count: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // Ties go to the earlier place, so that the choice never depends on the sort.
    order.sort_by(|&a, &b| values[b].total_cmp(&values[a]).then(a.cmp(&b)));
    order.truncate(count);
    order
}

/// The mean of the `count` largest values (of all, if there are fewer); NaN of none.
pub fn mean_of_largest(values: &[f64], count: usize) -> f64 {
    let chosen = largest(values, count);
    let sum: f64 = chosen.iter().map(|&i| values[i]).sum();
    sum / chosen.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn largest_values_by_hand() {
        let values = [0.5, 2.0, -1.0, 2.0, 1.0];
        assert_eq!(largest(&values, 3), [1, 3, 4]);
        assert_eq!(largest(&values, 9).len(), 5);
        assert_eq!(mean_of_largest(&values, 3), 5.0 / 3.0);
        assert_eq!(mean_of_largest(&values, 9), 0.9);
        assert!(mean_of_largest(&[], 3).is_nan());
    }

    #[test]
    fn counts_scale_with_the_grid() {
        assert_eq!(
            (count_of(8, 256), count_of(8, 576), count_of(3, 64)),
            (8, 18, 1)
        );
        // Never more places than there are, never none.
        assert_eq!(
            (count_of(24, 4), count_of(300, 4), count_of(3, 1)),
            (1, 4, 1)
        );
    }
}
