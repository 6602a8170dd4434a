//! A model file: it inspects images, and its card records how the images that it was fitted on
//! scored out of fold.

use super::{Photos, coloured, outlined};
use segad_core::{AnomalyMap, BoxError, Device, Image, Label, LabelMap};
use segad_grid::chain;
use segad_metrics::{percent, short};
use segad_product::{Card, Inspection, Inspector, Model, Photograph, ProductError};
use segad_serve::{
    About, Answer, Area, Gallery, ImageSet, Inspect, Item, Layer, LayerKind, MapPicture, Refusal,
};
use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Reasons of an answer.
const REASONS: usize = 8;
/// Inspected images of the gallery whose maps are kept: one image has several layers.
const KEPT: usize = 8;

/// Inspectors that take turns, as two threads cannot share one.
pub(crate) struct Worker {
    card: Card,
    idle: Mutex<Vec<Inspector>>,
    freed: Condvar,
}

/// An inspector that is returned when dropped, even after a panic.
struct Taken<'a> {
    from: &'a Worker,
    inspector: Option<Inspector>,
}

impl Deref for Taken<'_> {
    type Target = Inspector;

    fn deref(&self) -> &Inspector {
        self.inspector
            .as_ref()
            .expect("it is only taken out when this is dropped")
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(inspector) = self.inspector.take() {
            self.from
                .idle
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(inspector);
            self.from.freed.notify_one();
        }
    }
}

impl Worker {
    /// Puts a model to work, `count` times at least once.
    ///
    /// # Errors
    /// The model's.
    pub(crate) fn new(model: &Model, device: Device, count: usize) -> Result<Self, ProductError> {
        let idle = (0..count.max(1))
            .map(|_| Inspector::new(model, device))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            card: model.card().clone(),
            idle: Mutex::new(idle),
            freed: Condvar::new(),
        })
    }

    /// Waits for an inspector.
    fn take(&self) -> Taken<'_> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(inspector) = idle.pop() {
                return Taken {
                    from: self,
                    inspector: Some(inspector),
                };
            }
            idle = self
                .freed
                .wait(idle)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Inspect for Worker {
    fn about(&self) -> About {
        let Card {
            name,
            operating,
            segment_names,
            data,
            ..
        } = &self.card;
        let level = operating.level;
        let false_alarms = operating.false_alarms.describe(Label::Good, level);
        let mut facts = vec![
            (
                "Fitted on".to_owned(),
                format!("{} good and {} bad images", data.good, data.bad),
            ),
            ("Images".to_owned(), self.card.reading.describe()),
            ("False alarms".to_owned(), false_alarms),
            (
                "Misses".to_owned(),
                operating.misses.describe(Label::Bad, level),
            ),
        ];
        if let Some(chosen) = self.card.chosen() {
            let interval = format!(
                "{} % ({} % interval {} to {} %)",
                percent(chosen.auroc),
                short(100.0 * level, 1),
                percent(chosen.low),
                percent(chosen.high)
            );
            facts.insert(1, (format!("AUROC out of fold, {}", chosen.name), interval));
        }
        let reach = self.card.reach();
        facts.extend(reach.into_iter().map(|l| ("Intervals".to_owned(), l)));
        facts.extend(
            self.card
                .lacks
                .iter()
                .map(|l| ("Lacks".to_owned(), l.clone())),
        );
        About {
            name: name.clone(),
            threshold: operating.threshold,
            segments: segment_names.clone(),
            detectors: self
                .card
                .maps()
                .iter()
                .map(|(name, _)| (*name).to_owned())
                .collect(),
            facts,
        }
    }

    fn inspect(&self, bytes: &[u8]) -> Result<Answer, Refusal> {
        let inspector = self.take();
        let Photograph { image, warnings } = inspector
            .decode(bytes)
            .map_err(|e| Refusal::Image(e.to_string()))?;
        let inspection = inspector.inspect(&image).map_err(|e| match e {
            // The product is not found in the image.
            ProductError::Segments(e) => Refusal::Image(e.to_string()),
            other => Refusal::Internal(chain(&other)),
        })?;
        drop(inspector);
        let Inspection {
            score,
            verdict,
            probability,
            mut reasons,
            map,
            maps,
            segments,
            ..
        } = inspection;
        reasons.retain(|r| r.contribution > 0.0);
        reasons.truncate(REASONS);
        let own = maps
            .into_iter()
            .zip(self.card.maps())
            .map(|(map, (name, [low, high]))| MapPicture {
                detector: name.to_owned(),
                map,
                low,
                high,
            });
        let mut maps: Vec<MapPicture> = own.collect();
        if maps.len() > 1 {
            maps.insert(
                0,
                MapPicture {
                    detector: "all maps".to_owned(),
                    map,
                    low: 0.0,
                    high: 1.0,
                },
            );
        }
        Ok(Answer {
            score,
            verdict,
            probability: Some(probability),
            warnings,
            reasons,
            maps,
            segments: Some(segments),
        })
    }
}

