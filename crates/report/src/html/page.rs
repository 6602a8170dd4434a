use super::gallery::{WrongImage, gallery};
use super::sections::{FeatureDrift, Importance, drift, importance, provenance};
use super::{escape, tables};
use crate::plot::{Histogram, Plot, class_bars, plot_css, roc_curves, roc_plot};
use crate::{Experiment, Measure, Provenance, ReportError, Results, ScoreTable, Tables, layout};
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// What the report shows; only the results are required, and empty parts are left out.
#[derive(Clone, Debug)]
pub struct Report<'a> {
    /// The tables.
    pub results: &'a Results,
    /// Where they come from.
    pub provenance: Option<&'a Provenance>,
    /// Paragraphs above the tables.
    pub summary: Vec<String>,
    /// Findings below the tables, e.g. why SegAD does or does not beat its detector.
    pub notes: Vec<Note>,
    /// Plots, in order.
    pub figures: Vec<Figure>,
    /// The most wrong images, in order.
    pub wrong: Vec<WrongImage>,
    /// Gain per feature.
    pub importance: Vec<Importance>,
    /// Drift per feature.
    pub drift: Vec<FeatureDrift>,
}

/// Paragraphs under a heading. Plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// The heading.
    pub title: String,
    /// The paragraphs.
    pub paragraphs: Vec<String>,
}

/// Plots under a heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// The heading.
    pub title: String,
    /// How to read them. Plain text.
    pub text: String,
    /// The plots.
    pub plots: Vec<Plot>,
}

impl<'a> Report<'a> {
    /// A report of the tables alone.
    pub fn new(results: &'a Results) -> Self {
        Self {
            results,
            provenance: None,
            summary: Vec::new(),
            notes: Vec::new(),
            figures: Vec::new(),
            wrong: Vec::new(),
            importance: Vec::new(),
            drift: Vec::new(),
        }
    }
}

