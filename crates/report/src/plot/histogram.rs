use super::canvas::{Canvas, LEFT, RIGHT, Scale, labelled};
use super::{Plot, slug};
use crate::round::significant;
use crate::text::csv_text;
use crate::{GroupKind, GroupSpec, ReportError, ScoredCell};
use segad_metrics::{Scores, quantile};

/// Number of bins between the overflow bins.
pub const HISTOGRAM_BINS: usize = 50;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 340;

/// Counts of scores by group over shared bins, as in the paper's Fig. 6.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// Ascending bin edges, one more than bins; from the 0.5 % to the 99.5 % quantile of all
    /// scores.
    pub edges: Vec<f64>,
    /// Groups with at least one image, and their counts: below the first edge, the bins (lower edge
    /// included, of the last one the upper as well), above the last edge.
    pub series: Vec<(GroupSpec, Vec<u64>)>,
    /// The score at or above which 95 % of the bad images lie: the 5 % quantile of their scores.
    /// `None` without bad or good images.
    pub threshold: Option<f64>,
    title: String,
}

impl Histogram {
    /// Counts one cell's scores.
    ///
    /// # Errors
    /// [`ReportError::Empty`] without any score.
    pub fn new(
        title: &str,
        cell: &ScoredCell<'_>,
        groups: &[GroupSpec],
    ) -> Result<Self, ReportError> {
        let all: Vec<f64> = cell.scores.iter().map(|s| f64::from(s.score)).collect();
        // A few extreme scores would squeeze all others into one bin.
        let ends = quantile(&all, 0.005).and_then(|low| Ok((low, quantile(&all, 0.995)?)));
        let (mut low, mut high) = ends.map_err(|_| ReportError::Empty {
            plot: title.to_owned(),
            what: "score",
        })?;
        if high - low <= f64::EPSILON * low.abs().max(high.abs()) {
            // All the same: one value needs a width to be drawn.
            let half = 0.5 * low.abs().max(1.0);
            low -= half;
            high += half;
        }
        let bins = HISTOGRAM_BINS;
        let mut edges: Vec<f64> = (0..=bins)
            .map(|i| low + (high - low) * i as f64 / bins as f64)
            .collect();
        // Not left to rounding: the largest score of the middle 99 % belongs to the last bin.
        edges[bins] = high;
        let mut series = Vec::new();
        for group in groups {
            let mut counts = vec![0u64; bins + 2];
            for s in cell.scores.iter().filter(|s| s.group == group.name) {
                counts[bin(&edges, f64::from(s.score))] += 1;
            }
            if counts.iter().any(|&c| c > 0) {
                series.push((group.clone(), counts));
            }
        }
        // Over the same images as FPR@95TPR, so that the line and the number agree.
        let (good, bad) = cell.headline();
        let threshold = Scores::split(&good, &bad).ok().map(|s| s.threshold95tpr());
        Ok(Self {
            edges,
            series,
            threshold,
            title: title.to_owned(),
        })
    }

    /// The counts: `group, kind, low, high, count`; the overflow bins have an empty edge.
    ///
    /// # Errors
    /// [`ReportError::Csv`].
    pub fn csv(&self) -> Result<String, ReportError> {
        let mut records = Vec::new();
        for (group, counts) in &self.series {
            let kind = match group.kind {
                GroupKind::Good => "good",
                GroupKind::Seen => "seen",
                GroupKind::Unseen => "unseen",
                GroupKind::Aside => "aside",
            };
            for (i, count) in counts.iter().enumerate() {
                let low = i.checked_sub(1).map(|below| self.edges[below].to_string());
                let high = self.edges.get(i).map(f64::to_string);
                records.push([
                    group.name.clone(),
                    kind.to_owned(),
                    low.unwrap_or_default(),
                    high.unwrap_or_default(),
                    count.to_string(),
                ]);
            }
        }
        csv_text(&["group", "kind", "low", "high", "count"], records)
    }

