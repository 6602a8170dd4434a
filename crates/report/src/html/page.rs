use super::gallery::{WrongImage, gallery};
use super::sections::{FeatureDrift, Importance, drift, importance, provenance};
use super::{escape, page_head, tables};
use crate::plot::{Histogram, Plot, class_bars, plot_css, roc_curves, roc_plot, slug};
use crate::{Experiment, Measure, Provenance, ReportError, Results, ScoreTable, Tables, layout};
use std::fmt::Write;

const HISTOGRAM_TEXT: &str = "\
Images per score and group, in 50 bins from the 0.5 % to the 99.5 % quantile of all scores; scores beyond them are \
counted at the ends. 95 % of the bad images are to the right of the dashed line; the share of the good images there is \
FPR@95TPR.";

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
    /// The images with the largest errors, in order.
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
    /// A report with nothing but the tables.
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
    let several = experiment.classes.len() > 1;
    let mut roc = Vec::new();
    let mut histograms = Vec::new();
    for (index, class) in experiment.classes.iter().enumerate() {
        let suffix = if several {
            format!(": {class}")
        } else {
            String::new()
        };
        let curves = roc_curves(experiment, scores, class);
        if !curves.is_empty() {
            roc.push(roc_plot(&format!("ROC{suffix}"), &curves)?);
        }
        histograms.push(Figure {
            title: format!("Scores by group{suffix}"),
            text: HISTOGRAM_TEXT.to_owned(),
            plots: class_histograms(experiment, scores, index)?,
        });
    }
    let mut bars = Vec::new();
    if several && let Some(&metric) = experiment.metrics.first() {
        // Every cell may have failed; then there is nothing to compare.
        match class_bars(results, &Measure::overall(metric)) {
            Ok(plot) => bars.push(plot),
            Err(ReportError::Empty { .. }) => {}
            Err(e) => return Err(e),
        }
    }
    let mut figures = vec![
        Figure {
            title: "ROC curves".to_owned(),
            text: "Averaged over the seeds; the mean AUROC in percent is in brackets.".to_owned(),
            plots: roc,
        },
        Figure {
            title: "Comparison of the classes".to_owned(),
            text: "Means over the seeds ± one standard deviation.".to_owned(),
            plots: bars,
        },
    ];
    figures.extend(histograms);
    figures.retain(|f| !f.plots.is_empty());
    Ok(figures)
}

/// One histogram per row that has scores in this class.
fn class_histograms(
    experiment: &Experiment,
    scores: &ScoreTable,
    class: usize,
) -> Result<Vec<Plot>, ReportError> {
    let place = if experiment.classes.len() > 1 {
        format!(", {}", experiment.classes[class])
    } else {
        String::new()
    };
    let mut plots = Vec::new();
    for (row, spec) in experiment.rows.iter().enumerate() {
        if let Some(cell) = scores.cell(row, class, None) {
            let title = format!("{}{place}, seed {}", spec.name, cell.seed);
            plots.push(Histogram::new(&title, &cell, scores.groups())?.plot(false)?);
        }
    }
    Ok(plots)
}

/// `report.html`.
///
/// # Errors
/// As [`layout`].
pub fn report_html(report: &Report<'_>) -> Result<String, ReportError> {
    let e = &report.results.experiment;
    let laid_out = layout(report.results)?;
    let mut sections = vec![("Results", results_section(report, &laid_out))];
    if !report.notes.is_empty() {
        let mut text = String::new();
        for note in &report.notes {
            let _ = writeln!(text, "<h3>{}</h3>", escape(&note.title));
            paragraphs(&mut text, &note.paragraphs);
        }
        sections.push(("Findings", text));
    }
    if !report.figures.is_empty() {
        sections.push(("Plots", figures(&report.figures)));
    }
    if !report.wrong.is_empty() {
        sections.push(("Largest errors", gallery(&report.wrong)));
    }
    if !report.importance.is_empty() {
        sections.push(("Feature importance", importance(&report.importance)));
    }
    if !report.drift.is_empty() {
        sections.push(("Feature drift", drift(&report.drift)));
    }
    if let Some(p) = report.provenance {
        sections.push(("Provenance", provenance(p)));
    }
    let title = escape(&e.title);
    let paper = match &e.paper {
        Some(id) => format!(", compared with {}", escape(&paper_name(id))),
        None => String::new(),
    };
    let mut out = page_head(&title, plot_css());
    let _ = writeln!(
        out,
        "<header>\n<h1>{title}</h1>\n<p class=\"dim\">Experiment <code>{}</code>{paper}</p>",
        escape(&e.name)
    );
    paragraphs(&mut out, &report.summary);
    out.push_str("<nav>");
    // Only what this report has: a link to a section that is missing leads nowhere.
    for (title, _) in &sections {
        let _ = write!(out, "<a href=\"#{}\">{title}</a>", slug(title));
    }
    out.push_str("</nav>\n</header>\n<main>\n");
    for (title, text) in &sections {
        let _ = writeln!(
            out,
            "<section id=\"{}\">\n<h2>{title}</h2>\n{text}</section>",
            slug(title)
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

/// Figures with many plots are folded, except for the first three.
fn figures(figures: &[Figure]) -> String {
    let mut out = String::new();
    for (i, figure) in figures.iter().enumerate() {
        // A page with dozens of plots would bury what follows them.
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
    out
}
