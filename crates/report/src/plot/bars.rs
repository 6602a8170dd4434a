use super::canvas::{Canvas, PALETTE, Scale, labelled, px};
use super::{Plot, slug};
use crate::round::{CSV, TABLE, fixed};
use crate::text::{csv_text, optional};
use crate::{Cell, MEAN, Measure, ReportError, Results};
use std::fmt::Write;

/// Bars per class (and of the mean over classes), one a row, with ± one standard deviation and a
/// diamond at the paper's number. They start at 0, or at 50, which is chance, where every AUROC is
/// above it. The numbers are `class, row, mean, std, paper`.
///
/// # Errors
/// [`ReportError::Empty`] if no cell has this measure, [`ReportError::Csv`].
pub fn class_bars(results: &Results, measure: &Measure) -> Result<Plot, ReportError> {
    let e = &results.experiment;
    let name = measure.to_string();
    let title = format!("{} per class", measure.title(&e.groups));
    let last = e.has_class_mean().then_some(MEAN);
    let classes: Vec<&str> = e.classes.iter().map(String::as_str).chain(last).collect();
    let cells: Vec<Vec<Option<&Cell>>> = classes
        .iter()
        .map(|c| {
            e.rows
                .iter()
                .map(|r| results.cell(&r.name, c, &name))
                .collect()
        })
        .collect();
    let all = || cells.iter().flatten().flatten();
    if !all().any(|c| c.mean.is_some()) {
        return Err(ReportError::Empty {
            plot: title,
            what: "value",
        });
    }
    let lowest = all()
        .flat_map(|c| [c.mean, c.paper])
        .flatten()
        .fold(f64::INFINITY, f64::min);
    let start = if measure.higher_is_better() && lowest > 50.0 {
        50.0
    } else {
        0.0
    };
    // As wide as fits 620 pixels, within reason.
    let bar = (540.0 / (e.rows.len() * classes.len()) as f64 - 3.0).clamp(9.0, 26.0);
    let class_width = bar * e.rows.len() as f64 + 18.0;
    let width = (56.0 + class_width * classes.len() as f64 + 12.0).max(360.0);
    let mut c = Canvas::default();
    c.title(12.0, &title);
    let entries: Vec<(String, &str)> = e
        .rows
        .iter()
        .enumerate()
        .map(|(i, r)| (r.name.clone(), PALETTE[i % PALETTE.len()]))
        .collect();
    let top = c.legend(&entries, 56.0, width - 12.0, 38.0) + 6.0;
    let bottom = top + 220.0;
    let y = Scale {
        min: start,
        max: 100.0,
        from: bottom,
        to: top,
    };
    c.y_axis(&y, &labelled(y.ticks(5)), 56.0, width - 12.0, "%");
    for (k, (class, row)) in classes.iter().zip(&cells).enumerate() {
        let left = 56.0 + class_width * k as f64 + 9.0;
        for (i, cell) in row.iter().enumerate() {
            let x = left + bar * i as f64;
            let Some(cell) = cell else { continue };
            if let Some(mean) = cell.mean {
                let std = cell.std.unwrap_or(0.0);
                let hint = format!(
                    "{}, {class}: {} ± {}",
                    cell.row,
                    fixed(mean, TABLE),
                    fixed(std, TABLE)
                );
                c.rect(
                    PALETTE[i % PALETTE.len()],
                    x,
                    y.at(mean),
                    bar - 1.5,
                    bottom - y.at(mean),
                    &hint,
                );
                if std > 0.0 {
                    let middle = x + (bar - 1.5) / 2.0;
                    c.line(
                        "rule",
                        middle,
                        y.at((mean - std).max(start)),
                        middle,
                        y.at((mean + std).min(100.0)),
                    );
                }
            } else {
                c.text("dim", "middle", x + bar / 2.0, bottom - 4.0, "×");
            }
            if let Some(paper) = cell.paper {
                let (x, y) = (x + (bar - 1.5) / 2.0, y.at(paper));
                let _ = writeln!(
                    c.body,
                    r#"<path class="mark" d="M{} {}l4 4l-4 4l-4 -4Z"><title>paper: {}</title></path>"#,
                    px(x),
                    px(y - 4.0),
                    fixed(paper, TABLE)
                );
            }
        }
        let text = if *class == MEAN { "Mean" } else { class };
        c.rotated(
            "end",
            left + bar * row.len() as f64 / 2.0 + 4.0,
            bottom + 12.0,
            -35,
            text,
        );
    }
    c.line("axis", 56.0, bottom, width - 12.0, bottom);
    let longest = classes.iter().map(|n| n.chars().count()).max().unwrap_or(0) as f64;
    let mut height = bottom + 24.0 + 4.4 * longest;
    if all().any(|cell| cell.paper.is_some()) {
        height += 14.0;
        c.text("dim", "end", width - 12.0, height - 8.0, "◆ the paper");
    }
    let records = classes.iter().zip(&cells).flat_map(|(class, row)| {
        row.iter().flatten().map(|cell| {
            let mean = cell.mean.map(|m| fixed(m, CSV)).unwrap_or_default();
            [
                (*class).to_owned(),
                cell.row.clone(),
                mean,
                optional(cell.std),
                optional(cell.paper),
            ]
        })
    });
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small positive number"
    )]
    let (width, height) = (width.ceil() as u32, height.ceil() as u32);
    Ok(Plot {
        name: format!("bars-{}", slug(&name)),
        title,
        csv: csv_text(&["class", "row", "mean", "std", "paper"], records)?,
        width,
        height,
        body: c.body,
    })
}
