//! Scored images: lists, pictures, and what a threshold does to them.

use crate::content::{Gallery, Item, Run};
use crate::reply::{Fault, json, typed};
use crate::routes::App;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use segad_core::{BoxError, Label};
use segad_metrics::{MetricError, Rate, Scores};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Level of all intervals.
const LEVEL: f64 = 0.95;
/// The longest side of a thumbnail that may be asked for.
const LARGEST_THUMBNAIL: usize = 1024;

type Number<T> = Result<Path<T>, PathRejection>;

fn number<T>(path: Number<T>) -> Result<T, Fault> {
    path.map(|Path(n)| n).map_err(|_| Fault::absent("that"))
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Fault> {
    query
        .map(|Query(q)| q)
        .map_err(|e| Fault::new(StatusCode::BAD_REQUEST, "query", e.body_text()))
}

async fn find(app: &App, number: usize) -> Result<(Arc<dyn Gallery>, Arc<Run>), Fault> {
    let gallery = app
        .content
        .gallery
        .clone()
        .ok_or_else(|| Fault::absent("a gallery"))?;
    if number >= gallery.names().len() {
        return Err(Fault::absent("that run"));
    }
    let from = gallery.clone();
    let run = app.pictures.run(move || from.run(number)).await?;
    let run = run.map_err(|e| {
        tracing::error!("run {number}: {e}");
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "run", e.to_string())
    })?;
    Ok((gallery, run))
}

/// `GET /v1/runs/{run}`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    path: Number<usize>,
) -> Result<Response, Fault> {
    let number = number(path)?;
    let (gallery, run) = find(&app, number).await?;
    // Scores as f64 print so that a page compares the very values that the server does.
    let score: Vec<f64> = run.items.iter().map(|i| f64::from(i.score)).collect();
    let text = |f: fn(&Item) -> &str| -> Vec<&str> { run.items.iter().map(f).collect() };
    let groups = groups(&run.items);
    json(&json!({
        "name": gallery.names().get(number),
        "notes": run.notes,
        "layers": run.layers,
        "threshold": run.threshold,
        "groups": groups.iter().map(|(l, g)| json!({ "group": g, "label": l })).collect::<Vec<_>>(),
        "items": {
            "id": text(|i| &i.id),
            "label": text(|i| i.label.as_str()),
            "group": text(|i| &i.group),
            "score": score,
        },
    }))
}

/// All groups, in the order in which they are numbered: good ones first, by name.
fn groups(items: &[Item]) -> Vec<(Label, String)> {
    let all: BTreeSet<(Label, &str)> = items.iter().map(|i| (i.label, i.group.as_str())).collect();
    all.into_iter()
        .map(|(label, group)| (label, group.to_owned()))
        .collect()
}

fn scores(items: &[Item]) -> Option<Scores> {
    let values: Vec<f32> = items.iter().map(|i| i.score).collect();
    let labels: Vec<Label> = items.iter().map(|i| i.label).collect();
    Scores::new(&values, &labels).ok() // of one class there is no curve
}

/// The area under the curve with its interval, and thresholds that keep a promise on these very
/// scores.
fn curve(items: &[Item]) -> Result<(Value, Vec<Suggested>), MetricError> {
    let Some(scores) = scores(items) else {
        return Ok((Value::Null, Vec::new()));
    };
    let interval = scores.auroc_delong().interval(LEVEL)?;
    let auroc = json!({ "value": scores.auroc(), "low": interval.low, "high": interval.high });
    let points = [
        (
            "false alarms ≤ 1 %",
            scores.threshold_for_false_alarms(0.01)?.threshold,
        ),
        (
            "false alarms ≤ 5 %",
            scores.threshold_for_false_alarms(0.05)?.threshold,
        ),
        ("misses ≤ 5 %", scores.threshold_for_misses(0.05)?.threshold),
    ];
    let finite = points.into_iter().filter(|(_, at)| at.is_finite());
    Ok((
        auroc,
        finite.map(|(name, at)| Suggested { name, at }).collect(),
    ))
}

#[derive(Serialize)]
struct Suggested {
    name: &'static str,
    at: f64,
}

