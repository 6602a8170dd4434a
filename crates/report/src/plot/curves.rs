use super::canvas::{Canvas, RIGHT, Scale, colour, labelled};
use super::{Plot, slug};
use crate::ReportError;
use crate::text::csv_text;

const WIDTH: u32 = 680;
const HEIGHT: u32 = 300;

/// The loss of one training over its steps or epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct LossCurve {
    /// What was trained.
    pub name: String,
    /// (step, loss); both finite.
    pub points: Vec<(f64, f64)>,
}

/// Draws losses over steps; the numbers are `name, step, loss`.
///
/// # Errors
/// [`ReportError::Empty`] without a finite point, [`ReportError::Csv`].
pub fn loss_plot(title: &str, step: &str, curves: &[LossCurve]) -> Result<Plot, ReportError> {
    let all = curves.iter().flat_map(finite);
    let xs: Vec<f64> = all.clone().map(|p| p.0).collect();
    let ys: Vec<f64> = all.map(|p| p.1).collect();
    let (Some([x0, x1]), Some([y0, y1])) = (range(&xs), range(&ys)) else {
        return Err(ReportError::Empty {
            plot: title.to_owned(),
            what: "finite point",
        });
    };
    let mut canvas = Canvas::default();
    canvas.title(12.0, title);
    let entries: Vec<(String, &str)> = curves
        .iter()
        .enumerate()
        .map(|(i, curve)| (curve.name.clone(), colour(i)))
        .collect();
    let right = f64::from(WIDTH) - RIGHT;
    let x = Scale {
        min: x0,
        max: x1,
        from: 64.0,
        to: right,
    };
    let y = Scale {
        // From 0, or a loss that hardly falls would look as if it fell.
        min: y0.min(0.0),
        max: y1 + 0.04 * (y1 - y0),
        from: f64::from(HEIGHT) - 46.0,
        to: canvas.legend(&entries, x.from, right, 38.0) + 6.0,
    };
    canvas.y_axis(&y, &labelled(y.ticks(5)), x.from, x.to, "loss");
    canvas.x_axis(&x, &labelled(x.ticks(7)), y.from, step);
    for (i, curve) in curves.iter().enumerate() {
        // One infinite loss would leave nothing to see of the others.
        let points: Vec<(f64, f64)> = finite(curve).map(|p| (x.at(p.0), y.at(p.1))).collect();
        let stroke = format!(r#"fill="none" stroke="{}" stroke-width="1.6""#, colour(i));
        canvas.path(&stroke, &points, false);
    }
    let records = curves.iter().flat_map(|curve| {
        let points = curve.points.iter();
        points.map(|(x, y)| [curve.name.clone(), x.to_string(), y.to_string()])
    });
    Ok(Plot {
        name: format!("loss-{}", slug(title)),
        title: title.to_owned(),
        csv: csv_text(&["name", "step", "loss"], records)?,
        width: WIDTH,
        height: HEIGHT,
        body: canvas.body,
    })
}

fn finite(curve: &LossCurve) -> impl Iterator<Item = &(f64, f64)> + Clone {
    let points = curve.points.iter();
    points.filter(|(x, y)| x.is_finite() && y.is_finite())
}

/// The least and the largest value, apart even if all are equal; `None` without any.
fn range(values: &[f64]) -> Option<[f64; 2]> {
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    Some(if high > low {
        [low, high]
    } else {
        // A constant has no range to divide by.
        [low - 0.5, high + 0.5]
    })
}
