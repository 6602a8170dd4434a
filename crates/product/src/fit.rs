//! From images to a model.

use crate::calibrate::{Calibration, CalibrationKind};
use crate::card::{
    Card, ClassifierCard, DataCard, DetectorCard, Head, Scored, Share, TrainingG, Unseen,
};
use crate::classify::{ClassifierSettings, Classifiers};
use crate::crossfit::{Crossfit, Observed, Plan};
use crate::detect::{Backbones, DetectorSettings, WeightsSource};
use crate::error::{ProductError, Result};
use crate::gauge::{Gauge, usual_range};
use crate::heads::{Entrant, Problem, select};
use crate::model::Model;
use crate::parts::Segments;
use crate::survey::{Survey, lacks};
use crate::threshold::{self, Rule};
use crate::{auto, folds, patches, samples};
use segad_core::{FeatureTable, FitContext, ImageLoader, Label, Sample, Seed};
use segad_features::{FeatureName, FeatureParams};
use segad_forest::{Forest, ForestParams, Preset};
use segad_metrics::Scores;
use std::collections::{BTreeMap, BTreeSet};

/// One labelled image.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Which image, good or bad, and as `group` the kind of defect, if it is known.
    pub sample: Sample,
    /// What must not be torn apart by a split, e.g. the piece that several pictures show; none if
    /// the image stands alone.
    pub unit: Option<String>,
}

/// The images of a product.
pub struct Data<'a> {
    /// The images. Their order is part of what decides the model.
    pub items: Vec<Item>,
    /// Brings their pixels.
    pub loader: &'a dyn ImageLoader,
}

/// How to fit.
#[derive(Clone, Debug)]
pub struct FitSettings {
    /// The product's name.
    pub name: String,
    /// The detectors, at least one, all of one image size.
    pub detectors: Vec<DetectorSettings>,
    /// Classifiers on frozen features, all on the same; the first is the g that forests take.
    pub classifiers: Vec<ClassifierSettings>,
    /// The segments; none lets the program choose.
    pub segments: Option<Segments>,
    /// The statistics of the maps.
    pub features: FeatureParams,
    /// The forest.
    pub forest: ForestParams,
    /// How the threshold is chosen.
    pub rule: Rule,
    /// Confidence of promises and intervals, 0.5 to 1.
    pub level: f64,
    /// How scores become probabilities.
    pub calibration: CalibrationKind,
    /// Number of folds, at least 2; fewer are used where there are fewer groups.
    pub folds: usize,
    /// Where all randomness comes from.
    pub seed: Seed,
    /// Versions to write into the card.
    pub versions: BTreeMap<String, String>,
}

impl FitSettings {
    /// Classifiers on the first detector's backbone, the paper's statistics and forest, 5 folds, 95
    /// % confidence, the cheapest threshold.
    pub fn new(name: &str, detectors: Vec<DetectorSettings>) -> Self {
        let first = detectors
            .first()
            .and_then(|d| Some((d.needs(false).ok()??.0, d.image_size())));
        Self {
            name: name.to_owned(),
            classifiers: first.map_or_else(Vec::new, |(kind, size)| {
                ClassifierSettings::both(kind, size)
            }),
            detectors,
            segments: None,
            features: FeatureParams::default(),
            forest: ForestParams::preset(Preset::Brf),
            rule: Rule::default(),
            level: 0.95,
            calibration: CalibrationKind::default(),
            folds: 5,
            seed: Seed(0),
            versions: BTreeMap::new(),
        }
    }

    fn check(&self) -> Result<usize> {
        let setting = |name, value: String, expected: &str| {
            Err(ProductError::Setting {
                name,
                value,
                expected: expected.to_owned(),
            })
        };
        let Some(size) = self.detectors.first().map(DetectorSettings::image_size) else {
            return setting("detectors", "none".to_owned(), "at least one");
        };
        let sizes: Vec<usize> = self
            .detectors
            .iter()
            .map(DetectorSettings::image_size)
            .collect();
        if sizes.iter().any(|s| *s != size) {
            return setting(
                "image size",
                format!("{sizes:?}"),
                "the same for all detectors",
            );
        }
        let kinds: BTreeSet<&str> = self.detectors.iter().map(DetectorSettings::kind).collect();
        if kinds.len() < self.detectors.len() {
            return setting(
                "detectors",
                format!("{} of {kinds:?}", self.detectors.len()),
                "each once",
            );
        }
        if !(self.level > 0.5 && self.level < 1.0) {
            return setting("confidence", self.level.to_string(), "above 0.5, below 1");
        }
        if self.folds < 2 {
            return setting("folds", self.folds.to_string(), "at least 2");
        }
        Ok(size)
    }
}