/// The plots that every experiment with scores can have: the ROC curves of each class (means over
/// seeds); bars of the first metric where there is more than one class; for each class the
/// histograms of all rows (of the first seed that has scores).
///
/// # Errors
/// [`ReportError::Csv`].
pub fn standard_figures(
    experiment: &Experiment,
    results: &Results,
    scores: &ScoreTable,
) -> Result<Vec<Figure>, ReportError> {
    let (mut roc, mut bars, mut histograms) = (Vec::new(), Vec::new(), Vec::new());
    let several = experiment.classes.len() > 1;
    for (index, class) in experiment.classes.iter().enumerate() {
        let of = |before: &str| {
            if several {
                format!("{before}{class}")
            } else {
                String::new()
            }
        };
        let curves = roc_curves(experiment, scores, class);
        if !curves.is_empty() {
            roc.push(roc_plot(&format!("ROC{}", of(": ")), &curves)?);
        }
        let mut plots = Vec::new();
        for (row, spec) in experiment.rows.iter().enumerate() {
            if let Some(cell) = scores.cell(row, index, None) {
                let title = format!("{}{}, seed {}", spec.name, of(", "), cell.seed);
                plots.push(Histogram::new(&title, &cell, scores.groups())?.plot(false)?);
            }
        }
        if !plots.is_empty() {
            let text = "Images by score and group, in 50 bins from the 0.5 % to the 99.5 % quantile of all scores; what \
                        lies beyond is counted at the ends. Right of the dashed line lie 95 % of the bad images; the \
                        share of the good images there is FPR@95TPR.";
            histograms.push(Figure {
                title: format!("Scores by group{}", of(": ")),
                text: text.to_owned(),
                plots,
            });
        }
    }
    if several && let Some(&metric) = experiment.metrics.first() {
        match class_bars(results, &Measure::overall(metric)) {
            Ok(plot) => bars.push(plot),
            Err(ReportError::Empty { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    let figure = |title: &str, text: &str, plots| Figure {
        title: title.to_owned(),
        text: text.to_owned(),
        plots,
    };
    let mut figures = vec![
        figure(
            "ROC curves",
            "Means over the seeds, with the mean AUROC in percent.",
            roc,
        ),
        figure(
            "Classes side by side",
            "Means over the seeds ± one standard deviation.",
            bars,
        ),
    ];
    figures.retain(|f| !f.plots.is_empty());
    figures.extend(histograms);
    Ok(figures)
}

/// `report.html`.
///
/// # Errors
/// As [`layout`].
pub fn report_html(report: &Report<'_>) -> Result<String, ReportError> {
    let e = &report.results.experiment;
    let laid_out = layout(report.results)?;
    let mut sections: Vec<(&str, String)> = Vec::new();
    sections.push(("Results", results_section(report, &laid_out)));
    let mut add = |title: &'static str, write: &dyn Fn(&mut String)| {
        let mut text = String::new();
        write(&mut text);
        sections.push((title, text));
    };
    if !report.notes.is_empty() {
        add("Findings", &|out| {
            for note in &report.notes {
                let _ = writeln!(out, "<h3>{}</h3>", escape(&note.title));
                paragraphs(out, &note.paragraphs);
            }
        });
    }
    if !report.figures.is_empty() {
        add("Plots", &|out| figures(out, &report.figures));
    }
    if !report.wrong.is_empty() {
        add("Most wrong images", &|out| gallery(out, &report.wrong));
    }
    if !report.importance.is_empty() {
        add("What the forests used", &|out| {
            importance(out, &report.importance)
        });
    }
    if !report.drift.is_empty() {
        add("Feature drift", &|out| drift(out, &report.drift));
    }
    if let Some(p) = report.provenance {
        add("Provenance", &|out| provenance(out, p));
    }
    let title = escape(&e.title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}{}\n</style>\n</head>\n\
         <body>\n<header>\n<h1>{title}</h1>\n<p class=\"dim\">Experiment <code>{}</code>{}</p>\n",
        plot_css(),
        escape(&e.name),
        e.paper
            .as_ref()
            .map(|p| format!(", compared with {}", escape(&paper_name(p))))
            .unwrap_or_default()
    );
    paragraphs(&mut out, &report.summary);
    out.push_str("<nav>");
    for (title, _) in &sections {
        let _ = write!(out, "<a href=\"#{}\">{title}</a>", crate::plot::slug(title));
    }
    out.push_str("</nav>\n</header>\n<main>\n");
    for (title, text) in &sections {
        let _ = writeln!(
            out,
            "<section id=\"{}\">\n<h2>{title}</h2>\n{text}</section>",
            crate::plot::slug(title)
        );
    }
    out.push_str("</main>\n</body>\n</html>\n");
    Ok(out)
}

fn paper_name(id: &str) -> String {
    match id {
        "text" => "the paper's text".to_owned(),
        "readme" => "the README of the authors' repository".to_owned(),
        id => format!("the paper's Table {id}"),
    }
}

fn paragraphs(out: &mut String, list: &[String]) {
    for p in list {
        let _ = writeln!(out, "<p>{}</p>", escape(p));
    }
}

fn results_section(report: &Report<'_>, laid_out: &Tables) -> String {
    let mut out = String::new();
    if let Some(verdicts) = Tables::verdicts(report.results) {
        let _ = writeln!(out, "<p><b>{}</b></p>", escape(&verdicts));
    }
    for table in &laid_out.tables {
        tables::table(&mut out, table);
    }
    let _ = writeln!(
        out,
        "<p class=\"legend\">{}</p>",
        escape(&laid_out.legend.join(" "))
    );
    if !laid_out.notes.is_empty() {
        out.push_str("<ol class=\"legend\">\n");
        for note in &laid_out.notes {
            let _ = writeln!(out, "<li>{}</li>", escape(note));
        }
        out.push_str("</ol>\n");
    }
    if !laid_out.failures.is_empty() {
        out.push_str("<p class=\"failed\">Without a result:</p>\n<ul>\n");
        for f in &laid_out.failures {
            let _ = writeln!(out, "<li>{}</li>", escape(f));
        }
        out.push_str("</ul>\n");
    }
    out
}

/// Figures with many plots are folded, but for the first three.
fn figures(out: &mut String, figures: &[Figure]) {
    for (i, figure) in figures.iter().enumerate() {
        let open = if i < 3 || figure.plots.len() <= 2 {
            " open"
        } else {
            ""
        };
        let _ = writeln!(
            out,
            "<details{open}><summary><h3>{}</h3></summary>",
            escape(&figure.title)
        );
        if !figure.text.is_empty() {
            let _ = writeln!(out, "<p class=\"legend\">{}</p>", escape(&figure.text));
        }
        out.push_str("<div class=\"plots\">\n");
        for plot in &figure.plots {
            let _ = writeln!(
                out,
                "<figure>\n{}<details class=\"numbers\"><summary>numbers</summary><pre>{}</pre></details>\n</figure>",
                plot.inline(),
                escape(&plot.csv)
            );
        }
        out.push_str("</div>\n</details>\n");
    }
}
