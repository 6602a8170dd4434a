use super::{base64, escape, push_cell, strongest};
use crate::round::significant;
use segad_core::{ImageId, Label, Reason};
use std::fmt::Write;

/// An image that a method got wrong, with what led it there.
#[derive(Clone, Debug, PartialEq)]
pub struct WrongImage {
    /// The image.
    pub id: ImageId,
    /// Row of the experiment.
    pub row: String,
    /// Class of the experiment.
    pub class: String,
    /// Seed of the run.
    pub seed: u64,
    /// What the image is.
    pub label: Label,
    /// Its group.
    pub group: String,
    /// Its score.
    pub score: f32,
    /// The threshold that it is on the wrong side of; an image is called bad if its score is at or
    /// above it.
    pub threshold: f32,
    /// Captions and PNG files to show side by side, e.g. the photograph with segment
    /// outlines and the heat map.
    pub pictures: Vec<(String, Vec<u8>)>,
    /// The segment statistics that drove its score, the strongest first.
    pub reasons: Vec<Reason>,
}

/// How an image is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongKind {
    /// A bad image below the threshold.
    Missed,
    /// A good image at or above it.
    FalseAlarm,
    /// On the right side of the threshold, but shown all the same.
    None,
}

impl WrongImage {
    /// How it is wrong.
    pub fn kind(&self) -> WrongKind {
        match (self.label, self.score >= self.threshold) {
            (Label::Bad, false) => WrongKind::Missed,
            (Label::Good, true) => WrongKind::FalseAlarm,
            _ => WrongKind::None,
        }
    }
}

/// Writes one card per image.
pub(crate) fn gallery(images: &[WrongImage]) -> String {
    let mut out = "<div class=\"cards\">\n".to_owned();
    for image in images {
        let (kind, class) = match image.kind() {
            WrongKind::Missed => ("missed", "no"),
            WrongKind::FalseAlarm => ("false alarm", "odd"),
            WrongKind::None => ("correct", "yes"),
        };
        // Pictures are inside the page, so that it can be sent as one file.
        out.push_str("<figure class=\"card\">\n<div class=\"pictures\">");
        for (caption, png) in &image.pictures {
            let alt = escape(&format!("{}: {caption}", image.id));
            let _ = write!(
                out,
                "<div><img loading=\"lazy\" alt=\"{alt}\" src=\"data:image/png;base64,{}\"><small>{}</small></div>",
                base64(png),
                escape(caption)
            );
        }
        let _ = writeln!(
            out,
            "</div>\n<figcaption><b>{}</b> <span class=\"{class}\">{kind}</span><br>{} · {} · score {} {} {}<br>\
             <small>{}, {}, seed {}</small>",
            escape(image.id.as_str()),
            image.label,
            escape(&image.group),
            significant(f64::from(image.score)),
            if image.score >= image.threshold {
                "≥"
            } else {
                "&lt;"
            },
            significant(f64::from(image.threshold)),
            escape(&image.row),
            escape(&image.class),
            image.seed
        );
        if !image.reasons.is_empty() {
            reasons_table(&mut out, &image.reasons);
        }
        out.push_str("</figcaption>\n</figure>\n");
    }
    out.push_str("</div>\n");
    out
}

/// Statistics with bars.
pub(super) fn reasons_table(out: &mut String, reasons: &[Reason]) {
    out.push_str(
        "<table class=\"drivers\"><thead><tr><th>segment</th><th>statistic</th><th>value</th><th>contribution</th></tr>\
         </thead>\n<tbody>\n",
    );
    let strongest = strongest(reasons.iter().map(|r| r.contribution));
    for r in reasons {
        let segment = if r.segment.is_empty() {
            "image"
        } else {
            &r.segment
        };
        let usual = match r.usual {
            Some([low, high]) => format!(" (usually {low:.3} to {high:.3})"),
            None => String::new(),
        };
        let value = match r.value {
            Some(value) => significant(f64::from(value)),
            None => "missing".to_owned(),
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td>{} {}{usual}</td><td>{value}</td>{}</tr>",
            escape(segment),
            escape(&r.detector),
            escape(&r.statistic),
            push_cell(r.contribution, strongest)
        );
    }
    out.push_str("</tbody></table>\n");
}
