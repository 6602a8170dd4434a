use super::canvas::{Canvas, Scale, labelled};
use super::{Plot, slug};
use crate::round::significant;
use crate::text::csv_text;
use crate::{GroupKind, GroupSpec, ReportError, ScoredCell};
use segad_metrics::{Scores, quantile};

/// Number of bins between the overflow bins.
pub const HISTOGRAM_BINS: usize = 50;

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
        let empty = |_| ReportError::Empty {
            plot: title.to_owned(),
            what: "score",
        };
        let (mut low, mut high) = (
            quantile(&all, 0.005).map_err(empty)?,
            quantile(&all, 0.995).map_err(empty)?,
        );
        if high - low <= f64::EPSILON * low.abs().max(high.abs()) {
            // All the same: one value needs a width to be drawn.
            let half = 0.5 * low.abs().max(1.0);
            (low, high) = (low - half, high + half);
        }
        let bins = HISTOGRAM_BINS;
        let mut edges: Vec<f64> = (0..=bins)
            .map(|i| low + (high - low) * i as f64 / bins as f64)
            .collect();
        edges[bins] = high;
        let place = |score: f64| {
            if score < low {
                0
            } else if score > high {
                bins + 1
            } else {
                edges.partition_point(|e| *e <= score).min(bins)
            }
        };
        let mut series = Vec::new();
        for group in groups {
            let mut counts = vec![0u64; bins + 2];
            for s in cell.scores.iter().filter(|s| s.group == group.name) {
                counts[place(f64::from(s.score))] += 1;
            }
            if counts.iter().any(|&c| c > 0) {
                series.push((group.clone(), counts));
            }
        }
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
        let edge = |i: Option<usize>| {
            i.and_then(|i| self.edges.get(i))
                .map(ToString::to_string)
                .unwrap_or_default()
        };
        let records = self.series.iter().flat_map(|(group, counts)| {
            counts.iter().enumerate().map(move |(i, count)| {
                let kind = match group.kind {
                    GroupKind::Good => "good",
                    GroupKind::Seen => "seen",
                    GroupKind::Unseen => "unseen",
                    GroupKind::Aside => "aside",
                };
                [
                    group.name.clone(),
                    kind.to_owned(),
                    edge(i.checked_sub(1)),
                    edge(Some(i)),
                    count.to_string(),
                ]
            })
        });
        csv_text(&["group", "kind", "low", "high", "count"], records)
    }

    /// Draws the counts; with `log`, on a logarithmic axis.
    ///
    /// # Errors
    /// As [`Histogram::csv`].
    pub fn plot(&self, log: bool) -> Result<Plot, ReportError> {
        let (width, height) = (640.0, 340.0);
        let mut c = Canvas::default();
        c.title(12.0, &self.title);
        let colours = colours(&self.series);
        let entries: Vec<(String, &str)> = self
            .series
            .iter()
            .zip(&colours)
            .map(|((g, counts), &colour)| {
                (
                    format!("{} ({})", g.title, counts.iter().sum::<u64>()),
                    colour,
                )
            })
            .collect();
        let top = c.legend(&entries, 56.0, width - 12.0, 38.0) + 20.0;
        let bottom = height - 46.0;
        let slot = (width - 12.0 - 56.0) / (HISTOGRAM_BINS + 2) as f64;
        let most = self
            .series
            .iter()
            .flat_map(|(_, counts)| counts)
            .max()
            .copied()
            .unwrap_or(1)
            .max(1) as f64;
        let height_of = |count: f64| if log { count.max(0.5).log10() } else { count };
        let y = Scale {
            min: height_of(0.0),
            max: height_of(most) * 1.04 + if log { 0.1 } else { 0.0 },
            from: bottom,
            to: top,
        };
        let y_ticks = if log {
            (0..=9)
                .map(|p| 10f64.powi(p))
                .filter(|v| *v <= most)
                .map(|v| (v.log10(), format!("{v:.0}")))
                .collect()
        } else {
            labelled(
                y.ticks(5)
                    .into_iter()
                    .filter(|t| t.fract() == 0.0)
                    .collect(),
            )
        };
        c.y_axis(&y, &y_ticks, 56.0, width - 12.0, "images");
        let x = Scale {
            min: self.edges[0],
            max: self.edges[HISTOGRAM_BINS],
            from: 56.0 + slot,
            to: width - 12.0 - slot,
        };
        for ((_, counts), colour) in self.series.iter().zip(&colours) {
            let mut points = vec![(56.0, bottom)];
            for (i, &count) in counts.iter().enumerate() {
                let at = y.at(height_of(count as f64));
                points.push((56.0 + slot * i as f64, at));
                points.push((56.0 + slot * (i + 1) as f64, at));
            }
            points.push((width - 12.0, bottom));
            let attributes = format!(
                r#"fill="{colour}" fill-opacity="0.3" stroke="{colour}" stroke-width="1.5""#
            );
            c.path(&attributes, &points, true);
        }
        c.line("axis", 56.0, bottom, width - 12.0, bottom);
        c.x_axis(&x, &labelled(x.ticks(7)), bottom, "score");
        for (at, sign, side) in [
            (56.0 + slot / 2.0, "<", 0),
            (width - 12.0 - slot / 2.0, ">", HISTOGRAM_BINS + 1),
        ] {
            if self.series.iter().any(|(_, counts)| counts[side] > 0) {
                c.text("dim", "middle", at, bottom + 17.0, sign);
            }
        }
        if let Some(threshold) = self.threshold {
            let at = x.at(threshold.clamp(x.min, x.max));
            c.dashed("rule", at, top - 12.0, at, bottom);
            let (anchor, shift) = if at > width * 0.7 {
                ("end", -5.0)
            } else {
                ("start", 5.0)
            };
            c.text(
                "dim",
                anchor,
                at + shift,
                top - 4.0,
                &format!("95 % of bad ≥ {}", significant(threshold)),
            );
        }
        Ok(Plot {
            name: format!(
                "histogram-{}{}",
                slug(&self.title),
                if log { "-log" } else { "" }
            ),
            title: self.title.clone(),
            csv: self.csv()?,
            width: 640,
            height: 340,
            body: c.body,
        })
    }
}

/// Green for good, orange for seen, red for unseen, grey for what is set aside; further groups of a
/// kind get another shade.
fn colours(series: &[(GroupSpec, Vec<u64>)]) -> Vec<&'static str> {
    let mut used = [0; 4];
    series
        .iter()
        .map(|(group, _)| {
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
