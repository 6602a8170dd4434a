//! From images to a model.

use crate::backbones::{Backbones, WeightsSource};
use crate::calibrate::CalibrationKind;
use crate::classify::{ClassifierSettings, Classifiers};
use crate::crossfit::{Crossfit, CrossfitPlan};
use crate::data::Data;
use crate::error::{ProductError, Result};
use crate::gauge::Gauge;
use crate::head::Head;
use crate::heads::Problem;
use crate::model::Model;
use crate::pack::Pack;
use crate::survey::Survey;
use crate::threshold::{self, Rule};
use crate::token_parts::TokenProblem;
use crate::tokens::{self, ImageTokens, TokenSettings};
use crate::{auto, units};
use segad_core::{FeatureTable, FitContext, Seed};
use segad_features::FeatureParams;
use segad_forest::{ForestParams, Preset};
use segad_imaging::Reading;
use segad_methods::{DetectorSettings, Pretrained};
use segad_nn::BackboneKind;
use segad_segments::PortableSegments;
use std::collections::{BTreeMap, BTreeSet};

/// How to fit.
#[derive(Clone, Debug)]
pub struct FitSettings {
    /// The product's name.
    pub name: String,
    /// The detectors, at least one, all of one image size.
    pub detectors: Vec<DetectorSettings>,
    /// Classifiers on frozen features, all on the same; the first is the g that forests take.
    pub classifiers: Vec<ClassifierSettings>,
    /// How files become pixels, for the card; the loader of the data decides.
    pub reading: Reading,
    /// Patch tokens to fit further parts on, if there are any.
    pub tokens: Option<TokenSettings>,
    /// Which head is kept.
    pub head: Head,
    /// The segments; none lets the program choose.
    pub segments: Option<PortableSegments>,
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
        let classifiers = match detectors.first().map(|d| (d.pretrained(), d.image_size())) {
            Some((Pretrained::Backbone { kind, .. }, size)) => ClassifierSettings::both(kind, size),
            _ => Vec::new(),
        };
        Self {
            name: name.to_owned(),
            classifiers,
            detectors,
            reading: Reading::default(),
            tokens: None,
            head: Head::default(),
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

    /// The detectors' names in columns and reasons.
    pub(crate) fn names(&self) -> Vec<String> {
        self.detectors.iter().map(|d| d.kind().to_owned()).collect()
    }

    /// The classifiers that the head may need. In a stack with patch tokens the parts on tokens take
    /// their place: beside these, a classifier on a convolutional network's features made the stack
    /// worse on parts from other batches.
    pub(crate) fn used_classifiers(&self) -> &[ClassifierSettings] {
        match (&self.head, &self.tokens) {
            (Head::Stack, Some(_)) => &[],
            _ => &self.classifiers,
        }
    }

    /// The backbone of the first detector, and the side of all detectors' input.
    fn check(&self) -> Result<(BackboneKind, usize)> {
        let Some(first) = self.detectors.first() else {
            return Err(setting("detectors", "none", "at least one"));
        };
        let size = first.image_size();
        let sizes: Vec<usize> = self.detectors.iter().map(|d| d.image_size()).collect();
        if sizes.iter().any(|s| *s != size) {
            let expected = "the same for all detectors";
            return Err(setting("image size", format!("{sizes:?}"), expected));
        }
        // Features are named by kind, so that two of one kind would share columns.
        let kinds: BTreeSet<&str> = self.detectors.iter().map(|d| d.kind()).collect();
        if kinds.len() < self.detectors.len() {
            let value = format!("{} of {kinds:?}", self.detectors.len());
            return Err(setting("detectors", value, "each once"));
        }
        if !(self.level > 0.5 && self.level < 1.0) {
            let expected = "above 0.5, below 1";
            return Err(setting("confidence", self.level.to_string(), expected));
        }
        if self.folds < 2 {
            return Err(setting("folds", self.folds.to_string(), "at least 2"));
        }
        match first.pretrained() {
            Pretrained::Backbone { kind, .. } => Ok((kind, size)),
            Pretrained::Network { what, .. } => Err(setting(
                first.kind(),
                what,
                "a network made from a backbone",
            )),
        }
    }
}

fn setting(name: &'static str, value: impl Into<String>, expected: &str) -> ProductError {
    ProductError::Setting {
        name,
        value: value.into(),
        expected: expected.to_owned(),
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
    with_parts(data, settings, weights, ctx, |pack, crossfit| {
        let (kinds, choice) = pack.choose(&crossfit.observed)?;
        pack.pack(&kinds, &choice, &crossfit)
    })
}

/// Prepares everything that heads are chosen from.
pub(crate) fn with_parts<T>(
    data: &Data<'_>,
    settings: &FitSettings,
    weights: &dyn WeightsSource,
    ctx: &FitContext,
    finish: impl FnOnce(&Pack<'_>, Crossfit) -> Result<T>,
) -> Result<T> {
    let prepared = Prepared::new(data, settings, weights, ctx)?;
    let plan = CrossfitPlan {
        data,
        folds: &prepared.folds,
        k: prepared.k,
        detectors: &settings.detectors,
        backbones: &prepared.backbones,
        gauge: &prepared.gauge,
        seed: settings.seed,
        ctx,
    };
    let crossfit = plan.run()?;
    let table = prepared.statistics(data, &crossfit)?;
    let classifiers = prepared.classifiers.as_ref();
    let features = classifiers
        .map(|c| c.embed(data, &prepared.deep, ctx))
        .transpose()?;
    let labels = data.labels();
    let tokens = prepared.tokens(data, ctx)?;
    let token_problem = match &tokens {
        Some(tokens) => {
            let seed = settings.seed;
            Some(TokenProblem::new(
                tokens,
                &labels,
                &prepared.folds,
                seed,
                ctx,
            )?)
        }
        None => None,
    };
    let problem = Problem {
        table: &table,
        embedded: features
            .as_ref()
            .zip(classifiers.map(|c| c.params.as_slice())),
        labels: &labels,
        folds: &prepared.folds,
        k: prepared.k,
        params: &settings.forest,
        seed: forest_seed(settings.seed),
    };
    let pack = Pack {
        data,
        settings,
        ctx,
        prepared: &prepared,
        problem: &problem,
        tokens: token_problem.as_ref(),
    };
    finish(&pack, crossfit)
}

/// What is known before anything is fitted.
pub(crate) struct Prepared {
    pub survey: Survey,
    pub folds: Vec<usize>,
    pub k: usize,
    pub backbones: Backbones,
    pub classifiers: Option<Classifiers>,
    /// The classifiers' backbone; apart from the detectors', so that a model without a classifier
    /// need not carry its deeper layers.
    pub deep: Backbones,
    /// The backbone of the patch tokens.
    pub token_settings: Option<TokenSettings>,
    pub token_weights: Backbones,
    pub segments: PortableSegments,
    pub gauge: Gauge,
    /// Side of the detectors' maps.
    pub side: usize,
}

impl Prepared {
    fn new(
        data: &Data<'_>,
        settings: &FitSettings,
        weights: &dyn WeightsSource,
        ctx: &FitContext,
    ) -> Result<Self> {
        let (kind, size) = settings.check()?;
        // What the counts rule out is reported before hours of fitting.
        let good = data.good().len();
        threshold::check(settings.rule, good, data.items.len() - good, settings.level)?;
        let survey = Survey::new(data, ctx)?;
        let (folds, k) = units::folds(&data.labels(), &survey.units, settings.folds, settings.seed);
        let pretrained = settings.detectors.iter().map(|d| d.pretrained());
        let backbones = Backbones::read(pretrained, weights)?;
        let classifiers = Classifiers::check(settings.used_classifiers())?;
        let pretrained = classifiers.iter().flat_map(Classifiers::pretrained);
        let deep = Backbones::read(pretrained, weights)?;
        let pretrained = settings.tokens.iter().flat_map(TokenSettings::pretrained);
        let token_weights = Backbones::read(pretrained, weights)?;
        let segments = match &settings.segments {
            Some(segments) => segments.clone(),
            None => auto::segments(data, &backbones, kind, size, settings.seed, ctx)?,
        };
        let names: Vec<String> = settings.names();
        let gauge = Gauge::new(&segments, size, &settings.features, &names)?;
        Ok(Self {
            survey,
            folds,
            k,
            backbones,
            classifiers,
            deep,
            token_settings: settings.tokens.clone(),
            token_weights,
            segments,
            gauge,
            side: size,
        })
    }

    fn tokens(&self, data: &Data<'_>, ctx: &FitContext) -> Result<Option<Vec<ImageTokens>>> {
        let settings = self.token_settings.as_ref();
        settings
            .map(|s| tokens::read(data, s, &self.token_weights, ctx))
            .transpose()
    }

    /// The statistics of the maps by detectors that had not seen the image.
    fn statistics(&self, data: &Data<'_>, crossfit: &Crossfit) -> Result<FeatureTable> {
        let ids = data.items.iter().map(|i| i.sample.id.clone()).collect();
        let rows = crossfit.observed.iter();
        let values = rows.flat_map(|o| o.features.iter().copied()).collect();
        let columns = self.gauge.columns();
        Ok(FeatureTable::new(columns, ids, values)?)
    }
}

/// XGBoost takes seeds of 63 bits.
fn forest_seed(seed: Seed) -> Seed {
    Seed(seed.derive("forest").0 >> 1)
}
