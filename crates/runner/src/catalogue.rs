//! What the names in an experiment mean here: [`Catalogue`] for the [`Workbench`].

use crate::cells::stack;
use crate::generated::Recipe;
use crate::workbench::{IMPORTED, Workbench, lock, of_class};
use crate::{params, segmenter};
use segad_core::{CacheKey, CellKind, ImageId, KeyHasher, Sample, Seed, TrainSplit};
use segad_datasets::{Protocol, ProtocolParams};
use segad_features::FeatureParams;
use segad_grid::{
    Catalogue, Checked, CheckedClassifier, CheckedForest, Definition, Fault, SegmentCells, Split,
    SplitDigests, SplitParts,
};
use segad_import::MapsFolder;
use segad_methods::{Inputs, MethodKey, Pretrained, frozen};
use std::sync::Arc;
use toml::{Table, Value};

/// Side of the maps that a segment source is opened at to take its digest: the maps' own size is
/// part of their key, so any one size serves to tell sources apart.
const DIGEST_SIDE: usize = 256;

impl Workbench {
    fn maps(&self) -> Result<&MapsFolder, Fault> {
        let maps = self.source.maps();
        maps.ok_or_else(|| format!("kind = {IMPORTED:?}: expected --maps DIR, their folder").into())
    }

    /// An error where there are only maps.
    fn need_images(&self, kind: &str) -> Result<(), Fault> {
        match self.source.maps() {
            Some(_) => {
                let expected = "expected a kind that needs no images, as --maps has none";
                Err(format!("kind = {kind:?}: {expected}").into())
            }
            None => Ok(()),
        }
    }

    /// A bad image for each good one of the forest's.
    fn generate(
        &self,
        settings: Option<&Table>,
        forest: &TrainSplit,
        seed: u64,
    ) -> Result<Vec<Sample>, Fault> {
        if self.source.maps().is_some() {
            return Err("defects are generated on images, and --maps has none".into());
        }
        let recipe = Recipe::new(settings, &self.settings.base, Seed(seed))?;
        let recipe = self.recipes.add(recipe);
        let good = forest.samples().iter().filter(|s| !s.label.is_bad());
        Ok(good.map(|s| recipe.sample(s)).collect())
    }
}

fn checked<T: CacheKey + ?Sized>(kind: &str, revision: u32, params: &T) -> Checked {
    let mut hasher = KeyHasher::new(kind, revision);
    Checked {
        key: hasher.field("params", params).finish(),
        missing: None,
    }
}

fn from_key(MethodKey { key, missing }: MethodKey) -> Checked {
    Checked { key, missing }
}

/// Which model's maps a detector of kind [`IMPORTED`] takes.
fn model(params: &Table) -> Result<&str, Fault> {
    if let Some(unknown) = params.keys().find(|k| *k != "model") {
        let message = format!("{unknown}: unknown setting; kind {IMPORTED} has only model");
        return Err(message.into());
    }
    let model = params.get("model").and_then(Value::as_str);
    model.ok_or_else(|| "model: expected the name of the folder that holds the maps".into())
}

impl Catalogue for Workbench {
    fn detector(&self, kind: &str, params: &Table) -> Result<Checked, Fault> {
        if kind != IMPORTED {
            self.need_images(kind)?;
            let detector = self.methods.detector(kind, params)?;
            return Ok(from_key(
                detector.key(&self.inputs, self.settings.arithmetic()),
            ));
        }
        self.maps()?;
        model(params)?;
        let text = params.to_string();
        Ok(checked(IMPORTED, segad_import::REVISION, &text))
    }

    fn imported(&self, kind: &str, params: &Table, class: &str) -> Result<Option<Checked>, Fault> {
        if kind != IMPORTED {
            return Ok(None);
        }
        let model = model(params)?;
        let folder = self.maps()?;
        // Digesting a folder reads thousands of files: once per model and class is enough.
        let key = lock(&self.imported)
            .entry((model.to_owned(), class.to_owned()))
            .or_insert_with(|| Ok(folder.key(model, class)?))
            .clone()?;
        // Imported maps cannot be computed: what the store lacks is missing for good.
        let missing = (!self.store.contains(CellKind::Maps, &key)?).then(|| {
            format!(
                "the maps of {model} for {class} are not imported; `segad import maps` says why"
            )
        });
        Ok(Some(Checked { key, missing }))
    }

    fn classifier(&self, kind: &str, params: &Table) -> Result<CheckedClassifier, Fault> {
        self.need_images(kind)?;
        let classifier = self.methods.classifier(kind, params)?;
        let key = classifier.key(&self.inputs, self.settings.arithmetic());
        Ok(CheckedClassifier {
            whole: from_key(key.whole),
            embedding: key.embedding,
        })
    }

    fn segments(&self, spec: Option<&Value>, class: &str) -> Result<Checked, Fault> {
        let spec = of_class(spec, class)?;
        if let (None, Some(folder)) = (spec, self.source.maps()) {
            let key = folder.segments_key(class)?;
            return Ok(Checked { key, missing: None });
        }
        let index = self.index(class)?;
        let ids: Vec<ImageId> = index.entries().iter().map(|e| e.id.clone()).collect();
        let source = self.segment_source(spec, class, DIGEST_SIDE, DIGEST_SIDE)?;
        let digest = source.digest(&ids)?;
        Ok(checked("segments", segad_segments::REVISION, &digest))
    }

