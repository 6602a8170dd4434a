//! Scored images: lists, pictures, and what a threshold does to them.

mod counts;

pub use counts::{Called, Counts, GroupCounts};

use crate::app::App;
use crate::content::{Area, Gallery, ImageSet, Item};
use crate::reply::{Fault, json, typed};
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use segad_core::{BoxError, Label};
use segad_metrics::{EXACT_DECIMALS, MetricError, Scores, rounded};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// The longest side of a thumbnail that may be asked for.
const LARGEST_THUMBNAIL: usize = 1024;

type Number<T> = Result<Path<T>, PathRejection>;

fn number<T>(path: Number<T>) -> Result<T, Fault> {
    path.map(|Path(n)| n).map_err(|_| Fault::absent("resource"))
}

fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, Fault> {
    query
        .map(|Query(q)| q)
        .map_err(|e| bad_query(&e.body_text()))
}

fn bad_query(message: &str) -> Fault {
    Fault::new(StatusCode::BAD_REQUEST, "query", message)
}

async fn find(app: &App, number: usize) -> Result<(Arc<dyn Gallery>, Arc<ImageSet>), Fault> {
    let gallery = app
        .content
        .gallery
        .clone()
        .ok_or_else(|| Fault::absent("gallery"))?;
    if number >= gallery.names().len() {
        return Err(Fault::absent("run"));
    }
    let owner = gallery.clone();
    // Opening a set reads files, so it must not block the thread that answers.
    let set = app.pictures.run(move || owner.set(number)).await?;
    let set = set.map_err(|e| {
        tracing::error!("run {number}: {e}");
        Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "run", e.to_string())
    })?;
    Ok((gallery, set))
}

/// `GET /v1/runs/{run}`
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    path: Number<usize>,
) -> Result<Response, Fault> {
    let number = number(path)?;
    let (gallery, set) = find(&app, number).await?;
    let items = &set.items;
    let groups = groups(items);
    json(&json!({
        "name": gallery.names().get(number),
        "notes": set.notes,
        "layers": set.layers,
        "threshold": set.threshold,
        "level": set.level,
        "groups": groups.iter().map(|g| listed(&set, g)).collect::<Vec<_>>(),
        // Columns, not objects: a set may have tens of thousands of images.
        "items": {
            "id": column(items, |i| i.id.as_str()),
            "label": column(items, |i| i.label.as_str()),
            "group": column(items, |i| i.group.as_str()),
            // As f64, scores print so that a page compares exactly what the server compares.
            "score": column(items, |i| f64::from(i.score)),
        },
    }))
}

fn listed(set: &ImageSet, (label, group): &(Label, String)) -> Value {
    json!({ "group": group, "label": label, "set_aside": set.set_aside.contains(group) })
}

fn column<'a, T>(items: &'a [Item], value: fn(&'a Item) -> T) -> Vec<T> {
    items.iter().map(value).collect()
}

/// All groups, in the order in which they are numbered: good ones first, by name.
fn groups(items: &[Item]) -> Vec<(Label, String)> {
    let all: BTreeSet<(Label, &str)> = items.iter().map(|i| (i.label, i.group.as_str())).collect();
    all.into_iter()
        .map(|(label, group)| (label, group.to_owned()))
        .collect()
}

fn scores(items: &[Item]) -> Option<Scores> {
    // Images of one class alone have no curve.
    Scores::new(&column(items, |i| i.score), &column(items, |i| i.label)).ok()
}

/// In percent, with the decimals of `metrics.csv` and `table.json`.
fn exact_percent(share: f64) -> f64 {
    rounded(100.0 * share, EXACT_DECIMALS)
}

/// The area under the curve with its interval, `stated` or else by DeLong, and thresholds that keep
/// an error rate on these very scores.
fn curve(
    items: &[Item],
    stated: Option<Area>,
    level: f64,
) -> Result<(Value, Vec<Suggested>), MetricError> {
    let Some(scores) = scores(items) else {
        return Ok((Value::Null, Vec::new()));
    };
    let area = match stated {
        Some(area) => area,
        None => {
            let interval = scores.auroc_delong().interval(level)?;
            Area {
                value: scores.auroc(),
                low: interval.low,
                high: interval.high,
            }
        }
    };
    let auroc = json!({
        "value": exact_percent(area.value),
        "low": exact_percent(area.low),
        "high": exact_percent(area.high),
    });
    let mut suggested = Vec::new();
    for (name, point) in [
        (
            "false alarms ≤ 1 %",
            scores.threshold_for_false_alarms(0.01)?,
        ),
        (
            "false alarms ≤ 5 %",
            scores.threshold_for_false_alarms(0.05)?,
        ),
        ("misses ≤ 5 %", scores.threshold_for_misses(0.05)?),
    ] {
        // An infinite threshold calls every image good or every image bad: no use to anybody.
        if point.threshold.is_finite() {
            suggested.push(Suggested {
                name,
                at: point.threshold,
            });
        }
    }
    Ok((auroc, suggested))
}

