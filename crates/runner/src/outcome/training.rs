//! How losses fell: plots of the curves that fits left in the store.

use crate::workbench::Workbench;
use segad_core::{BoxError, CellKind};
use segad_grid::Plan;
use segad_report::{Figure, LossCurve, loss_plot};
use std::collections::BTreeSet;

/// Points that a line is drawn with at most; longer curves are averaged down to them.
const POINTS: usize = 250;

/// One line of a plot.
struct Line {
    /// What was trained, on which class, and what the values are.
    plot: (String, String, String),
    /// The seed.
    label: String,
    /// The same with the protocol, where one seed trains more than once.
    full: String,
    points: Vec<(f64, f64)>,
}

/// One plot for each thing that was trained and each term of its loss, with a line for each seed.
/// No figure where nothing was trained, or by a program that kept no curves.
pub(super) fn figures(plan: &Plan, bench: &Workbench) -> Result<Vec<Figure>, BoxError> {
    let mut lines = Vec::new();
    for cell in plan.cells.iter().filter(|c| c.kind == CellKind::Fit) {
        let Some(entry) = bench.store.entry(cell.kind, &cell.key)? else {
            continue;
        };
        // Not everything that is fitted is trained step by step.
        if !entry.meta().files.contains_key("curve.parquet") {
            continue;
        }
        let label = format!("seed {}", cell.split.seed.0);
        for (term, points) in terms(segad_store::read_curves(&entry.path("curve.parquet")?)?) {
            lines.push(Line {
                plot: (cell.label.what.clone(), cell.label.class.clone(), term),
                label: label.clone(),
                full: cell.label.place(),
                points,
            });
        }
    }
    let mut plots = Vec::new();
    let classes: BTreeSet<&String> = lines.iter().map(|line| &line.plot.1).collect();
    let several = classes.len() > 1;
    // Plots come in the order of the plan, which is that of their first lines.
    while let Some(first) = lines.first().map(|l| l.plot.clone()) {
        let (own, rest): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(|l| l.plot == first);
        lines = rest;
        let (what, class, term) = first;
        let title = if several {
            format!("{what}, {class}: {term}")
        } else {
            format!("{what}: {term}")
        };
        plots.push(loss_plot(&title, "step", &curves(own))?);
    }
    if plots.is_empty() {
        return Ok(Vec::new());
    }
    let text = "The loss and its terms over the steps of each training. Each point is the mean over \
                the steps since the point before.";
    Ok(vec![Figure {
        title: "Training losses".to_owned(),
        text: text.to_owned(),
        plots,
    }])
}

/// The lines of one plot, named by their seeds as far as those tell them apart.
fn curves(lines: Vec<Line>) -> Vec<LossCurve> {
    let seeds: Vec<String> = lines.iter().map(|line| line.label.clone()).collect();
    let named = lines.into_iter().map(|line| {
        let twice = seeds.iter().filter(|seed| **seed == line.label).count() > 1;
        LossCurve {
            name: if twice { line.full } else { line.label },
            points: line.points,
        }
    });
    named.collect()
}

/// The curves by name, in the order in which they appear, thinned.
fn terms(points: Vec<segad_core::CurvePoint>) -> Vec<(String, Vec<(f64, f64)>)> {
    let mut terms: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for p in points {
        let point = (p.step as f64, p.value);
        match terms.iter_mut().find(|t| t.0 == p.name) {
            Some(term) => term.1.push(point),
            None => terms.push((p.name, vec![point])),
        }
    }
    for (_, points) in &mut terms {
        // More points than pixels would only make the page heavy.
        let n = points.len().div_ceil(POINTS).max(1);
        let mean = |chunk: &[(f64, f64)]| {
            let sum: f64 = chunk.iter().map(|p| p.1).sum();
            (chunk.last().map_or(0.0, |p| p.0), sum / chunk.len() as f64)
        };
        *points = points.chunks(n).map(mean).collect();
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_told_apart_and_thinned() {
        let point = |step: u64, name: &str| segad_core::CurvePoint {
            step,
            name: name.to_owned(),
            value: step as f64 + if name == "hard" { 0.5 } else { 0.0 },
        };
        let all = (1..=500)
            .flat_map(|i| [point(i, "loss"), point(i, "hard")])
            .collect();
        let terms = terms(all);
        assert_eq!(
            terms.iter().map(|t| t.0.as_str()).collect::<Vec<_>>(),
            ["loss", "hard"]
        );
        assert_eq!(terms[0].1.len(), 250);
        assert_eq!(
            (terms[0].1[0], terms[1].1[249]),
            ((2.0, 1.5), (500.0, 500.0))
        );
    }
}