/// Fits, measures and packs a model. Runs in the rayon pool that the caller is in; libtorch should
/// be set to one thread, so that the number of threads changes no bit.
///
/// # Errors
/// Too few or useless images, a promise that they cannot support, whatever a detector or the
/// weights say.
pub fn fit(
    data: &Data<'_>,
    settings: &FitSettings,
    weights: &dyn WeightsSource,
    ctx: &FitContext,
) -> Result<Model> {
    let size = settings.check()?;
    let survey = Survey::new(data, ctx)?;
    let (folds, k) = folds::folds(&data.items, &survey.units, settings.folds, settings.seed);
    let needs = settings
        .detectors
        .iter()
        .map(|d| d.needs(false))
        .collect::<Result<Vec<_>>>()?;
    let backbones = Backbones::read(needs.into_iter().flatten(), weights)?;
    let classifiers = Classifiers::check(&settings.classifiers)?;
    // Apart from the detectors', so that a model without a classifier need not carry its deeper
    // layers.
    let deep = Backbones::read(classifiers.iter().flat_map(Classifiers::needs), weights)?;
    let segments = match (&settings.segments, settings.detectors[0].needs(false)?) {
        (Some(segments), _) => segments.clone(),
        (None, Some((kind, _))) => {
            auto::segments(data, &backbones, kind, size, settings.seed, ctx)?
        }
        (None, None) => Segments::Whole,
    };
    let names: Vec<String> = settings
        .detectors
        .iter()
        .map(|d| d.kind().to_owned())
        .collect();
    let gauge = Gauge::new(&segments, size, &settings.features, &names)?;
    let plan = Plan {
        data,
        folds: &folds,
        k,
        detectors: &settings.detectors,
        backbones: &backbones,
        gauge: &gauge,
        seed: settings.seed,
        ctx,
    };
    let Crossfit {
        observed,
        mut detectors,
    } = plan.run()?;

    let labels: Vec<Label> = data.items.iter().map(|i| i.sample.label).collect();
    let ids = data.items.iter().map(|i| i.sample.id.clone()).collect();
    let values = observed
        .iter()
        .flat_map(|o| o.features.iter().copied())
        .collect();
    let table = FeatureTable::new(gauge.extractor.columns(), ids, values)?;
    let embedded = classifiers
        .as_ref()
        .map(|c| c.embed(data, &deep, ctx))
        .transpose()?;
    let embedded = embedded
        .as_ref()
        .zip(classifiers.as_ref())
        .map(|(t, c)| (t, c.params.as_slice()));
    let (params, labels, seed) = (
        &settings.forest,
        labels.as_slice(),
        forest_seed(settings.seed),
    );
    let problem = Problem {
        table: &table,
        embedded,
        labels,
        folds: &folds,
        k,
        params,
        seed,
    };
    let task = ctx.progress.start("heads", None);
    let (entrants, heads) = entrants(&problem, &names, &observed)?;
    let (candidates, chosen) = select(&entrants, labels, settings.level)?;
    drop(task);
    let (scores, head) = (&entrants[chosen].scores, heads[chosen].clone());

    let operating =
        threshold::choose(&Scores::new(scores, labels)?, settings.rule, settings.level)?;
    let wide: Vec<f64> = scores.iter().map(|&s| f64::from(s)).collect();
    let unseen = unseen(data, &problem, &head, scores, operating.threshold)?;
    let fitted = problem.fit_all(&head)?;

    // A score that is one map's maximum needs no other detector.
    let kept: Vec<usize> = match head {
        Head::Detector { detector } => vec![detector],
        Head::Classifier { .. } | Head::Forest { .. } => (0..names.len()).collect(),
    };
    let head = if let Head::Detector { .. } = head {
        Head::Detector { detector: 0 }
    } else {
        head
    };
    let usual = match &fitted.forest {
        Some(_) => usual_columns(&fitted.table, labels),
        None => Vec::new(),
    };
    let classifier = classifier_card(&problem, &head, scores, settings)?;
    let card = Card {
        name: settings.name.clone(),
        versions: settings.versions.clone(),
        seed: settings.seed,
        data: DataCard {
            folds: k,
            ..survey.card.clone()
        },
        detectors: kept
            .iter()
            .map(|&d| detector_card(&settings.detectors[d], d, &observed, labels))
            .collect(),
        classifier,
        segment_names: gauge.names().to_vec(),
        segments,
        features: settings.features.clone(),
        usual,
        importance: importance(&problem.plain_forest()?),
        lacks: lacks(&survey, &candidates, settings.level, data),
        candidates,
        unseen,
        operating,
        calibration: Calibration::fit(settings.calibration, &wide, labels),
        images: scored(data, &folds, scores),
        head,
    };
    let saved = kept
        .iter()
        .map(|&d| {
            detectors[d]
                .save()
                .map_err(|e| settings.detectors[d].failed(e))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut patches = None;
    for &d in &kept {
        if let Some(bank) = detectors[d].patchcore() {
            patches = patches::sheet(bank, data, ctx)?;
        }
    }
    detectors.clear();
    let scoring = kept
        .iter()
        .map(|&d| settings.detectors[d].needs(true))
        .collect::<Result<Vec<_>>>()?;
    let scoring: BTreeSet<_> = scoring
        .into_iter()
        .flatten()
        .map(|(kind, _)| kind)
        .collect();
    let mut backbones = backbones;
    backbones.0.retain(|kind, _| scoring.contains(kind));
    let forest = fitted.forest.as_ref();
    let classifier = fitted
        .classifier
        .map(|c| c.save())
        .transpose()?
        .map(|c| (c, deep));
    let samples = samples::choose(data, scores)?;
    Model::new(
        card, &backbones, saved, classifier, forest, patches, samples,
    )
}

/// All parts and heads with their scores on images that they had not seen.
fn entrants(
    problem: &Problem<'_>,
    names: &[String],
    observed: &[Observed],
) -> Result<(Vec<Entrant>, Vec<Head>)> {
    let (mut entrants, mut heads) = (Vec::new(), Vec::new());
    let mut add = |name: &str, rank: usize, scores: Vec<f32>, head: Head| {
        entrants.push(Entrant {
            name: name.to_owned(),
            rank,
            scores,
        });
        heads.push(head);
    };
    for (d, name) in names.iter().enumerate() {
        add(
            name,
            0,
            observed.iter().map(|o| o.maxima[d]).collect(),
            Head::Detector { detector: d },
        );
    }
    let classifiers = problem.embedded.map_or(&[][..], |(_, c)| c);
    let mut more: Vec<(String, usize, Head)> = Vec::new();
    for (c, (name, _)) in classifiers.iter().enumerate() {
        more.push((name.clone(), 1, Head::Classifier { classifier: c }));
    }
    let all = names.join(" + ");
    let forest = |monotone, g| Head::Forest { monotone, g };
    more.push((format!("SegAD ({all})"), 2, forest(false, None)));
    more.push((format!("SegAD ({all}), monotone"), 3, forest(true, None)));
    if let Some((g, _)) = classifiers.first() {
        let out = Some(TrainingG::OutOfFold);
        more.push((
            format!("SegAD ({all} + {g})"),
            3,
            forest(false, Some(TrainingG::InSample)),
        ));
        more.push((
            format!("SegAD ({all} + {g} out of fold)"),
            4,
            forest(false, out),
        ));
        more.push((
            format!("SegAD ({all} + {g} out of fold), monotone"),
            5,
            forest(true, out),
        ));
    }
    for (name, rank, head) in more {
        // There may be too few bad images for a fit within a fit.
        if problem.possible(&head, |_| false) {
            add(&name, rank, problem.out_of_fold(&head, |_| false)?, head);
        }
    }
    Ok((entrants, heads))
}

/// Each kind of defect left out of training: the same head, measured on that kind.
fn unseen(
    data: &Data<'_>,
    problem: &Problem<'_>,
    head: &Head,
    scores: &[f32],
    threshold: f64,
) -> Result<Vec<Unseen>> {
    let kinds: BTreeSet<&str> = data.items.iter().filter_map(Item::kind).collect();
    let of = |kind: &str| -> Vec<usize> {
        (0..data.items.len())
            .filter(|&i| data.items[i].kind() == Some(kind))
            .collect()
    };
    let named = data
        .items
        .iter()
        .filter(|i| i.sample.label.is_bad() && i.kind().is_some())
        .count();
    let bad = problem.labels.iter().filter(|l| l.is_bad()).count();
    let mut all = Vec::new();
    for kind in kinds {
        let members = of(kind);
        // Something bad must be left to learn from in every fold.
        if members.len() == bad || named == 0 || !problem.possible(head, |i| members.contains(&i)) {
            continue;
        }
        let scores = match head {
            // A detector sees no bad image anyway.
            Head::Detector { .. } => scores.to_vec(),
            head => problem.out_of_fold(head, |i| members.contains(&i))?,
        };
        let pick = |keep: &dyn Fn(usize) -> bool| -> Vec<f32> {
            (0..scores.len())
                .filter(|&i| keep(i))
                .map(|i| scores[i])
                .collect()
        };
        let good = pick(&|i| !problem.labels[i].is_bad());
        let own = pick(&|i| members.contains(&i));
        all.push(Unseen {
            kind: kind.to_owned(),
            images: own.len(),
            auroc: Scores::split(&good, &own)?.auroc(),
            found: own.iter().filter(|s| f64::from(**s) >= threshold).count(),
        });
    }
    Ok(all)
}

impl Item {
    /// The kind of defect, for a bad image where it is known.
    pub fn kind(&self) -> Option<&str> {
        let bad = self.sample.label.is_bad() && self.sample.group != Label::Bad.as_str();
        bad.then_some(self.sample.group.as_str())
    }
}

fn detector_card(
    settings: &DetectorSettings,
    index: usize,
    observed: &[Observed],
    labels: &[Label],
) -> DetectorCard {
    let good: Vec<&Observed> = observed
        .iter()
        .zip(labels)
        .filter(|(_, l)| !l.is_bad())
        .map(|(o, _)| o)
        .collect();
    let quantile = |values: Vec<f64>, q| segad_metrics::quantile(&values, q).unwrap_or(0.0) as f32;
    let means = good.iter().map(|o| f64::from(o.means[index])).collect();
    let maxima = good.iter().map(|o| f64::from(o.maxima[index])).collect();
    let parts = good.first().map_or(0, |o| o.parts[index].len());
    let part = |p: usize| usual_range(good.iter().map(|o| o.parts[index][p])).unwrap_or([0.0, 0.0]);
    DetectorCard {
        name: settings.kind().to_owned(),
        settings: settings.clone(),
        scale: [quantile(means, 0.5), quantile(maxima, 0.95)],
        usual: (0..parts).map(part).collect(),
    }
}

/// The classifier that a head needs.
fn classifier_card(
    problem: &Problem<'_>,
    head: &Head,
    scores: &[f32],
    settings: &FitSettings,
) -> Result<Option<ClassifierCard>> {
    let (index, logits) = match head {
        Head::Classifier { classifier } => (*classifier, scores.to_vec()),
        Head::Forest { g: Some(_), .. } => (
            0,
            problem.out_of_fold(&Head::Classifier { classifier: 0 }, |_| false)?,
        ),
        Head::Detector { .. } | Head::Forest { g: None, .. } => return Ok(None),
    };
    let good = logits
        .iter()
        .zip(problem.labels)
        .filter(|(_, l)| !l.is_bad())
        .map(|(&s, _)| s);
    let usual = usual_range(good).unwrap_or([0.0, 0.0]);
    let card = |c: &ClassifierSettings| ClassifierCard {
        name: c.name.clone(),
        settings: c.settings.clone(),
        usual,
    };
    Ok(settings.classifiers.get(index).map(card))
}

fn usual_columns(table: &FeatureTable, labels: &[Label]) -> Vec<Option<[f32; 2]>> {
    let good: Vec<usize> = (0..labels.len()).filter(|&i| !labels[i].is_bad()).collect();
    (0..table.columns())
        .map(|j| usual_range(good.iter().map(|&i| table.row(i)[j])))
        .collect()
}

/// Shares of the forest's gain by segment, the largest first.
fn importance(forest: &Forest) -> Vec<Share> {
    let mut gains: BTreeMap<String, f64> = BTreeMap::new();
    for column in forest.importance() {
        let name = column.column.parse::<FeatureName>().ok();
        let segment = name
            .as_ref()
            .and_then(FeatureName::segment)
            .unwrap_or_default();
        *gains.entry(segment.to_owned()).or_default() += column.total_gain;
    }
    let total: f64 = gains.values().sum();
    let share = |gain: f64| if total > 0.0 { gain / total } else { 0.0 };
    let mut shares: Vec<Share> = gains
        .into_iter()
        .map(|(name, gain)| Share {
            name,
            share: share(gain),
        })
        .collect();
    shares.sort_by(|a, b| b.share.total_cmp(&a.share));
    shares
}

fn scored(data: &Data<'_>, folds: &[usize], scores: &[f32]) -> Vec<Scored> {
    let one = |(i, item): (usize, &Item)| Scored {
        id: item.sample.id.clone(),
        label: item.sample.label,
        kind: item.sample.group.clone(),
        fold: folds[i],
        score: scores[i],
    };
    data.items.iter().enumerate().map(one).collect()
}

/// XGBoost takes seeds of 63 bits.
fn forest_seed(seed: Seed) -> Seed {
    Seed(seed.derive("forest").0 >> 1)
}
