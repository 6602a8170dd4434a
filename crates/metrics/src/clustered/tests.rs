use super::*;
use Label::{Bad, Good};

#[test]
fn single_images_give_delongs_error() {
    let scores: Vec<f64> = (0..40).map(|i| f64::from(i * 37 % 41)).collect();
    let labels: Vec<Label> = (0..40)
        .map(|i| if i % 3 == 0 { Bad } else { Good })
        .collect();
    let groups: Vec<usize> = (0..40).collect();
    let found = clustered_auroc(&scores, &labels, &groups).unwrap();
    let delong = Scores::new(&scores, &labels).unwrap().auroc_delong();
    assert_eq!(found.auroc, delong.auroc);
    assert!((found.std_error - delong.std_error).abs() < 1e-15);
    assert_eq!((found.good_groups, found.bad_groups), (26, 14));
}

#[test]
fn a_small_case_by_hand() {
    // The bad beat 1 and ⅔ (a) and 1 (b) of the good, so A = 8/9 and V is −1/9 (a), 1/9 (b).
    // The good are beaten by ⅔ (a) and by 1 and 1 (b) of the bad: W is −2/9 (a), 2/9 (b).
    let scores = [3.0, 1.0, 3.0, 0.0, 2.0, 0.0];
    let labels = [Bad, Bad, Bad, Good, Good, Good];
    let groups = ["a", "a", "b", "b", "a", "b"];
    let found = clustered_auroc(&scores, &labels, &groups).unwrap();
    assert!((found.auroc - 8.0 / 9.0).abs() < 1e-15);
    // 2 · (2/81)/9 + 2 · (8/81)/9 + 2 · 2 · (4/81)/9
    let expected = 36.0 / 729.0;
    assert!(
        (found.std_error.powi(2) - expected).abs() < 1e-15,
        "{found:?}"
    );
}

#[test]
fn a_perfect_separation_is_not_certain() {
    let scores: Vec<f64> = (0..40).map(f64::from).collect();
    let labels: Vec<Label> = (0..40).map(|i| if i < 20 { Good } else { Bad }).collect();
    let groups: Vec<usize> = (0..40).collect();
    let found = clustered_auroc(&scores, &labels, &groups).unwrap();
    assert_eq!((found.auroc, found.std_error), (1.0, 0.0));
    let interval = found.interval(0.95).unwrap().unwrap();
    assert!(interval.floored);
    assert_eq!(interval.interval.high, 1.0);
    // As for a share of 20 of 20.
    let low = 0.025f64.powf(0.05);
    assert!((interval.interval.low - low).abs() < 1e-12, "{interval:?}");
}

#[test]
fn one_group_allows_no_interval() {
    let found = clustered_auroc(
        &[0.0, 1.0, 2.0, 3.0],
        &[Good, Good, Bad, Bad],
        &[0, 1, 2, 2],
    )
    .unwrap();
    assert!(found.std_error.is_nan());
    assert_eq!(found.interval(0.95).unwrap(), None);
    assert!(found.interval(1.0).is_err());
    assert!(clustered_auroc(&[0.0, 1.0], &[Good, Bad], &[0]).is_err());
}

#[test]
fn a_score_differs_from_itself_by_nothing() {
    let scores: Vec<f64> = (0..24).map(|i| f64::from(i * 7 % 24)).collect();
    let labels: Vec<Label> = (0..24)
        .map(|i| if i % 2 == 0 { Bad } else { Good })
        .collect();
    let groups: Vec<usize> = (0..24).map(|i| i / 4).collect();
    let (difference, error) = clustered_difference(&scores, &scores, &labels, &groups).unwrap();
    assert_eq!((difference, error), (0.0, 0.0));
    let constant = vec![1.0; 24];
    let (difference, error) = clustered_difference(&scores, &constant, &labels, &groups).unwrap();
    let own = clustered_auroc(&scores, &labels, &groups).unwrap();
    assert!((difference - (own.auroc - 0.5)).abs() < 1e-15);
    assert!((error - own.std_error).abs() < 1e-15);
}

/// Scores of groups that share an offset: `bad` groups of bad images after `good` groups.
fn draw(rng: &mut impl rand::Rng, good: usize, bad: usize) -> (Vec<f64>, Vec<Label>, Vec<usize>) {
    // The middle of one of 2⁵³ intervals, so never 0 or 1.
    let mut normal = || {
        let cell = (rng.next_u64() >> 11) as f64 + 0.5;
        crate::special::normal_quantile(cell / (1u64 << 53) as f64)
    };
    let mut scores = Vec::new();
    let mut labels = Vec::new();
    let mut groups = Vec::new();
    for group in 0..good + bad {
        let label = if group < good { Good } else { Bad };
        let offset = normal() + if label.is_bad() { 2.0 } else { 0.0 };
        for _ in 0..3 {
            scores.push(offset + 0.5 * normal());
            labels.push(label);
            groups.push(group);
        }
    }
    (scores, labels, groups)
}

#[test]
fn intervals_cover_the_truth_where_images_of_a_group_are_alike() {
    // Two scores differ by 2 with variance 2 · 1.25.
    let truth = crate::special::normal_cdf(2.0 / 2.5f64.sqrt());
    let mut rng = segad_core::Seed(7).rng();
    let mut covered = 0;
    let mut covered_as_if_independent = 0;
    for _ in 0..400 {
        let (scores, labels, groups) = draw(&mut rng, 30, 12);
        let found = clustered_auroc(&scores, &labels, &groups).unwrap();
        let interval = found.interval(0.95).unwrap().unwrap().interval;
        covered += usize::from((interval.low..interval.high).contains(&truth));
        let delong = Scores::new(&scores, &labels).unwrap().auroc_delong();
        let narrow = delong.interval(0.95).unwrap();
        covered_as_if_independent += usize::from((narrow.low..narrow.high).contains(&truth));
    }
    assert!((372..=396).contains(&covered), "{covered} of 400");
    assert!(
        covered_as_if_independent < 330,
        "{covered_as_if_independent} of 400"
    );
}

#[test]
fn repeats_of_one_image_count_once() {
    // 12 groups of four equal images are worth little more than 12 images.
    let hits: Vec<bool> = (0..48).map(|i| (i / 4) % 3 == 0).collect();
    let groups: Vec<usize> = (0..48).map(|i| i / 4).collect();
    let grouped = Rate::korn_graubard(&hits, &groups, 0.95).unwrap();
    // Worth 11 · (t₄₇ / t₁₁)² = 9.19 images by the formula.
    let nine = Rate { hits: 3, total: 9 }.clopper_pearson(0.95).unwrap();
    let ten = clopper_pearson(10.0 / 3.0, 10.0, 0.95);
    assert!((nine.low..ten.low).contains(&grouped.low), "{grouped:?}");
    assert!((ten.high..nine.high).contains(&grouped.high), "{grouped:?}");
    // No error at all among 12 groups: as for 12 images.
    let none = Rate::korn_graubard(&[false; 48], &groups, 0.95).unwrap();
    assert_eq!(
        none,
        Rate { hits: 0, total: 12 }.clopper_pearson(0.95).unwrap()
    );
    assert!(Rate::korn_graubard(&[], &[0; 0], 0.95).is_err());
    assert!(Rate::korn_graubard(&[true], &[0, 1], 0.95).is_err());
}
