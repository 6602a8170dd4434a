use super::exact_percent;
use crate::content::Item;
use segad_core::Label;
use segad_metrics::{MetricError, Rate};
use serde::Serialize;
use std::collections::BTreeMap;

/// `hits` of `total` with the exact interval, in percent; no values if `total` is 0.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Called {
    /// Images called bad.
    pub hits: u64,
    /// All images.
    pub total: u64,
    /// `hits / total`, in percent.
    pub rate: Option<f64>,
    /// Lower end of the interval of Clopper and Pearson.
    pub low: Option<f64>,
    /// Its upper end.
    pub high: Option<f64>,
}

impl Called {
    fn new(hits: u64, total: u64, level: f64) -> Result<Self, MetricError> {
        // Of no images there is no share, and an interval from 0 to 1 would look like one.
        let rate = (total > 0).then_some(Rate { hits, total });
        let interval = rate.map(|r| r.clopper_pearson(level)).transpose()?;
        Ok(Self {
            hits,
            total,
            rate: rate.map(|r| exact_percent(r.value())),
            low: interval.map(|i| exact_percent(i.low)),
            high: interval.map(|i| exact_percent(i.high)),
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
    /// Counts the images on either side of a threshold; intervals are of this level.
    ///
    /// # Errors
    /// Those of the intervals.
    pub fn new(items: &[Item], at: f64, level: f64) -> Result<Self, MetricError> {
        let mut groups: BTreeMap<(Label, &str), (u64, u64)> = BTreeMap::new();
        for item in items {
            let (hits, total) = groups.entry((item.label, &item.group)).or_default();
            *hits += u64::from(f64::from(item.score) >= at);
            *total += 1;
        }
        let mut good = (0, 0);
        let mut bad = (0, 0);
        let mut counted = Vec::with_capacity(groups.len());
        for ((label, group), (hits, total)) in groups {
            let sum = if label.is_bad() { &mut bad } else { &mut good };
            sum.0 += hits;
            sum.1 += total;
            counted.push(GroupCounts {
                group: group.to_owned(),
                label,
                called: Called::new(hits, total, level)?,
            });
        }
        Ok(Self {
            at,
            false_alarms: Called::new(good.0, good.1, level)?,
            recall: Called::new(bad.0, bad.1, level)?,
            precision: Called::new(bad.0, good.0 + bad.0, level)?,
            groups: counted,
        })
    }
}
