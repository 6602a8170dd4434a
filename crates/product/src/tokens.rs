//! Patch tokens of a frozen network, on which parts of a score are fitted.

use crate::backbones::Backbones;
use crate::data::{Data, Item};
use crate::error::{ProductError, Result};
use rayon::prelude::*;
use segad_core::{AnomalyMap, Device, FitContext, Image, Precision};
use segad_heads::{Tokens, spread};
use segad_methods::Pretrained;
use segad_nn::{
    Backbone, BackboneKind, MapOperator, NnError, Preprocess, Upsample, Weights, from_slice, to_vec,
};
use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use tch::Tensor;

/// Places along each side of the grid of a transformer's tokens.
const GRID: usize = 16;

/// Which tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TokenSettings {
    /// The network.
    pub backbone: BackboneKind,
    /// Its taps, all on one grid. Supervised maps are made of the first.
    pub layers: Vec<String>,
    /// Side of its input in pixels.
    pub image_size: usize,
}

impl TokenSettings {
    /// The default taps of a vision transformer, on a grid of 16×16; `None` for another network,
    /// whose taps have grids of their own.
    pub fn of(backbone: BackboneKind) -> Option<Self> {
        let patch = backbone.patch()?;
        Some(Self {
            backbone,
            layers: backbone.default_taps().map(str::to_owned).to_vec(),
            image_size: GRID * patch,
        })
    }

    /// What must be read of the network's weights: every tap must be there.
    pub(crate) fn pretrained(&self) -> impl Iterator<Item = Pretrained> + '_ {
        let taps = self.layers.chunks(1);
        taps.map(|tap| Pretrained::backbone(self.backbone, tap))
    }
}

/// The network at work.
pub(crate) struct TokenNetwork {
    backbone: Backbone,
    preprocess: Preprocess,
}

impl TokenNetwork {
    pub(crate) fn open(
        settings: &TokenSettings,
        weights: &Weights,
        device: Device,
    ) -> Result<Self> {
        let kind = settings.backbone;
        let side = settings.image_size;
        let backbone = Backbone::new(kind, &settings.layers, weights, device, Precision::F32)?;
        Ok(Self {
            backbone,
            preprocess: kind.preprocess(side, side),
        })
    }

    /// The network's input, N×3×S×S.
    pub(crate) fn input(&self, images: &[Image]) -> Result<Tensor> {
        Ok(self.preprocess.batch(images, self.backbone.device())?)
    }

    /// From the input to the tokens of all taps side by side, N×places×channels.
    pub(crate) fn network(&self, input: &Tensor) -> std::result::Result<Tensor, NnError> {
        let mut taps = Vec::new();
        for tap in self.backbone.outputs(input)? {
            taps.push(tap.places()?);
        }
        Ok(Tensor::f_cat(&taps, 2)?)
    }

    /// The tokens of an image; one at a time, so that neighbours in a batch cannot change a bit.
    pub(crate) fn of(&self, image: &Image) -> Result<ImageTokens> {
        let input = self.input(std::slice::from_ref(image))?;
        let mut layers = Vec::new();
        for tap in self.backbone.outputs(&input)? {
            let places = tap.places()?;
            let channels = places.size().last().map_or(1, |&c| c as usize);
            layers.push((to_vec(&places)?, channels));
        }
        Ok(ImageTokens { layers })
    }
}

/// The tokens of an image: values and number of channels of each tap.
pub(crate) struct ImageTokens {
    layers: Vec<(Vec<f32>, usize)>,
}

impl ImageTokens {
    pub(crate) fn layers(&self) -> impl Iterator<Item = Tokens<'_>> {
        (0..self.layers.len()).map(|l| self.layer(l))
    }

    pub(crate) fn layer(&self, layer: usize) -> Tokens<'_> {
        let (values, channels) = &self.layers[layer];
        Tokens::new(values, *channels).expect("a network's tokens fill its grid")
    }

    /// The first layer, of which supervised maps are made.
    pub(crate) fn first(&self) -> Tokens<'_> {
        self.layer(0)
    }

    /// The deviation of every channel of every layer over the places.
    pub(crate) fn spread(&self) -> Vec<f64> {
        self.layers().flat_map(spread).collect()
    }

    /// Channels of each layer.
    pub(crate) fn channels(&self) -> Vec<usize> {
        self.layers.iter().map(|(_, channels)| *channels).collect()
    }
}

/// The tokens of all images, in the order of the data.
pub(crate) fn read(
    data: &Data<'_>,
    settings: &TokenSettings,
    backbones: &Backbones,
    ctx: &FitContext,
) -> Result<Vec<ImageTokens>> {
    let images = data.items.len();
    let task = Mutex::new(ctx.progress.start("tokens", Some(images as u64)));
    // A network for each thread: its tensors cannot be shared.
    let share = images.div_ceil(rayon::current_num_threads()).max(1);
    let parts = data.items.par_chunks(share).map(|items: &[Item]| {
        let weights = backbones.of(settings.backbone)?;
        let network = TokenNetwork::open(settings, &weights, ctx.device)?;
        let mut tokens = Vec::with_capacity(items.len());
        for item in items {
            if ctx.cancel.is_cancelled() {
                return Err(ProductError::Cancelled);
            }
            tokens.push(network.of(&data.load(item)?)?);
            if let Ok(task) = task.lock() {
                task.advance(1);
            }
        }
        Ok(tokens)
    });
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let tokens: Vec<ImageTokens> = parts.into_iter().flatten().collect();
    check_grids(&tokens)?;
    Ok(tokens)
}

/// All taps have as many places.
fn check_grids(tokens: &[ImageTokens]) -> Result<()> {
    let Some(first) = tokens.first() else {
        return Ok(());
    };
    let places: Vec<usize> = first.layers().map(|l| l.places()).collect();
    if places.iter().all(|p| *p == places[0]) {
        return Ok(());
    }
    Err(ProductError::Setting {
        name: "layers of tokens",
        value: format!("{places:?} places"),
        expected: "taps of one grid".to_owned(),
    })
}

/// From a map on the grid of the tokens to one of the detectors' size.
pub(crate) struct Enlarge {
    operator: MapOperator,
    grid: i64,
    side: usize,
}

impl Enlarge {
    /// From a square grid of `places`.
    pub(crate) fn new(places: usize, side: usize) -> Result<Self> {
        let grid = places.isqrt();
        let linear = Upsample::Bilinear {
            align_corners: false,
        };
        let cpu = tch::Device::Cpu;
        Ok(Self {
            operator: MapOperator::new((grid, grid), (side, side), linear, None, cpu)?,
            grid: grid as i64,
            side,
        })
    }

    pub(crate) fn map(&self, values: &[f64]) -> Result<AnomalyMap> {
        let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        let small = from_slice(&narrow, &[self.grid, self.grid])?;
        let large = to_vec(&self.operator.apply(&small)?)?;
        Ok(AnomalyMap::new(self.side, self.side, large)?)
    }
}
