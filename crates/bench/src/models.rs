use segad_core::{
    AnomalyDetector, AnomalyMap, BoxError, Device, FitContext, FitDetector, Image, ImageId,
    ImageLoader, Label, Precision, Sample, Seed, TrainSplit,
};
use segad_detector_efficientad::{
    EfficientAd, EfficientAdSettings, FittedEfficientAd, PdnSize, Teacher,
};
use segad_detector_fastflow::{FastFlow, FastFlowSettings, FittedFastFlow};
use segad_detector_patchcore::{FittedPatchCore, PatchCore, PatchCoreSettings};
use segad_detector_rd4ad::{FittedRd4ad, Rd4ad, Rd4adSettings};
use segad_nn::method::FittedDetector;
use segad_nn::model::{Settings, split_maps};
use segad_nn::{
    BackboneKind, Preprocess, SavedModel, Weights, from_slice, golden, torch_device, write_tensors,
};
use std::path::PathBuf;

const KIND: BackboneKind = BackboneKind::WideResnet50_2;
const SIZE: usize = 256;
/// Images whose patches make PatchCore's bank, all of them: 10 240 rows, as for 1000 images at 1 %.
const BANK: usize = 10;
/// Training steps of one measurement; the first is not counted.
pub(crate) const STEPS: u64 = 4;

/// From images to maps, by a detector of any kind.
pub(crate) type Maps = Box<dyn Fn(&[Image]) -> Result<Vec<AnomalyMap>, BoxError>>;

/// Smooth noise that depends on the name.
struct Texture;

impl ImageLoader for Texture {
    fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
        let salt = id
            .as_str()
            .bytes()
            .fold(7u32, |h, b| h.wrapping_mul(31).wrapping_add(b.into()));
        let mut pixels = Vec::with_capacity(SIZE * SIZE);
        for i in 0..SIZE * SIZE {
            // Murmur3's finaliser over 4×4 places.
            let place = (i / SIZE / 4 * 64 + i % SIZE / 4) as u32;
            let mut h = place ^ salt.wrapping_mul(0x9E37_79B9);
            h = (h ^ (h >> 16)).wrapping_mul(0x85EB_CA6B);
            h = (h ^ (h >> 13)).wrapping_mul(0xC2B2_AE35);
            pixels.push((h >> 24) as u8);
        }
        Ok(Image::from_grey(SIZE, SIZE, &pixels)?)
    }
}

fn split(images: usize) -> Result<TrainSplit, BoxError> {
    let samples = (0..images)
        .map(|i| Sample::new(ImageId::new(format!("good {i}")), Label::Good))
        .collect();
    Ok(TrainSplit::new(samples)?)
}

/// The models of one comparison, in a folder that the other programs read.
pub(crate) struct Zoo {
    folder: PathBuf,
    batch: usize,
    weights: Weights,
}

impl Zoo {
    /// With random backbone weights, the same for all programs.
    pub(crate) fn open(folder: PathBuf, batch: usize) -> Result<Self, BoxError> {
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("backbone.safetensors");
        if !file.exists() {
            let random = Weights::random(KIND, Some("layer3"), Seed(0))?;
            std::fs::write(&file, write_tensors(random.tensors())?)?;
        }
        Ok(Self {
            folder,
            batch,
            weights: Weights::from_safetensors(&std::fs::read(&file)?)?,
        })
    }

    /// A batch to score.
    pub(crate) fn images(&self) -> Result<Vec<Image>, BoxError> {
        (0..self.batch)
            .map(|i| Texture.load(&ImageId::new(format!("test {i}"))))
            .collect()
    }

    /// Fits a model for `steps` steps on as many images as a step sees.
    pub(crate) fn fit(
        &self,
        model: &str,
        steps: u64,
        ctx: &FitContext,
    ) -> Result<SavedModel, BoxError> {
        let batch = self.batch.max(2);
        let weights = self.weights.clone();
        Ok(match model {
            "patchcore" => {
                let settings = PatchCoreSettings {
                    coreset_ratio: 1.0,
                    ..Default::default()
                };
                let detector = PatchCore::new(settings.checked()?, weights)?;
                fit(&detector, BANK, ctx)?.save()?
            }
            "fastflow" => {
                let settings = FastFlowSettings {
                    epochs: steps,
                    batch,
                    ..Default::default()
                };
                let detector = FastFlow::new(settings.checked()?, weights)?;
                fit(&detector, batch, ctx)?.save()?
            }
            "rd4ad" => {
                let settings = Rd4adSettings {
                    epochs: steps,
                    batch,
                    ..Default::default()
                };
                let detector = Rd4ad::new(settings.checked()?, weights)?;
                fit(&detector, batch, ctx)?.save()?
            }
            "efficientad-s" => self.fit_efficientad(Teacher::Small, PdnSize::Small, steps, ctx)?,
            "efficientad-m" => {
                self.fit_efficientad(Teacher::Medium, PdnSize::Medium, steps, ctx)?
            }
            _ => return Err(format!("unknown model {model:?}").into()),
        })
    }

