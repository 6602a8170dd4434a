use crate::images::load;
use crate::layer::variables;
use crate::loss::mean_square;
use crate::pdn::{CHANNELS, Pdn};
use crate::statistics::ChannelStatistics;
use crate::targets::Targets;
use crate::{DistillParams, EfficientAdError, FIT_REVISION, PdnSize, augment};
use segad_core::{FitContext, KeyHasher, Seed, TrainGood};
use segad_imaging::grey;
use segad_nn::train::{
    CurvePoint, FrozenCache, Length, Optimiser, Run, ShuffledBatches, TrainPlan, initialise,
    pytorch_default, train,
};
use segad_nn::{NnError, Preprocess, Weights, channels_last, torch_device, write_tensors};
use tch::Tensor;
use tch::nn::VarStore;

const NAME: &str = "efficientad-teacher";
/// Images over which the targets' channels are normalised, at most; as published.
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

/// Trains a teacher to give a frozen backbone's patch features: those of two layers, 3×3 places
/// around each, averaged to 384 channels and normalised over the images. `images` may be any, the
/// more and the more varied the better; their labels do not matter. The backbone sees them at twice
/// the teacher's size.
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
    if images.is_empty() {
        return Err(EfficientAdError::TooFewImages {
            what: "images to distil on",
            actual: 0,
            expected: 1,
        });
    }
    let (device, s, n) = (torch_device(ctx.device)?, params.settings(), images.len());
    let targets = Targets::new(params, backbone, ctx.device, ctx.precision)?;
    let input = Preprocess::imagenet(s.image_size, s.image_size);
    // Sample n + i is image i without colour.
    let mut cache = FrozenCache::new(2 * n, ctx.memory, ctx.precision, device, |j| {
        let mut image = load("distillation", images, j % n)?;
        if j >= n {
            image = grey(&image).map_err(|e| NnError::Image {
                index: 0,
                source: e.into(),
            })?;
        }
        let image = [image];
        Ok::<_, EfficientAdError>(vec![input.batch(&image, device)?, targets.of(&image)?])
    });

    let task = ctx
        .progress
        .start("efficientad: features", Some(n.min(STATISTICS) as u64));
    let mut statistics = ChannelStatistics::new(CHANNELS, device)?;
    for i in 0..n.min(STATISTICS) {
        if ctx.cancel.is_cancelled() {
            return Err(EfficientAdError::Cancelled);
        }
        cache
            .batch(&[i])?
            .get(1)
            .map_or(Ok(()), |t| statistics.add(t))?;
        task.advance(1);
    }
    drop(task);
    let channels = statistics.finish_some()?;

    let store = VarStore::new(device);
    // Padded, as the published teachers.
    let teacher = Pdn::new(s.network, CHANNELS, true, &mut variables(store.root()))?;
    initialise(&store, seed.derive("weights"), pytorch_default(&store))?;
    let adam = Optimiser::adam(s.weight_decay);
    let plan = TrainPlan::new(adam, s.learning_rate, Length::Steps(s.iterations));
    let mut hasher = KeyHasher::new(NAME, FIT_REVISION);
    hasher
        .field("params", params)
        .field("weights", &backbone.digest())
        .field("images", images.ids());
    let run = Run {
        name: NAME,
        plan: &plan,
        seed: seed.derive("steps"),
        identity: hasher.finish(),
        ctx,
    };
    let mut order = ShuffledBatches::new(n, s.batch.min(n), true, seed.derive("order"))?;
    let trained = train(&store, &mut order, &run, |step| {
        let mut rng = step.seed.derive("grey").rng();
        let samples: Vec<usize> = step
            .samples
            .iter()
            .map(|&i| {
                if augment::unit(&mut rng) < s.grey {
                    n + i
                } else {
                    i
                }
            })
            .collect();
        let parts = cache.batch(&samples)?;
        let [x, target] = &parts[..] else {
            return Err(NnError::EmptyBatch.into());
        };
        let output = teacher.forward(&channels_last(x)?)?;
        Ok::<_, EfficientAdError>(mean_square(&channels.normalise(target)?, &output)?.into())
    })?;
    let mut tensors: Vec<(String, Tensor)> = store.variables().into_iter().collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(DistilledTeacher {
        size: s.network,
        file: write_tensors(tensors)?,
        curve: trained.curve,
    })
}