/// So many of so many, with the exact interval at 95 %; without a value where there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Called {
    /// How many.
    pub hits: u64,
    /// Of how many.
    pub total: u64,
    /// The share.
    pub rate: Option<f64>,
    /// Lower end of the interval of Clopper and Pearson.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

impl Called {
    fn new(hits: u64, total: u64) -> Result<Self, MetricError> {
        if total == 0 {
            return Ok(Self {
                hits,
                total,
                rate: None,
                low: None,
                high: None,
            });
        }
        let rate = Rate { hits, total };
        let interval = rate.clopper_pearson(LEVEL)?;
        Ok(Self {
            hits,
            total,
            rate: Some(rate.value()),
            low: Some(interval.low),
            high: Some(interval.high),
        })
    }
}

/// What a threshold does to scored images. An image is called bad if its score ≥ the threshold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Counts {
    /// The threshold.
    pub at: f64,
    /// Good images called bad.
    pub false_alarms: Called,
    /// Bad images called bad.
    pub recall: Called,
    /// Images called bad that are.
    pub precision: Called,
    /// The same per group, in the order of names, good ones first.
    pub groups: Vec<GroupCounts>,
}

/// Images of a group that are called bad.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct GroupCounts {
    /// The group.
    pub group: String,
    /// What its images are; for bad ones `called` is the group's recall.
    pub label: Label,
    /// How many are called bad.
    pub called: Called,
}