    fn fit_efficientad(
        &self,
        teacher: Teacher,
        size: PdnSize,
        steps: u64,
        ctx: &FitContext,
    ) -> Result<SavedModel, BoxError> {
        let settings = EfficientAdSettings {
            teacher,
            iterations: steps,
            ..Default::default()
        };
        let detector = EfficientAd::new(settings.checked()?, random_teacher(size)?)?;
        Ok(fit(&detector, 2, ctx)?.save()?)
    }

    /// Fits and writes a model, an input and the maps that must come out, unless that was done
    /// before.
    pub(crate) fn write(&self, model: &str, images: &[Image]) -> Result<(), BoxError> {
        let inputs = self.folder.join(format!("{model}.input.safetensors"));
        if inputs.exists() {
            return Ok(());
        }
        let ctx = FitContext {
            batch: self.batch,
            ..FitContext::default()
        };
        let saved = self.fit(model, 1, &ctx)?;
        std::fs::write(self.folder.join(format!("{model}.json")), &saved.header)?;
        let tensors = self.folder.join(format!("{model}.safetensors"));
        std::fs::write(tensors, &saved.tensors)?;
        let maps = self.load(model, Precision::F32)?(images)?;
        let values: Vec<f32> = maps.iter().flat_map(|m| m.values()).copied().collect();
        let maps = from_slice(&values, &[self.batch as i64, SIZE as i64, SIZE as i64])?;
        let x = Preprocess::imagenet(SIZE, SIZE).batch(images, torch_device(Device::Cpu)?)?;
        // Last, since it marks the model as complete.
        std::fs::write(inputs, write_tensors([("images", &x), ("maps", &maps)])?)?;
        Ok(())
    }

    fn read(&self, model: &str, precision: Precision) -> Result<SavedModel, BoxError> {
        let header = std::fs::read_to_string(self.folder.join(format!("{model}.json")))?;
        // Fitted in f32, scored in either precision.
        let header = header.replace(
            "\"precision\": \"f32\"",
            &format!("\"precision\": \"{precision}\""),
        );
        Ok(SavedModel {
            header,
            tensors: std::fs::read(self.folder.join(format!("{model}.safetensors")))?,
        })
    }

    pub(crate) fn load(&self, model: &str, precision: Precision) -> Result<Maps, BoxError> {
        let saved = self.read(model, precision)?;
        let weights = &self.weights;
        let batch = self.batch;
        Ok(match model {
            "patchcore" => boxed(FittedPatchCore::load(&saved, weights, Device::Cpu, batch)?),
            "fastflow" => boxed(FittedFastFlow::load(&saved, weights, Device::Cpu, batch)?),
            "rd4ad" => boxed(FittedRd4ad::load(&saved, weights, Device::Cpu, batch)?),
            _ => boxed(FittedEfficientAd::load(&saved, Device::Cpu, batch)?),
        })
    }

    /// PatchCore with an exhaustive search for the nearest rows.
    pub(crate) fn load_products(&self) -> Result<Maps, BoxError> {
        let saved = self.read("patchcore", Precision::F32)?;
        let fitted = FittedPatchCore::load(&saved, &self.weights, Device::Cpu, self.batch)?;
        Ok(Box::new(move |images| {
            let maps = fitted.network(&fitted.input(images)?)?;
            Ok(split_maps("patchcore", 0, &maps)?)
        }))
    }
}

fn fit<D: FitDetector>(
    detector: &D,
    images: usize,
    ctx: &FitContext,
) -> Result<D::Fitted, BoxError> {
    Ok(detector.fit(&split(images)?.good(&Texture), Seed(0), ctx)?)
}

fn boxed(detector: impl AnomalyDetector + 'static) -> Maps {
    Box::new(move |images| Ok(detector.maps(images)?))
}

/// A teacher with random weights: as fast as any other.
fn random_teacher(size: PdnSize) -> Result<Weights, BoxError> {
    let mut tensors = Vec::new();
    for parameter in size.teacher_parameters() {
        let tensor = golden::parameter(&parameter.name, &parameter.shape)?;
        tensors.push((parameter.name, tensor));
    }
    Ok(Weights::from_safetensors(&write_tensors(tensors)?)?)
}