    /// Draws the counts; with `log`, on a logarithmic axis.
    ///
    /// # Errors
    /// As [`Histogram::csv`].
    pub fn plot(&self, log: bool) -> Result<Plot, ReportError> {
        let mut canvas = Canvas::default();
        canvas.title(12.0, &self.title);
        let colours = colours(&self.series);
        let entries: Vec<(String, &str)> = self
            .series
            .iter()
            .zip(&colours)
            .map(|((group, counts), &colour)| {
                let images = counts.iter().sum::<u64>();
                (format!("{} ({images})", group.title), colour)
            })
            .collect();
        let right = f64::from(WIDTH) - RIGHT;
        let bottom = f64::from(HEIGHT) - 46.0;
        let top = canvas.legend(&entries, LEFT, right, 38.0) + 20.0;
        let slot = (right - LEFT) / (HISTOGRAM_BINS + 2) as f64;
        let y = self.draw_count_axis(&mut canvas, log, [bottom, top]);
        for ((_, counts), colour) in self.series.iter().zip(&colours) {
            // Steps instead of bars: several groups stay legible over one another.
            let mut points = vec![(LEFT, bottom)];
            for (i, &count) in counts.iter().enumerate() {
                let at = y.at(axis_value(count as f64, log));
                points.push((LEFT + slot * i as f64, at));
                points.push((LEFT + slot * (i + 1) as f64, at));
            }
            points.push((right, bottom));
            let attributes = format!(
                r#"fill="{colour}" fill-opacity="0.3" stroke="{colour}" stroke-width="1.5""#
            );
            canvas.path(&attributes, &points, true);
        }
        canvas.line("axis", LEFT, bottom, right, bottom);
        // One slot at either end is for what lies beyond the edges.
        let x = Scale {
            min: self.edges[0],
            max: self.edges[HISTOGRAM_BINS],
            from: LEFT + slot,
            to: right - slot,
        };
        canvas.x_axis(&x, &labelled(x.ticks(7)), bottom, "score");
        for (at, sign, side) in [
            (LEFT + slot / 2.0, "<", 0),
            (right - slot / 2.0, ">", HISTOGRAM_BINS + 1),
        ] {
            if self.series.iter().any(|(_, counts)| counts[side] > 0) {
                canvas.text("dim", "middle", at, bottom + 17.0, sign);
            }
        }
        self.draw_threshold(&mut canvas, &x, [bottom, top]);
        let suffix = if log { "-log" } else { "" };
        Ok(Plot {
            name: format!("histogram-{}{suffix}", slug(&self.title)),
            title: self.title.clone(),
            csv: self.csv()?,
            width: WIDTH,
            height: HEIGHT,
            body: canvas.body,
        })
    }

    /// The axis of counts, whole numbers or powers of ten; its scale.
    fn draw_count_axis(&self, canvas: &mut Canvas, log: bool, [bottom, top]: [f64; 2]) -> Scale {
        let counts = self.series.iter().flat_map(|(_, counts)| counts);
        let most = counts.max().copied().unwrap_or(1).max(1) as f64;
        let y = Scale {
            min: axis_value(0.0, log),
            max: axis_value(most, log) * 1.04 + if log { 0.1 } else { 0.0 },
            from: bottom,
            to: top,
        };
        let ticks = if log {
            (0..=9)
                .map(|p| 10f64.powi(p))
                .filter(|v| *v <= most)
                .map(|v| (v.log10(), format!("{v:.0}")))
                .collect()
        } else {
            let mut ticks = y.ticks(5);
            // Images are counted; half of one is no tick.
            ticks.retain(|t| t.fract() == 0.0);
            labelled(ticks)
        };
        canvas.y_axis(&y, &ticks, LEFT, f64::from(WIDTH) - RIGHT, "images");
        y
    }

    /// The line right of which 95 % of the bad images lie, with its score.
    fn draw_threshold(&self, canvas: &mut Canvas, x: &Scale, [bottom, top]: [f64; 2]) {
        let Some(threshold) = self.threshold else {
            return;
        };
        let at = x.at(threshold.clamp(x.min, x.max));
        canvas.dashed("rule", at, top - 12.0, at, bottom);
        // Near the right edge the text goes to the left of the line.
        let (anchor, shift) = if at > f64::from(WIDTH) * 0.7 {
            ("end", -5.0)
        } else {
            ("start", 5.0)
        };
        let text = format!("95 % of bad ≥ {}", significant(threshold));
        canvas.text("dim", anchor, at + shift, top - 4.0, &text);
    }
}

/// A count on its axis; on a logarithmic one, 0 is below 1 by as much as ½ is.
fn axis_value(count: f64, log: bool) -> f64 {
    // Below one, so that an empty bin touches the axis and a single image does not.
    if log { count.max(0.5).log10() } else { count }
}

/// Where a score counts: 0 is below the first edge, the last one above the last edge.
fn bin(edges: &[f64], score: f64) -> usize {
    let bins = edges.len() - 1;
    if score < edges[0] {
        0
    } else if score > edges[bins] {
        bins + 1
    } else {
        edges.partition_point(|e| *e <= score).min(bins)
    }
}

/// Green for good, orange for seen, red for unseen, grey for what is set aside; further groups of a
/// kind get another shade.
fn colours(series: &[(GroupSpec, Vec<u64>)]) -> Vec<&'static str> {
    let mut used = [0; 4];
    series
        .iter()
        .map(|(group, _)| {
            // Shades of one hue a kind: good is green wherever it stands.
            let (kind, shades) = match group.kind {
                GroupKind::Good => (0, ["#2da44e", "#1b7c83", "#6fbf73"]),
                GroupKind::Seen => (1, ["#f0883e", "#c9a227", "#b35900"]),
                GroupKind::Unseen => (2, ["#d1242f", "#a371f7", "#bf3989"]),
                GroupKind::Aside => (3, ["#8c959f", "#57606a", "#afb8c1"]),
            };
            used[kind] += 1;
            shades[(used[kind] - 1) % shades.len()]
        })
        .collect()
}