    fn segment_cells(
        &self,
        spec: Option<&Value>,
        class: &str,
    ) -> Result<Option<SegmentCells>, Fault> {
        Ok(segmenter::cells(self, of_class(spec, class)?)?)
    }

    fn features(&self, params: &Table) -> Result<Checked, Fault> {
        let params: FeatureParams = params.clone().try_into()?;
        let params = params.check()?;
        Ok(checked("features", segad_features::REVISION, &params))
    }

    fn forest(&self, spec: Option<&Value>) -> Result<CheckedForest, Fault> {
        let mut hasher = KeyHasher::new("forest", segad_forest::REVISION);
        hasher
            .field("params", &params::forest(spec)?)
            .field("monotone", &params::is_monotone(spec)?)
            // Two versions of XGBoost may grow different trees from the same parameters.
            .field("library", &segad_forest::library_version().to_string());
        let forest = Checked {
            key: hasher.finish(),
            missing: None,
        };
        Ok(CheckedForest {
            forest,
            g_scores: params::g_scores(spec)?,
        })
    }

    fn stack(
        &self,
        detectors: &[Arc<Definition>],
        tokens: Option<&str>,
        segments: Option<&Value>,
        class: &str,
    ) -> Result<Checked, Fault> {
        self.need_images("stack")?;
        let segments = of_class(segments, class)?;
        let settings = stack::settings(self, detectors, tokens, segments)?;
        let arithmetic = self.settings.arithmetic();
        let mut hasher = KeyHasher::new("stack", segad_product::REVISION);
        let mut missing = None;
        let mut weights = Vec::new();
        for detector in &settings.detectors {
            let part = detector.key(&self.inputs, arithmetic);
            hasher.field("detector", &part.key);
            missing = missing.or(part.missing);
            weights.push(detector.pretrained());
        }
        let tokens = settings.tokens.iter();
        weights.extend(tokens.map(|t| Pretrained::backbone(t.backbone, &t.layers)));
        for of in &weights {
            let digest = self.inputs.weights_digest(of);
            missing = missing.or(digest.as_ref().err().map(ToString::to_string));
            hasher.field("weights", &digest.ok());
        }
        let settings = serde_json::to_string(&(&settings.tokens, &settings.segments))
            .map_err(|e| Fault::from(e.to_string()))?;
        hasher
            .field("settings", &settings)
            .field("networks", &segad_nn::REVISION)
            .field("imaging", &segad_imaging::REVISION)
            .field("features", &segad_features::REVISION)
            .field("forest", &segad_forest::REVISION)
            .field("heads", &segad_heads::REVISION)
            .field("embedding", &frozen::EMBED_REVISION)
            .field("frozen", &frozen::FIT_REVISION)
            .field("library", &segad_forest::library_version().to_string());
        arithmetic.feed_fields(&mut hasher);
        Ok(Checked {
            key: hasher.finish(),
            missing,
        })
    }

    fn classes(&self) -> Result<Vec<String>, Fault> {
        let classes = &self.source.manifest().classes;
        Ok(classes.iter().map(|c| c.name.clone()).collect())
    }

    fn seeds(&self, name: &str) -> Result<Vec<u64>, Fault> {
        let manifest = self.source.manifest();
        match manifest.seeds(name) {
            Some(seeds) => Ok(seeds.to_vec()),
            None => {
                let known: Vec<&str> = manifest.seeds.keys().map(String::as_str).collect();
                let known = known.join(", ");
                Err(
                    format!("seeds = {name:?}: expected a list of numbers, or one of {known}")
                        .into(),
                )
            }
        }
    }

    fn split(&self, class: &str, protocol: &Definition, seed: u64) -> Result<Arc<Split>, Fault> {
        let index = self.index(class)?;
        let kind: Protocol = protocol.kind.parse()?;
        let mut table = protocol.params.clone();
        // Not a parameter of the protocol: it only says that defects are generated, not how.
        let defects = match table.remove("defects") {
            None => None,
            Some(Value::Table(table)) => Some(table),
            Some(other) => return Err(format!("defects = {other}: expected a table").into()),
        };
        let params: ProtocolParams = Value::Table(table).try_into()?;
        let mut split = kind.split(&index, Seed(seed), &params)?;
        let mut mapped = kind.pool(&index, &split, &params)?;
        if split.forest_generated > 0 {
            let generated = self.generate(defects.as_ref(), &split.forest, seed)?;
            // Detectors map generated images like real ones.
            mapped.extend(generated.iter().map(|s| s.id.clone()));
            let all = [split.forest.samples(), &generated].concat();
            split.forest = TrainSplit::new(all)?;
        } else if defects.is_some() {
            return Err(format!("defects: protocol {kind} generates none").into());
        }
        // A protocol may leave no images for a classifier; rows with one then fail by name.
        let classifier = split.classifier.unwrap_or_default();
        let classifier_units = kind.units(&index, classifier.samples(), &params)?;
        let parts = SplitParts {
            detector: &split.detector,
            holdout: split.holdout.as_ref(),
            forest: &split.forest,
            classifier: &classifier,
            test: &split.test,
            mapped: &mapped,
        };
        let digests = SplitDigests::new(parts, |id| {
            self.recipes.digest(id, |id| self.source.digest(id))
        })?;
        Ok(Arc::new(Split {
            detector: split.detector,
            holdout: split.holdout,
            forest: split.forest,
            classifier,
            classifier_units,
            test: split.test,
            mapped,
            headline: split.headline_groups,
            detector_seed: split.detector_seed,
            seed: Seed(seed),
            digests,
        }))
    }
}
