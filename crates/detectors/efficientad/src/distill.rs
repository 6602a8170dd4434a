use crate::layer::variables;
use crate::loss::mean_square;
use crate::pdn::{CHANNELS, Pdn};
use crate::stages::into_pair;
use crate::statistics::{ChannelStatistics, Channels};
use crate::targets::Targets;
use crate::{DistillParams, EfficientAdError, FIT_REVISION, PdnSize, augment};
use segad_core::{FitContext, Image, Key, KeyHasher, Seed, TrainGood};
use segad_imaging::grey;
use segad_nn::model::{check_cancelled, expect_images, load_good};
use segad_nn::train::{
    CurvePoint, FrozenCache, Length, Optimiser, Run, ShuffledBatches, TrainPlan, initialise,
    pytorch_default, train,
};
use segad_nn::{NnError, Preprocess, Weights, channels_last, torch_device, write_tensors};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::VarStore;

const NAME: &str = "efficientad-teacher";
/// Most images over which the targets' channels are normalised; as published.
const STATISTICS: usize = 10_000;

/// A teacher made by [`distill`].
pub struct DistilledTeacher {
    /// Its size.
    pub size: PdnSize,
    /// A safetensors file with the names of the published teachers.
    pub file: Vec<u8>,
    /// The loss over the training.
    pub curve: Vec<CurvePoint>,
}

impl DistilledTeacher {
    /// Its weights, as [`crate::EfficientAd::new`] takes them.
    ///
    /// # Errors
    /// [`NnError::WeightValues`] if training gave NaN.
    pub fn weights(&self) -> Result<Weights, NnError> {
        Weights::from_safetensors(&self.file)
    }
}

/// Trains a teacher to reproduce a frozen backbone's patch features: those of two layers, 3×3
/// places around each, averaged to 384 channels and normalised over the images. Any `images` will
/// do, the more and the more varied the better; their labels do not matter. The backbone sees them
/// at twice the teacher's size.
///
/// # Errors
/// [`EfficientAdError`]: no image, weights that do not fit, constant images, a diverged training.
pub fn distill(
    images: &TrainGood<'_>,
    params: &DistillParams,
    backbone: &Weights,
    seed: Seed,
    ctx: &FitContext,
) -> Result<DistilledTeacher, EfficientAdError> {
    expect_images(NAME, "images to distil on", images.len(), 1)?;
    let device = torch_device(ctx.device)?;
    let n = images.len();
    let targets = Targets::new(params, backbone, ctx.device, ctx.precision)?;
    let input = Preprocess::imagenet(params.image_size, params.image_size);
    // Sample n + i is image i without colour.
    let mut cache = FrozenCache::new(2 * n, ctx.memory, ctx.precision, device, |j| {
        let image = load_good("distillation", images, j % n)?;
        let image = [if j < n {
            image
        } else {
            without_colour(&image)?
        }];
        Ok::<_, EfficientAdError>(vec![input.batch(&image, device)?, targets.compute(&image)?])
    });
    let channels = measure(&mut cache, n.min(STATISTICS), device, ctx)?;

    let store = VarStore::new(device);
    // Padded, as the published teachers; an unpadded network can still use its weights.
    let teacher = Pdn::new(params.network, CHANNELS, true, &mut variables(store.root()))?;
    initialise(&store, seed.derive("weights"), pytorch_default(&store))?;
    let adam = Optimiser::adam(params.weight_decay);
    let run = Run {
        name: NAME,
        plan: &TrainPlan::new(adam, params.learning_rate, Length::Steps(params.iterations)),
        seed: seed.derive("steps"),
        identity: identity(params, backbone, images),
        ctx,
    };
    let mut order = ShuffledBatches::new(n, params.batch.min(n), true, seed.derive("order"))?;
    let trained = train(&store, &mut order, &run, |step| {
        // The backbone sees the same grey image, so the target stays true.
        let mut rng = step.seed.derive("grey").rng();
        let mut samples = step.samples.to_vec();
        for sample in &mut samples {
            if augment::draw_unit(&mut rng) < params.grey {
                *sample += n;
            }
        }
        let [x, target] = into_pair(cache.batch(&samples)?)?;
        let output = teacher.forward(&channels_last(&x)?)?;
        Ok::<_, EfficientAdError>(mean_square(&channels.normalise(&target)?, &output)?.into())
    })?;
    // Sorted, so that the same weights give the same bytes.
    let tensors: BTreeMap<String, Tensor> = store.variables().into_iter().collect();
    Ok(DistilledTeacher {
        size: params.network,
        file: write_tensors(tensors)?,
        curve: trained.curve,
    })
}

/// What a checkpoint belongs to, besides plan and seed.
fn identity(params: &DistillParams, backbone: &Weights, images: &TrainGood<'_>) -> Key {
    KeyHasher::new(NAME, FIT_REVISION)
        .field("params", params)
        .field("weights", &backbone.digest())
        .field("images", images.ids())
        .finish()
}

fn without_colour(image: &Image) -> Result<Image, NnError> {
    grey(image).map_err(|e| NnError::Image {
        index: 0,
        source: e.into(),
    })
}

/// Mean and deviation of the targets' channels over the first images.
fn measure(
    cache: &mut FrozenCache<'_, EfficientAdError>,
    images: usize,
    device: tch::Device,
    ctx: &FitContext,
) -> Result<Channels, EfficientAdError> {
    let total = Some(images as u64);
    let task = ctx.progress.start("efficientad: features", total);
    let mut statistics = ChannelStatistics::new(CHANNELS, device)?;
    for i in 0..images {
        check_cancelled(NAME, ctx)?;
        let [_, target] = into_pair(cache.batch(&[i])?)?;
        statistics.add(&target)?;
        task.advance(1);
    }
    statistics.finish_some()
}
