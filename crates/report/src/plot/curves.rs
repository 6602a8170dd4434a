use super::canvas::{Canvas, PALETTE, Scale, labelled};
use super::{Plot, slug};
use crate::ReportError;
use crate::text::csv_text;

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
    let all = || {
        curves
            .iter()
            .flat_map(|c| &c.points)
            .filter(|(x, y)| x.is_finite() && y.is_finite())
    };
    if all().next().is_none() {
        return Err(ReportError::Empty {
            plot: title.to_owned(),
            what: "finite point",
        });
    }
    let range = |f: fn(&(f64, f64)) -> f64| {
        let (low, high) = all()
            .map(f)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        if high > low {
            (low, high)
        } else {
            (low - 0.5, high + 0.5)
        }
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    let (width, height) = (680.0, 300.0);
    let mut c = Canvas::default();
    c.title(12.0, title);
    let entries: Vec<(String, &str)> = curves
        .iter()
        .enumerate()
        .map(|(i, curve)| (curve.name.clone(), PALETTE[i % PALETTE.len()]))
        .collect();
    let top = c.legend(&entries, 64.0, width - 12.0, 38.0) + 6.0;
    let bottom = height - 46.0;
    let x = Scale {
        min: x0,
        max: x1,
        from: 64.0,
        to: width - 12.0,
    };
    let y = Scale {
        min: y0.min(0.0),
        max: y1 + 0.04 * (y1 - y0),
        from: bottom,
        to: top,
    };
    c.y_axis(&y, &labelled(y.ticks(5)), x.from, x.to, "loss");
    c.x_axis(&x, &labelled(x.ticks(7)), bottom, step);
    for (i, curve) in curves.iter().enumerate() {
        let finite = curve
            .points
            .iter()
            .filter(|p| p.0.is_finite() && p.1.is_finite());
        let points: Vec<(f64, f64)> = finite.map(|p| (x.at(p.0), y.at(p.1))).collect();
        let colour = PALETTE[i % PALETTE.len()];
        c.path(
            &format!(r#"fill="none" stroke="{colour}" stroke-width="1.6""#),
            &points,
            false,
        );
    }
    let records = curves.iter().flat_map(|curve| {
        curve
            .points
            .iter()
            .map(|(x, y)| [curve.name.clone(), x.to_string(), y.to_string()])
    });
    Ok(Plot {
        name: format!("loss-{}", slug(title)),
        title: title.to_owned(),
        csv: csv_text(&["name", "step", "loss"], records)?,
        width: 680,
        height: 300,
        body: c.body,
    })
}
