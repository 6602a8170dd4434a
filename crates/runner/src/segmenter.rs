//! Segments whose label maps are made in cells of their own: learned from good images, or by a
//! TorchScript module.

use crate::error::RunnerError;
use crate::workbench::Workbench;
use segad_core::{BoxError, Image, ImageId, Key, KeyHasher, LabelMap};
use segad_grid::{Checked, SegmentCells};
use segad_methods::{Inputs, Pretrained, clusters};
use segad_nn::{Preprocess, Prompt, ScriptModule};
use segad_segments::{
    CLUSTERED_REVISION, ClusteredMode, Foreground, Interface, Normalise, SegmentsError,
    SegmentsSpec, SegmentsTable, TorchScriptParams,
};
use std::path::Path;
use toml::Value;

/// The settings, if segments of this kind are made in cells.
pub fn made(spec: Option<&Value>) -> Result<Option<SegmentsTable>, BoxError> {
    let Some(Value::Table(table)) = spec else {
        return Ok(None);
    };
    if !matches!(
        table.get("kind").and_then(Value::as_str),
        Some("clustered" | "torchscript")
    ) {
        return Ok(None);
    }
    match Value::Table(table.clone()).try_into()? {
        SegmentsSpec::Table(table) => Ok(Some(table)),
        SegmentsSpec::Named(_) => Ok(None),
    }
}

/// Which cells make the label maps of these segments; `None` for kinds that need none.
pub(crate) fn cells(
    bench: &Workbench,
    spec: Option<&Value>,
) -> Result<Option<SegmentCells>, BoxError> {
    let without_images = |kind: &str| -> Result<(), BoxError> {
        match bench.source.maps() {
            Some(_) => Err(format!(
                "kind = {kind:?}: expected a kind that needs no images, as --maps has none"
            )
            .into()),
            None => Ok(()),
        }
    };
    match made(spec)? {
        Some(SegmentsTable::Clustered(params)) => {
            params.check()?;
            let mut hasher = KeyHasher::new("segments/clustered", CLUSTERED_REVISION);
            hasher.field("params", &params);
            // Clusters of anomaly maps alone use no network, so their key knows of no weights.
            let mut missing = None;
            if let Some(kind) = clusters::backbone(&params)? {
                without_images("clustered with a backbone")?;
                let weights = Pretrained::backbone(kind, &params.layers);
                // Not an error here: a plan can be shown before the weights are downloaded.
                let digest = bench.inputs.weights_digest(&weights);
                missing = digest.as_ref().err().map(ToString::to_string);
                hasher
                    .field("weights", &digest.ok())
                    .field("networks", &segad_nn::REVISION);
                hasher.field("imaging", &segad_imaging::REVISION);
                bench.settings.arithmetic().feed_fields(&mut hasher);
            }
            let per_image = params.mode == ClusteredMode::Image;
            let checked = Checked {
                key: hasher.finish(),
                missing,
            };
            Ok(Some(SegmentCells {
                checked,
                fitted: true,
                maps: params.maps && !per_image,
                per_image,
            }))
        }
        Some(SegmentsTable::TorchScript(params)) => {
            params.check()?;
            without_images("torchscript")?;
            let mut hasher = KeyHasher::new("segments/torchscript", segad_segments::REVISION);
            hasher
                .field("params", &params)
                .field("imaging", &segad_imaging::REVISION);
            bench.settings.arithmetic().feed_fields(&mut hasher);
            let content = bench.file_digest(&bench.settings.base.join(&params.path));
            let missing = content.as_ref().err().map(ToString::to_string);
            hasher.field("module", &content.ok());
            let checked = Checked {
                key: hasher.finish(),
                missing,
            };
            Ok(Some(SegmentCells {
                checked,
                fitted: false,
                maps: false,
                per_image: true,
            }))
        }
        _ => Ok(None),
    }
}

/// A TorchScript module with what it takes to make label maps by it.
pub struct Script {
    module: ScriptModule,
    foreground: Foreground,
    params: TorchScriptParams,
}

impl Script {
    /// Opens the module; its path begins at `base`.
    pub fn open(
        params: TorchScriptParams,
        base: &Path,
        device: segad_core::Device,
    ) -> Result<Self, BoxError> {
        params.check()?;
        let path = base.join(&params.path);
        let wrong = |e: segad_nn::NnError| format!("{}: {e}", path.display());
        let module = ScriptModule::from_bytes(&segad_files::read(&path)?, device).map_err(wrong)?;
        let foreground = Foreground::new(params.foreground.clone(), params.size, params.size)?;
        Ok(Self {
            module,
            foreground,
            params,
        })
    }

    /// Names of the segments.
    pub fn names(&self) -> &[String] {
        &self.params.segments
    }

    /// The label map of an image, `size` squared, and whether it is empty.
    pub fn label_map(&self, id: &ImageId, image: &Image) -> Result<(LabelMap, bool), BoxError> {
        let made = match self.params.interface {
            Interface::Logits => self.by_logits(id, image),
            Interface::Promptable => self.by_prompts(id, image),
        };
        match made {
            // A single segment is everywhere; with several, only 0 means that nothing was found.
            Ok(map) if map.segments() == 1 || map.labels().iter().any(|&l| l != 0) => {
                Ok((map, false))
            }
            Ok(map) if self.params.allow_empty => Ok((map, true)),
            Ok(_) => {
                let name = &self.params.segments[0];
                let text = format!(
                    "{id}: the module finds only segment 0 ({name:?}); expected others too, or allow_empty = true"
                );
                Err(text.into())
            }
            Err(e) if self.params.allow_empty && is_empty(&*e) => {
                let size = self.params.size;
                Ok((LabelMap::new(size, size, vec![0; size * size], 2)?, true))
            }
            Err(e) => Err(e),
        }
    }

    fn by_logits(&self, id: &ImageId, image: &Image) -> Result<LabelMap, BoxError> {
        let side = self.params.input;
        let input = match self.params.normalise {
            Normalise::Imagenet => Preprocess::imagenet(side, side),
            Normalise::Unit => Preprocess::unit(side, side),
        };
        let map = self
            .module
            .label_map(image, &input, self.params.segments.len() as u8);
        let map = map.map_err(|e| format!("{}: {id}: {e}", self.params.path.display()))?;
        Ok(segad_imaging::resize_labels(
            &map,
            self.params.size,
            self.params.size,
        )?)
    }

    fn by_prompts(&self, id: &ImageId, image: &Image) -> Result<LabelMap, BoxError> {
        let prompt = |p: segad_segments::Piece| Prompt {
            bounds: p.bounds,
            inside: p.inside,
        };
        let prompts: Vec<Prompt> = self
            .foreground
            .pieces(id, image)?
            .into_iter()
            .map(prompt)
            .collect();
        let mask = self.module.foreground(image, &prompts);
        let mask = mask.map_err(|e| format!("{}: {id}: {e}", self.params.path.display()))?;
        Ok(self.foreground.finish(id, mask, image.height())?)
    }
}

fn is_empty(error: &(dyn std::error::Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(SegmentsError::EmptyForeground { .. })
    )
}

/// The content of a file, for keys.
pub(crate) fn digest(path: &Path) -> Result<Key, BoxError> {
    if !path.exists() {
        let message = format!(
            "{}: no such file; expected a TorchScript module",
            path.display()
        );
        return Err(RunnerError::Input(message).into());
    }
    Ok(Key::of_bytes(&segad_files::read(path)?))
}
