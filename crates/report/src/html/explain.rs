use super::base64::base64;
use super::escape;
use super::gallery::{Driver, drivers};
use crate::round::significant;
use std::fmt::Write;

const STYLE: &str = include_str!("style.css");

/// Why a model says what it says about one image.
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
    pub drivers: Vec<Driver>,
    /// Suspicious places beside the good patches most like them: where, how far apart, both as PNG.
    pub patches: Vec<SimilarPatch>,
    /// Plain paragraphs at the end, e.g. how the model did on images that it had not seen.
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
    let title = escape(&format!(
        "{}: {}",
        e.image,
        if e.bad { "bad" } else { "good" }
    ));
    let (verdict, class) = if e.bad {
        ("bad", "no")
    } else {
        ("good", "yes")
    };
    let sign = if e.score >= e.threshold {
        "≥"
    } else {
        "&lt;"
    };
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}\
         .patch{{display:flex;gap:.5rem;align-items:center;margin:.4rem 0}}\
         .patch img{{width:96px;image-rendering:pixelated;border-radius:4px}}\n</style>\n</head>\n\
         <body>\n<header>\n<h1>{}</h1>\n<p><b class=\"{class}\">{verdict}</b> · probability of “bad” {} · score {} {sign} \
         threshold {}</p>\n<p class=\"dim\">Model <code>{}</code></p>\n</header>\n<main>\n",
        escape(&e.image),
        crate::short(e.probability, 3),
        significant(e.score),
        significant(e.threshold),
        escape(&e.model)
    );
    out.push_str("<section>\n<h2>Where</h2>\n<div class=\"cards\">\n");
    for (caption, png) in &e.pictures {
        let _ = writeln!(
            out,
            "<figure class=\"card\"><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>",
            escape(caption),
            base64(png)
        );
    }
    out.push_str("</div>\n</section>\n<section>\n<h2>Which parts</h2>\n");
    table(&mut out, &e.segments);
    out.push_str("</section>\n<section>\n<h2>Which statistics</h2>\n");
    drivers(&mut out, &e.drivers);
    out.push_str("</section>\n");
    if !e.patches.is_empty() {
        out.push_str(
            "<section>\n<h2>The most similar good patches</h2>\n<p class=\"legend\">Left the place in this image, right the \
             good patch of the memory bank nearest to it.</p>\n",
        );
        for p in &e.patches {
            let _ = writeln!(
                out,
                "<div class=\"patch\"><img alt=\"here\" src=\"data:image/png;base64,{}\"><img alt=\"nearest good patch\" \
                 src=\"data:image/png;base64,{}\"><small>row {}, column {}: distance {}</small></div>",
                base64(&p.here),
                base64(&p.nearest),
                p.centre[0],
                p.centre[1],
                significant(p.distance)
            );
        }
        out.push_str("</section>\n");
    }
    if !e.notes.is_empty() {
        out.push_str("<section>\n<h2>The model</h2>\n");
        e.notes.iter().for_each(|n| {
            let _ = writeln!(out, "<p>{}</p>", escape(n));
        });
        out.push_str("</section>\n");
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// Segments with bars.
fn table(out: &mut String, segments: &[(String, f64)]) {
    let most = segments.iter().map(|s| s.1.abs()).fold(0.0, f64::max);
    out.push_str("<table class=\"drivers\"><thead><tr><th>segment</th><th></th><th>pushes</th></tr></thead>\n<tbody>\n");
    for (name, push) in segments {
        let share = if most > 0.0 {
            100.0 * push.abs() / most
        } else {
            0.0
        };
        let _ = writeln!(
            out,
            "<tr><td>{}</td><td></td><td class=\"push\"><i class=\"{}\" style=\"width:{}%\"></i>{}{}</td></tr>",
            escape(if name.is_empty() { "whole image" } else { name }),
            if *push >= 0.0 { "up" } else { "down" },
            crate::short(share, 0),
            if *push > 0.0 { "+" } else { "" },
            significant(*push).replace('-', "−")
        );
    }
    out.push_str("</tbody></table>\n");
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
            drivers: vec![],
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
