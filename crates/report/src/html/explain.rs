use super::gallery::reasons_table;
use super::{base64, escape, page_head, push_cell, strongest};
use crate::round::{fixed, significant};
use segad_core::Reason;
use std::fmt::Write;

const PATCH_STYLE: &str = "\
.patch{display:flex;gap:.5rem;align-items:center;margin:.4rem 0}\
.patch img{width:96px;image-rendering:pixelated;border-radius:4px}";

/// Why a model gives one image its score.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The image's name.
    pub image: String,
    /// The model's name.
    pub model: String,
    /// Whether the image is called bad.
    pub bad: bool,
    /// Its score.
    pub score: f64,
    /// An image is called bad at or above it.
    pub threshold: f64,
    /// Calibrated probability of "bad".
    pub probability: f64,
    /// PNG files with what each shows.
    pub pictures: Vec<(String, Vec<u8>)>,
    /// What each segment adds to the score, the strongest first; an empty name is the whole image.
    pub segments: Vec<(String, f64)>,
    /// What the single statistics add, the strongest first.
    pub reasons: Vec<Reason>,
    /// Suspicious places and the good patches most like them.
    pub patches: Vec<SimilarPatch>,
    /// Plain paragraphs at the end, e.g. how well the model does on images that it has not seen.
    pub notes: Vec<String>,
}

/// A place of an image and the good patch most like it.
#[derive(Clone, Debug)]
pub struct SimilarPatch {
    /// Row and column of its middle in pixels.
    pub centre: [usize; 2],
    /// Distance of their features.
    pub distance: f64,
    /// The place (PNG).
    pub here: Vec<u8>,
    /// The good patch (PNG).
    pub nearest: Vec<u8>,
}

/// The explanation as one HTML file without scripts.
pub fn explanation_html(e: &Explanation) -> String {
    let verdict = if e.bad { "bad" } else { "good" };
    let mut out = page_head(&escape(&format!("{}: {verdict}", e.image)), PATCH_STYLE);
    let _ = write!(
        out,
        "<header>\n<h1>{}</h1>\n<p><b class=\"{}\">{verdict}</b> · probability of “bad” {} · score {} {} threshold {}\
         </p>\n<p class=\"dim\">Model <code>{}</code></p>\n</header>\n<main>\n",
        escape(&e.image),
        if e.bad { "no" } else { "yes" },
        fixed(e.probability, 3),
        significant(e.score),
        // As verdicts are given: a score at the threshold is bad.
        if e.score >= e.threshold {
            "≥"
        } else {
            "&lt;"
        },
        significant(e.threshold),
        escape(&e.model)
    );
    out.push_str("<section>\n<h2>Location</h2>\n<div class=\"cards\">\n");
    for (caption, png) in &e.pictures {
        let _ = writeln!(
            out,
            "<figure class=\"card\"><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>",
            escape(caption),
            base64(png)
        );
    }
    out.push_str("</div>\n</section>\n<section>\n<h2>Contribution of each segment</h2>\n");
    segments(&mut out, &e.segments);
    out.push_str("</section>\n<section>\n<h2>Contribution of each statistic</h2>\n");
    reasons_table(&mut out, &e.reasons);
    out.push_str("</section>\n");
    if !e.patches.is_empty() {
        patches(&mut out, &e.patches);
    }
    if !e.notes.is_empty() {
        out.push_str("<section>\n<h2>The model</h2>\n");
        for note in &e.notes {
            let _ = writeln!(out, "<p>{}</p>", escape(note));
        }
        out.push_str("</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Segments with bars.
fn segments(out: &mut String, segments: &[(String, f64)]) {
    let strongest = strongest(segments.iter().map(|s| s.1));
    out.push_str(
        "<table class=\"drivers\"><thead><tr><th>segment</th><th></th><th>contribution</th></tr></thead>\n<tbody>\n",
    );
    for (name, push) in segments {
        let name = if name.is_empty() { "whole image" } else { name };
        let push = push_cell(*push, strongest);
        let _ = writeln!(out, "<tr><td>{}</td><td></td>{push}</tr>", escape(name));
    }
    out.push_str("</tbody></table>\n");
}

/// Suspicious places, each next to the good patch most like it.
fn patches(out: &mut String, patches: &[SimilarPatch]) {
    out.push_str(
        "<section>\n<h2>The most similar good patches</h2>\n<p class=\"legend\">Left: a suspicious place in this image. \
         Right: the good patch nearest to it in the memory bank.</p>\n",
    );
    for p in patches {
        let _ = writeln!(
            out,
            "<div class=\"patch\"><img alt=\"suspicious place\" src=\"data:image/png;base64,{}\"><img alt=\"nearest good \
             patch\" src=\"data:image/png;base64,{}\"><small>row {}, column {}: distance {}</small></div>",
            base64(&p.here),
            base64(&p.nearest),
            p.centre[0],
            p.centre[1],
            significant(p.distance)
        );
    }
    out.push_str("</section>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_and_names_are_escaped() {
        let page = explanation_html(&Explanation {
            image: "<script>alert(1)</script>.png".to_owned(),
            model: "m&m".to_owned(),
            bad: true,
            score: 1.5,
            threshold: 1.0,
            probability: 0.75,
            pictures: vec![("map".to_owned(), vec![1, 2, 3])],
            segments: vec![("busbar".to_owned(), 0.5), (String::new(), -0.25)],
            reasons: vec![],
            patches: vec![SimilarPatch {
                centre: [3, 4],
                distance: 2.0,
                here: vec![1],
                nearest: vec![2],
            }],
            notes: vec!["a < b".to_owned()],
        });
        assert!(!page.contains("<script>") && page.contains("&lt;script&gt;"));
        assert!(
            page.contains("m&amp;m") && page.contains("a &lt; b") && page.contains("whole image")
        );
        assert!(page.contains("data:image/png;base64,AQID") && !page.contains("http"));
        assert!(page.contains("score 1.5") && page.contains("≥"));
    }
}
