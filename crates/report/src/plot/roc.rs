use super::canvas::{Canvas, LEFT, Scale, colour, has_own_colour, labelled, text_width, whole};
use super::{Plot, slug};
use crate::round::{EXACT, TABLE, fixed};
use crate::text::csv_text;
use crate::{Experiment, ReportError, ScoreTable};
use segad_metrics::{RocPoint, Scores};

/// Number of steps of the FPR axis on which curves are averaged.
pub const ROC_STEPS: usize = 200;

/// The ROC curve of one row, averaged over seeds.
#[derive(Clone, Debug, PartialEq)]
pub struct RocCurve {
    /// Row of the experiment.
    pub row: String,
    /// TPR (0 to 1) at FPR 0, 1/200, …, 1: the mean over the seeds of the curve's highest point at
    /// that FPR, straight between its points.
    pub tpr: Vec<f64>,
    /// Mean AUROC over the seeds, 0 to 1.
    pub auroc: f64,
    /// Number of seeds.
    pub seeds: usize,
}

/// The curves of all rows of one class that have scores of both labels.
pub fn roc_curves(experiment: &Experiment, scores: &ScoreTable, class: &str) -> Vec<RocCurve> {
    let Some(class) = experiment.classes.iter().position(|c| c == class) else {
        return Vec::new();
    };
    let mut curves = Vec::new();
    for (index, row) in experiment.rows.iter().enumerate() {
        let mut tpr = vec![0.0; ROC_STEPS + 1];
        let mut auroc = 0.0;
        let mut seeds = 0;
        for cell in scores
            .cells()
            .filter(|c| c.row == index && c.class == class)
        {
            let (good, bad) = cell.headline();
            // A cell with one label only has no curve; its failure is listed with the tables.
            let Ok(scored) = Scores::split(&good, &bad) else {
                continue;
            };
            let points = scored.roc_curve();
            for (i, t) in tpr.iter_mut().enumerate() {
                *t += at_fpr(&points, fpr(i));
            }
            auroc += scored.auroc();
            seeds += 1;
        }
        if seeds > 0 {
            let n = f64::from(seeds);
            tpr.iter_mut().for_each(|t| *t /= n);
            curves.push(RocCurve {
                row: row.name.clone(),
                tpr,
                auroc: auroc / n,
                seeds: seeds as usize,
            });
        }
    }
    curves
}

/// The curve's highest TPR at this FPR.
fn at_fpr(points: &[RocPoint], fpr: f64) -> f64 {
    let above = points.partition_point(|p| p.fpr <= fpr);
    let Some(a) = above.checked_sub(1).map(|i| points[i]) else {
        return 0.0;
    };
    // Between two points of the curve a classifier can be mixed from both, hence the straight line.
    match points.get(above) {
        Some(b) => a.tpr + (b.tpr - a.tpr) * (fpr - a.fpr) / (b.fpr - a.fpr),
        None => a.tpr,
    }
}

/// Draws curves; the numbers are `row, fpr, tpr`.
///
/// # Errors
/// [`ReportError::Empty`] without a curve, [`ReportError::Csv`].
pub fn roc_plot(title: &str, curves: &[RocCurve]) -> Result<Plot, ReportError> {
    if curves.is_empty() {
        return Err(ReportError::Empty {
            plot: title.to_owned(),
            what: "curve",
        });
    }
    let names: Vec<String> = curves
        .iter()
        .map(|c| format!("{} ({})", c.row, fixed(100.0 * c.auroc, TABLE)))
        .collect();
    // SVG does not wrap or measure text, so room for the longest name is made here.
    let widest = names.iter().map(|n| text_width(n)).fold(0.0, f64::max);
    let mut canvas = Canvas::default();
    canvas.title(12.0, title);
    let [x, y] = draw_axes(&mut canvas);
    for (i, curve) in curves.iter().enumerate() {
        let dash = if has_own_colour(i) {
            ""
        } else {
            r#" stroke-dasharray="6 3""#
        };
        let stroke = format!(r#"fill="none" stroke="{}""#, colour(i));
        let steps = curve.tpr.iter().enumerate();
        // From the origin: a curve may start with a vertical step.
        let mut points = vec![(x.at(0.0), y.at(0.0))];
        points.extend(steps.map(|(k, t)| (x.at(100.0 * fpr(k)), y.at(100.0 * t))));
        canvas.path(
            &format!(r#"{stroke} stroke-width="1.8"{dash}"#),
            &points,
            false,
        );
        let at = y.to + 10.0 + 20.0 * i as f64;
        let sample = [(x.to + 20.0, at), (x.to + 38.0, at)];
        canvas.path(
            &format!(r#"{stroke} stroke-width="3"{dash}"#),
            &sample,
            false,
        );
        canvas.text("", "start", x.to + 44.0, at + 4.0, &names[i]);
    }
    let records = curves.iter().flat_map(|curve| {
        let steps = curve.tpr.iter().enumerate();
        steps.map(|(k, t)| [curve.row.clone(), fixed(fpr(k), EXACT), fixed(*t, EXACT)])
    });
    let legend_end = y.to + 20.0 * curves.len() as f64 + 10.0;
    Ok(Plot {
        name: format!("roc-{}", slug(title)),
        title: title.to_owned(),
        csv: csv_text(&["row", "fpr", "tpr"], records)?,
        width: whole(x.to + 24.0 + 20.0 + widest + 8.0),
        height: whole((y.from + 46.0).max(legend_end)),
        body: canvas.body,
    })
}

/// The FPR of step `k`, 0 to 1.
fn fpr(k: usize) -> f64 {
    k as f64 / ROC_STEPS as f64
}

/// Axes in percent, the diagonal of chance and the line of 95 % TPR; the scales of both axes.
fn draw_axes(canvas: &mut Canvas) -> [Scale; 2] {
    let side = 300.0;
    let x = Scale {
        min: 0.0,
        max: 100.0,
        from: LEFT,
        to: LEFT + side,
    };
    let y = Scale {
        from: 34.0 + side,
        to: 34.0,
        ..x
    };
    canvas.y_axis(
        &y,
        &labelled(y.ticks(5)),
        x.from,
        x.to,
        "bad found (TPR, %)",
    );
    canvas.x_axis(&x, &labelled(x.ticks(5)), y.from, "false alarms (FPR, %)");
    canvas.dashed("grid", x.from, y.from, x.to, y.to);
    canvas.dashed("axis", x.from, y.at(95.0), x.to, y.at(95.0));
    canvas.text("dim", "end", x.to - 4.0, y.at(95.0) + 14.0, "TPR 95 %");
    [x, y]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_read_at_their_highest_point() {
        // By hand: a vertical step at FPR 0 to ½, then a slope over a tie, to (½, 1).
        let s = Scores::split(&[0.1f32, 0.5], &[0.5, 0.9])
            .unwrap()
            .roc_curve();
        assert_eq!(
            [0.0, 0.25, 0.5, 1.0].map(|f| at_fpr(&s, f)),
            [0.5, 0.75, 1.0, 1.0]
        );
    }
}