#[derive(Serialize)]
struct Suggested {
    name: &'static str,
    at: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct At {
    at: Option<f64>,
    /// Comma-separated numbers of groups to leave out; by default those that are set aside.
    without: Option<String>,
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
    let (_, set) = find(&app, number(path)?).await?;
    let At { at, without } = query(at)?;
    if at.is_some_and(|at| !at.is_finite()) {
        return Err(bad_query("at: expected a finite number"));
    }
    let all = groups(&set.items);
    let is_aside = |(_, group): &&(Label, String)| set.set_aside.contains(group);
    let aside: Vec<&(Label, String)> = all.iter().filter(is_aside).collect();
    let left_out = match &without {
        Some(numbers) => pick(&all, numbers)?,
        None => aside.clone(),
    };
    let mut items = set.items.clone();
    for (label, group) in &left_out {
        items.retain(|i| i.label != *label || i.group != *group);
    }
    let stated = set.auroc.filter(|_| left_out == aside);
    let (auroc, suggested) = curve(&items, stated, set.level).map_err(Fault::internal)?;
    // The threshold asked for, else the one in use, else 5 % false alarms, else any.
    let at = at
        .or(set.threshold)
        .or(suggested.get(1).map(|s| s.at))
        .unwrap_or_else(|| median(&items));
    let counts = Counts::new(&items, at, set.level).map_err(Fault::internal)?;
    json(&Measured {
        counts,
        auroc,
        suggested,
    })
}

/// The groups with these numbers, in their order.
fn pick<'a>(all: &'a [(Label, String)], numbers: &str) -> Result<Vec<&'a (Label, String)>, Fault> {
    let mut chosen = BTreeSet::new();
    for number in numbers.split(',').filter(|n| !n.is_empty()) {
        let number = number.parse().ok().filter(|n: &usize| *n < all.len());
        chosen.insert(
            number
                .ok_or_else(|| bad_query("without: expected comma-separated numbers of groups"))?,
        );
    }
    Ok(chosen.into_iter().map(|n| &all[n]).collect())
}

/// A threshold for images of one class, where none is better than another.
fn median(items: &[Item]) -> f64 {
    let mut scores = column(items, |i| i.score);
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
        return Err(Fault::absent("picture"));
    }
    let side = query(size)?.side;
    if side.is_some_and(|s| !(1..=LARGEST_THUMBNAIL).contains(&s)) {
        let message = format!("side: expected 1 to {LARGEST_THUMBNAIL}");
        return Err(bad_query(&message));
    }
    let draw = move || -> Result<Vec<u8>, BoxError> {
        let mut image = gallery.picture(run, item, layer)?;
        let longest = image.height().max(image.width());
        if let Some(side) = side.filter(|&s| s < longest) {
            // Rounded up, so that a thin image keeps a pixel.
            let height = (image.height() * side).div_ceil(longest);
            let width = (image.width() * side).div_ceil(longest);
            image = segad_imaging::resize_bilinear(&image, height, width)?;
        }
        Ok(segad_imaging::encode_png(&image)?)
    };
    match app.pictures.run(draw).await? {
        Ok(png) => Ok(typed("image/png", png.into())),
        Err(e) => {
            tracing::warn!("picture of {}: {e}", listed.items[item].id);
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
        let counts = Counts::new(&items, f64::from(0.7f32), 0.95).unwrap();
        let pair = |c: &Called| (c.hits, c.total);
        assert_eq!(pair(&counts.false_alarms), (3, 10)); // 0.7, 0.8, 0.9: the threshold itself counts
        assert_eq!(pair(&counts.recall), (2, 5));
        assert_eq!(pair(&counts.precision), (2, 5));
        // scipy.stats.beta.ppf([0.025, 0.975], [3, 4], [8, 7])
        let interval = [
            counts.false_alarms.low.unwrap(),
            counts.false_alarms.high.unwrap(),
        ];
        for (found, expected) in interval.into_iter().zip([6.673_951, 65.245_286]) {
            assert!((found - expected).abs() < 2e-6, "{interval:?}");
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
        let none = Counts::new(&items, 5.0, 0.95).unwrap();
        assert_eq!((none.precision.total, none.precision.rate), (0, None));
    }
}
