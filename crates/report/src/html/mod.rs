//! The report as one HTML file: styles, plots and pictures are inside it, and it needs no script.

mod explain;
mod gallery;
mod page;
mod sections;
mod tables;

use crate::round::{short, significant};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use explain::{Explanation, SimilarPatch, explanation_html};
pub use gallery::{WrongImage, WrongKind};
pub use page::{Figure, Note, Report, report_html, standard_figures};
pub use sections::{FeatureDrift, Importance};

const STYLE: &str = include_str!("style.css");

/// Bytes inside a `data:` address (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// A page up to and with the start of its body: the title is already escaped, `style` comes after
/// that of all pages.
fn page_head(title: &str, style: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}{style}\n</style>\n\
         </head>\n<body>\n"
    )
}

/// A cell with a bar as long as `push` is beside the strongest one, and the number.
fn push_cell(push: f64, strongest: f64) -> String {
    let share = if strongest > 0.0 {
        100.0 * push.abs() / strongest
    } else {
        0.0
    };
    format!(
        "<td class=\"push\"><i class=\"{}\" style=\"width:{}%\"></i>{}{}</td>",
        if push >= 0.0 { "up" } else { "down" },
        short(share, 0),
        if push > 0.0 { "+" } else { "" },
        // A typographic minus, as wide as the plus above and below it.
        significant(push).replace('-', "−")
    )
}

/// The largest magnitude of some contributions.
fn strongest(contributions: impl Iterator<Item = f64>) -> f64 {
    contributions.map(f64::abs).fold(0.0, f64::max)
}

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
            // Visible, so that two names that differ by one do not look the same.
            c if c.is_control() => out.push('\u{fffd}'),
            _ => out.push(c),
        }
    }
    out
}
