//! The report as one HTML file: styles, plots and pictures are inside it, and it needs no script.

mod base64;
mod explain;
mod gallery;
mod page;
mod sections;
mod tables;

pub use explain::{Explanation, SimilarPatch, explanation_html};
pub use gallery::{Driver, WrongImage, WrongKind};
pub use page::{Figure, Note, Report, report_html, standard_figures};
pub use sections::{FeatureDrift, Importance};

/// Escapes text for HTML and SVG, within elements and within quoted attributes. Control characters,
/// which XML forbids, become `�`.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
