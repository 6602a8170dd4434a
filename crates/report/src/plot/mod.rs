//! Plots as SVG, each with its numbers as CSV. Text, axes and background follow the reader's light
//! or dark mode.

mod bars;
mod canvas;
mod curves;
mod histogram;
mod png;
mod roc;

pub use bars::class_bars;
pub use curves::{LossCurve, loss_plot};
pub use histogram::{HISTOGRAM_BINS, Histogram};
pub use roc::{ROC_STEPS, RocCurve, roc_curves, roc_plot};

use crate::html::escape;
use canvas::PLOT_CSS;

/// A drawn plot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plot {
    /// Stem for file names: lower-case letters, digits and hyphens.
    pub name: String,
    /// What it shows.
    pub title: String,
    /// Its numbers, as CSV.
    pub csv: String,
    width: u32,
    height: u32,
    body: String,
}

impl Plot {
    /// The plot as a file of its own.
    pub fn svg(&self) -> String {
        let style = format!("<style>{PLOT_CSS}</style>\n");
        self.element(r#" xmlns="http://www.w3.org/2000/svg""#, &style)
    }

    /// The plot as an element of a page that has [`plot_css`].
    pub fn inline(&self) -> String {
        self.element("", "")
    }

    fn element(&self, namespace: &str, style: &str) -> String {
        let (w, h) = (self.width, self.height);
        format!(
            "<svg{namespace} class=\"plot\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" role=\"img\" \
             aria-label=\"{}\">\n{style}<rect class=\"bg\" width=\"{w}\" height=\"{h}\"/>\n{}</svg>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// The style that inline plots need.
pub fn plot_css() -> &'static str {
    PLOT_CSS
}

/// A stem for file names out of any text: runs of other characters become one hyphen.
pub fn slug(text: &str) -> String {
    let mut out = String::new();
    for c in text.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            out.push(c);
        // No hyphen at the start: a file name would look like an option.
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}