/// The position of an image, its map and its segments.
type Kept = (usize, Arc<(AnomalyMap, LabelMap)>);

/// The images that a model was fitted on, each with its score by a model that had not seen it.
pub(crate) struct FittedOn {
    set: Arc<ImageSet>,
    name: String,
    photos: Option<Photos>,
    worker: Arc<Worker>,
    kept: Mutex<VecDeque<Kept>>,
}

impl FittedOn {
    pub(crate) fn new(worker: Arc<Worker>, photos: Option<Photos>) -> Self {
        let card = &worker.card;
        let item = |s: &segad_product::Scored| Item {
            id: s.id.to_string(),
            label: s.label,
            group: s.kind.clone(),
            score: s.score,
        };
        let layer = |name: &str, kind| Layer {
            name: name.to_owned(),
            kind,
        };
        let layers = vec![
            layer("image", LayerKind::Photo),
            layer("map", LayerKind::Map),
            layer("segments", LayerKind::Segments),
            layer("outlines", LayerKind::Outlines),
        ];
        let mut notes = vec!["Scores are from models that had not seen the image.".to_owned()];
        if photos.is_none() {
            notes.push("Start with --images DIR to see the photographs and maps.".to_owned());
        }
        let set = ImageSet {
            notes,
            set_aside: Vec::new(),
            level: card.operating.level,
            auroc: card.chosen().map(|chosen| Area {
                value: chosen.auroc,
                low: chosen.low,
                high: chosen.high,
            }),
            threshold: Some(card.operating.threshold),
            layers: if photos.is_some() { layers } else { Vec::new() },
            items: card.images.iter().map(item).collect(),
        };
        let name = format!("{}, images it was fitted on", card.name);
        Self {
            set: Arc::new(set),
            name,
            photos,
            worker,
            kept: Mutex::default(),
        }
    }

    fn photo(&self, item: usize) -> Result<Image, BoxError> {
        self.photos
            .as_ref()
            .ok_or("photographs are not available")?
            .load(&self.set.items[item].id)
    }

    fn maps(&self, item: usize) -> Result<Arc<(AnomalyMap, LabelMap)>, BoxError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, maps)) = kept().iter().find(|(i, _)| *i == item) {
            return Ok(maps.clone());
        }
        let inspection = self.worker.take().inspect(&self.photo(item)?)?;
        let maps = Arc::new((inspection.map, inspection.segments));
        let mut kept = kept();
        kept.push_front((item, maps.clone()));
        kept.truncate(KEPT);
        Ok(maps)
    }
}

impl Gallery for FittedOn {
    fn names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn set(&self, _: usize) -> Result<Arc<ImageSet>, BoxError> {
        Ok(self.set.clone())
    }

    fn picture(&self, _: usize, item: usize, layer: usize) -> Result<Image, BoxError> {
        match self.set.layers[layer].kind {
            LayerKind::Photo => self.photo(item),
            LayerKind::Map => Ok(segad_imaging::heatmap(&self.maps(item)?.0, 0.0, 1.0)?),
            LayerKind::Segments => coloured(&self.maps(item)?.1),
            LayerKind::Outlines => outlined(&self.maps(item)?.1),
        }
    }
}
