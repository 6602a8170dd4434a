use super::canvas::{Canvas, LEFT, RIGHT, Scale, colour, labelled, px, whole};
use super::{Plot, slug};
use crate::round::{TABLE, fixed};
use crate::text::{csv_text, optional};
use crate::{Cell, MEAN, Measure, ReportError, Results};
use std::fmt::Write;

/// Bars per class (and of the mean over classes), one per row, with ± one standard deviation and a
/// diamond at the paper's number. They start at 0, or at 50, which is chance, where every AUROC is
/// above it. The numbers are `class, row, mean, std, paper`.
///
/// # Errors
/// [`ReportError::Empty`] if no cell has this measure, [`ReportError::Csv`].
pub fn class_bars(results: &Results, measure: &Measure) -> Result<Plot, ReportError> {
    let experiment = &results.experiment;
    let name = measure.to_string();
    let title = format!("{} per class", measure.title(&experiment.groups));
    let mean = experiment.has_class_mean().then_some(MEAN);
    let classes = experiment.classes.iter().map(String::as_str).chain(mean);
    let mut groups = Vec::new();
    for class in classes {
        let rows = experiment.rows.iter();
        let cells = rows.map(|r| results.cell(&r.name, class, &name)).collect();
        groups.push(Group { class, cells });
    }
    let cells = groups.iter().flat_map(|g| &g.cells).flatten();
    if !cells.clone().any(|c| c.mean.is_some()) {
        return Err(ReportError::Empty {
            plot: title,
            what: "value",
        });
    }
    let lowest = cells
        .flat_map(|c| [c.mean, c.paper])
        .flatten()
        .fold(f64::INFINITY, f64::min);
    // Half the AUROCs are chance: the other half of the axis would only flatten the bars.
    let start = if measure.higher_is_better() && lowest > 50.0 {
        50.0
    } else {
        0.0
    };
    let (canvas, size) = draw(&title, results, &groups, start);
    let records = groups.iter().flat_map(|group| {
        group.cells.iter().flatten().map(|cell| {
            [
                group.class.to_owned(),
                cell.row.clone(),
                optional(cell.mean),
                optional(cell.std),
                optional(cell.paper),
            ]
        })
    });
    Ok(Plot {
        name: format!("bars-{}", slug(&name)),
        title,
        csv: csv_text(&["class", "row", "mean", "std", "paper"], records)?,
        width: whole(size[0]),
        height: whole(size[1]),
        body: canvas.body,
    })
}

/// The bars of one class: a cell per row of the experiment, where there is one.
struct Group<'a> {
    class: &'a str,
    cells: Vec<Option<&'a Cell>>,
}

/// The drawing, and its width and height.
fn draw(title: &str, results: &Results, groups: &[Group<'_>], start: f64) -> (Canvas, [f64; 2]) {
    let rows = &results.experiment.rows;
    // As wide as fits 620 pixels, within reason.
    let bar = (540.0 / (rows.len() * groups.len()) as f64 - 3.0).clamp(9.0, 26.0);
    let group_width = bar * rows.len() as f64 + 18.0;
    let width = (LEFT + group_width * groups.len() as f64 + RIGHT).max(360.0);
    let mut canvas = Canvas::default();
    canvas.title(12.0, title);
    let entries: Vec<(String, &str)> = rows
        .iter()
        .enumerate()
        .map(|(i, r)| (r.name.clone(), colour(i)))
        .collect();
    let top = canvas.legend(&entries, LEFT, width - RIGHT, 38.0) + 6.0;
    let bottom = top + 220.0;
    let y = Scale {
        min: start,
        max: 100.0,
        from: bottom,
        to: top,
    };
    canvas.y_axis(&y, &labelled(y.ticks(5)), LEFT, width - RIGHT, "%");
    for (k, group) in groups.iter().enumerate() {
        let left = LEFT + group_width * k as f64 + 9.0;
        for (i, cell) in group.cells.iter().enumerate() {
            if let Some(cell) = cell {
                draw_bar(&mut canvas, cell, colour(i), left + bar * i as f64, bar, &y);
            }
        }
        let text = if group.class == MEAN {
            "Mean"
        } else {
            group.class
        };
        let middle = left + bar * rows.len() as f64 / 2.0;
        canvas.rotated("end", middle + 4.0, bottom + 12.0, -35, text);
    }
    canvas.line("axis", LEFT, bottom, width - RIGHT, bottom);
    let longest = groups.iter().map(|g| g.class.chars().count()).max();
    let mut height = bottom + 24.0 + 4.4 * longest.unwrap_or(0) as f64;
    if groups
        .iter()
        .any(|g| g.cells.iter().flatten().any(|c| c.paper.is_some()))
    {
        height += 14.0;
        canvas.text("dim", "end", width - RIGHT, height - 8.0, "◆ the paper");
    }
    (canvas, [width, height])
}

/// One bar with its spread and the paper's number; a cross where a cell has no value.
fn draw_bar(canvas: &mut Canvas, cell: &Cell, colour: &str, x: f64, bar: f64, y: &Scale) {
    let middle = x + (bar - 1.5) / 2.0;
    if let Some(mean) = cell.mean {
        let std = cell.std.unwrap_or(0.0);
        let hint = format!(
            "{}, {}: {} ± {}",
            cell.row,
            cell.class,
            fixed(mean, TABLE),
            fixed(std, TABLE)
        );
        let height = y.from - y.at(mean);
        canvas.rect(colour, x, y.at(mean), bar - 1.5, height, &hint);
        if std > 0.0 {
            // A deviation may reach beyond 100 %, the axis does not.
            let low = y.at((mean - std).max(y.min));
            let high = y.at((mean + std).min(y.max));
            canvas.line("rule", middle, low, middle, high);
        }
    } else {
        canvas.text("dim", "middle", x + bar / 2.0, y.from - 4.0, "×");
    }
    if let Some(paper) = cell.paper {
        let _ = writeln!(
            canvas.body,
            r#"<path class="mark" d="M{} {}l4 4l-4 4l-4 -4Z"><title>paper: {}</title></path>"#,
            px(middle),
            px(y.at(paper) - 4.0),
            fixed(paper, TABLE)
        );
    }
}