impl Counts {
    /// Counts the images on either side of a threshold.
    ///
    /// # Errors
    /// None but those of a broken interval.
    pub fn new(items: &[Item], at: f64) -> Result<Self, MetricError> {
        let mut groups: BTreeMap<(Label, &str), (u64, u64)> = BTreeMap::new();
        for item in items {
            let (hits, total) = groups.entry((item.label, &item.group)).or_default();
            *hits += u64::from(f64::from(item.score) >= at);
            *total += 1;
        }
        let sum = |label: Label| {
            let own = groups.iter().filter(|((l, _), _)| *l == label);
            own.fold((0, 0), |(h, t), (_, (hits, total))| (h + hits, t + total))
        };
        let (good, bad) = (sum(Label::Good), sum(Label::Bad));
        let group = |((label, group), (hits, total)): (&(Label, &str), &(u64, u64))| {
            let called = Called::new(*hits, *total)?;
            Ok(GroupCounts {
                group: (*group).to_owned(),
                label: *label,
                called,
            })
        };
        Ok(Self {
            at,
            false_alarms: Called::new(good.0, good.1)?,
            recall: Called::new(bad.0, bad.1)?,
            precision: Called::new(bad.0, good.0 + bad.0)?,
            groups: groups
                .iter()
                .map(group)
                .collect::<Result<_, MetricError>>()?,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct At {
    at: Option<f64>,
    /// Numbers of groups that do not count, joined by commas.
    #[serde(default)]
    without: String,
}

#[derive(Serialize)]
struct Measured {
    #[serde(flatten)]
    counts: Counts,
    auroc: Value,
    suggested: Vec<Suggested>,
}

/// `GET /v1/runs/{run}/threshold?at=…&without=…`
pub(crate) async fn threshold(
    State(app): State<Arc<App>>,
    path: Number<usize>,
    at: Result<Query<At>, QueryRejection>,
) -> Result<Response, Fault> {
    let (_, run) = find(&app, number(path)?).await?;
    let At { at, without } = query(at)?;
    let wrong = |message: &str| Fault::new(StatusCode::BAD_REQUEST, "query", message);
    if at.is_some_and(|at| !at.is_finite()) {
        return Err(wrong("at: expected a finite number"));
    }
    let all = groups(&run.items);
    let without: Vec<&(Label, String)> = (without.split(',').filter(|n| !n.is_empty()))
        .map(|n| n.parse().ok().and_then(|n: usize| all.get(n)))
        .collect::<Option<_>>()
        .ok_or_else(|| wrong("without: expected numbers of groups, joined by commas"))?;
    let counts = |i: &&Item| {
        !without
            .iter()
            .any(|(label, group)| i.label == *label && i.group == *group)
    };
    let items: Vec<Item> = run.items.iter().filter(counts).cloned().collect();
    let (auroc, suggested) = curve(&items).map_err(Fault::internal)?;
    let at = at
        .or(run.threshold)
        .or(suggested.get(1).map(|s| s.at))
        .unwrap_or_else(|| median(&items));
    let counts = Counts::new(&items, at).map_err(Fault::internal)?;
    json(&Measured {
        counts,
        auroc,
        suggested,
    })
}

/// Of one class alone no threshold is better than another.
fn median(items: &[Item]) -> f64 {
    let mut scores: Vec<f32> = items.iter().map(|i| i.score).collect();
    scores.sort_by(f32::total_cmp);
    scores.get(scores.len() / 2).copied().map_or(0.0, f64::from)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Size {
    side: Option<usize>,
}

/// `GET /v1/runs/{run}/items/{item}/layers/{layer}?side=…`
pub(crate) async fn picture(
    State(app): State<Arc<App>>,
    path: Number<(usize, usize, usize)>,
    size: Result<Query<Size>, QueryRejection>,
) -> Result<Response, Fault> {
    let (run, item, layer) = number(path)?;
    let (gallery, listed) = find(&app, run).await?;
    if item >= listed.items.len() || layer >= listed.layers.len() {
        return Err(Fault::absent("that picture"));
    }
    let side = query(size)?.side;
    if side.is_some_and(|s| !(1..=LARGEST_THUMBNAIL).contains(&s)) {
        let message = format!("side: expected 1 to {LARGEST_THUMBNAIL}");
        return Err(Fault::new(StatusCode::BAD_REQUEST, "query", message));
    }
    let draw = move || -> Result<Vec<u8>, BoxError> {
        let mut image = gallery.picture(run, item, layer)?;
        let longest = image.height().max(image.width());
        if let Some(side) = side.filter(|&s| s < longest) {
            let scaled = |n: usize| (n * side).div_ceil(longest);
            let (height, width) = (scaled(image.height()), scaled(image.width()));
            image = segad_imaging::resize_bilinear(&image, height, width)?;
        }
        Ok(segad_imaging::encode_png(&image)?)
    };
    match app.pictures.run(draw).await? {
        Ok(png) => Ok(typed("image/png", png.into())),
        Err(e) => {
            tracing::warn!("a picture of {}: {e}", listed.items[item].id);
            Err(Fault::new(StatusCode::NOT_FOUND, "picture", e.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(label: Label, group: &str, score: f32) -> Item {
        Item {
            id: format!("{group}/{score}"),
            label,
            group: group.to_owned(),
            score,
        }
    }

    #[test]
    fn counts_are_those_of_a_hand_calculation() {
        let mut items: Vec<Item> = (0..10)
            .map(|i| item(Label::Good, "good", i as f32 / 10.0))
            .collect();
        items.extend((0..4).map(|i| item(Label::Bad, "crack", 0.5 + i as f32 / 10.0)));
        items.push(item(Label::Bad, "scratch", 0.1));
        let counts = Counts::new(&items, f64::from(0.7f32)).unwrap();
        let pair = |c: &Called| (c.hits, c.total);
        assert_eq!(pair(&counts.false_alarms), (3, 10)); // 0.7, 0.8, 0.9: the threshold itself counts
        assert_eq!(pair(&counts.recall), (2, 5));
        assert_eq!(pair(&counts.precision), (2, 5));
        // scipy.stats.beta.ppf([0.025, 0.975], [3, 4], [8, 7])
        let interval = [
            counts.false_alarms.low.unwrap(),
            counts.false_alarms.high.unwrap(),
        ];
        for (found, expected) in interval.into_iter().zip([0.066_739_511, 0.652_452_86]) {
            assert!((found - expected).abs() < 1e-7, "{interval:?}");
        }
        let groups: Vec<_> = counts
            .groups
            .iter()
            .map(|g| (g.group.as_str(), g.label, pair(&g.called)))
            .collect();
        let expected = [
            ("good", Label::Good, (3, 10)),
            ("crack", Label::Bad, (2, 4)),
            ("scratch", Label::Bad, (0, 1)),
        ];
        assert_eq!(groups, expected);
        let none = Counts::new(&items, 5.0).unwrap();
        assert_eq!((none.precision.total, none.precision.rate), (0, None));
    }
}
