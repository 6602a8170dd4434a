use super::*;
use crate::rounded;

fn value(paper: &Paper, table: &str, row: &str, column: usize) -> f64 {
    paper.row(paper.table(table).unwrap(), row).unwrap().value[column]
}

#[test]
fn every_number_is_there() {
    let paper = Paper::load().unwrap();
    let count = |id: &str| {
        paper
            .table(id)
            .unwrap()
            .rows
            .iter()
            .map(|r| r.value.len())
            .sum::<usize>()
    };
    let counts: Vec<usize> = ["2", "3", "4", "5", "6", "8", "9", "readme"]
        .into_iter()
        .map(count)
        .collect();
    assert_eq!(counts, [18, 16, 16, 14, 6, 91, 112, 39]);
    assert_eq!(count("text") + paper.claims().len(), 11);
    assert!(matches!(paper.table("7"), Err(ReportError::NoTable(..))));
}

#[test]
fn printed_class_means_are_means_of_the_printed_classes() {
    let paper = Paper::load().unwrap();
    for id in ["8", "9", "readme"] {
        for row in &paper.table(id).unwrap().rows {
            let (mean, classes) = row.value.split_last().unwrap();
            let recomputed = classes.iter().sum::<f64>() / classes.len() as f64;
            assert!(
                (recomputed - mean).abs() < 0.1,
                "table {id}, {}: {recomputed} {mean}",
                row.method
            );
        }
    }
}

#[test]
fn claims_follow_from_the_tables() {
    let paper = Paper::load().unwrap();
    let claim = |name: &str| {
        paper
            .claims()
            .iter()
            .find(|c| c.name == name)
            .unwrap()
            .value
    };
    let six = |row| value(&paper, "6", row, 0);
    let gains = [
        ("One Seg. over An. Det.", "One Seg.", "An. Det."),
        ("Max. over An. Det.", "Max.", "An. Det."),
        ("SegAD over BT", "SegAD", "BT"),
        ("SegAD over RF", "SegAD", "RF"),
    ];
    for (name, a, b) in gains {
        assert_eq!(rounded(six(a) - six(b), 1), claim(name), "{name}");
    }
    let vad = [
        value(&paper, "2", "All AD + Ours", 0) - value(&paper, "2", "EfficientAD", 0),
        value(&paper, "3", "AllAD+WRN+Ours", 0) - value(&paper, "3", "WRN", 0),
        value(&paper, "4", "All AD + Ours", 0) - value(&paper, "2", "EfficientAD", 0),
    ];
    assert_eq!(
        rounded(vad.iter().sum::<f64>() / 3.0, 1),
        claim("SegAD over the best other method on VAD")
    );
    let detectors =
        ["PatchCore", "FastFlow", "RD4AD", "EfficientAD"].map(|d| value(&paper, "2", d, 0));
    let target = paper
        .known
        .iter()
        .find(|k| k.method == "An. Det.")
        .unwrap()
        .target
        .unwrap();
    assert_eq!(rounded(detectors.iter().sum::<f64>() / 4.0, 2), target);
}

#[test]
fn aliases_lead_to_printed_methods() {
    let paper = Paper::load().unwrap();
    for (alias, method) in &paper.aliases {
        assert!(
            paper
                .tables
                .iter()
                .any(|t| t.rows.iter().any(|r| r.method == *method)),
            "{alias} → {method}"
        );
    }
    for known in &paper.known {
        assert!(
            paper
                .row(paper.table(&known.table).unwrap(), &known.method)
                .is_some(),
            "{}",
            known.method
        );
    }
}
