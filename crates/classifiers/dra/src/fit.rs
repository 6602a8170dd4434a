use crate::augment::cut_paste;
use crate::model::{FittedDra, KIND, Origin};
use crate::score::{Network, Role, Scores};
use crate::{DraParams, FIT_REVISION};
use rand::Rng;
use segad_core::{FitClassifier, FitContext, Image, Label, Seed, TrainLabelled};
use segad_nn::model::{ModelError, expect_labels, positions, training_identity};
use segad_nn::train::{
    BalancedBatches, Loss, ResizedImages, Run, Step, Stream, Trained, shuffle, train, turned,
    uniform,
};
use segad_nn::{NnError, Preprocess, Weights, autocast, torch_device};
use tch::Tensor;

/// DRA, not fitted yet: parameters and the weights that the backbone starts with.
///
/// Memory: the network's variables four times over (values, gradients, Adam's two), one batch's
/// activations (about 30 MB per image of 256 pixels with ResNet-18), and as many resized training
/// images as fit the context's budget.
pub struct Dra {
    params: DraParams,
    weights: Weights,
}

impl Dra {
    /// With weights of `params.backbone`, complete up to its last tap.
    ///
    /// # Errors
    /// [`ModelError::Weights`] if they are not.
    pub fn new(params: DraParams, weights: Weights) -> Result<Self, ModelError> {
        let kind = params.backbone;
        weights
            .check(kind, Some(kind.last_tap()))
            .map_err(ModelError::from_weights)?;
        Ok(Self { params, weights })
    }

    /// The parameters.
    pub fn params(&self) -> &DraParams {
        &self.params
    }
}

impl FitClassifier for Dra {
    type Fitted = FittedDra;
    type Error = ModelError;

    /// Fits on labelled images. The same images, seed and precision give the same model. One bad
    /// image is enough, as in the published one-shot experiments; it then fills every bad place of
    /// every batch.
    ///
    /// # Errors
    /// Fewer than two good or no bad image, an unreadable image, a training that diverges or is
    /// cancelled.
    fn fit(
        &self,
        images: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<FittedDra, ModelError> {
        let params = &self.params;
        let labels = images.labels();
        expect_labels(KIND, &labels, 2)?;
        let good = positions(&labels, Label::Good);
        let bad = positions(&labels, Label::Bad);
        let device = torch_device(ctx.device)?;
        let network = Network::new(params, &self.weights, seed.derive("network"), device)?;
        let mut pictures = Pictures {
            params,
            pixels: ResizedImages::new(images, params.image_size, ctx.memory),
            good: good.clone(),
            preprocess: params
                .backbone
                .preprocess(params.image_size, params.image_size),
            device,
        };
        let trained = self.train(&network, &mut pictures, images, seed, ctx)?;
        tracing::debug!(
            good = good.len(),
            bad = bad.len(),
            steps = trained.steps,
            "dra trained"
        );

        // The references of scoring: good images drawn once, where the official code draws anew for
        // every test batch.
        let mut origin = Origin {
            good: good.len(),
            bad: bad.len(),
            steps: trained.steps,
            seed,
            precision: ctx.precision,
            weights: Some(self.weights.digest()),
            references: vec![],
            curve: trained.curve,
        };
        let mut chosen = good;
        shuffle(&mut chosen, seed.derive("scoring references"));
        chosen.truncate(params.references);
        // The mean of features does not depend on the order, its last bits do.
        chosen.sort_unstable();
        let ids = chosen.iter().map(|&i| images.samples()[i].id.clone());
        origin.references = ids.collect();
        let batch = pictures.references(&chosen, seed.derive("scoring references"))?;
        let input = pictures.input(&batch)?;
        let features =
            tch::no_grad(|| autocast(device, ctx.precision, || network.references(&input)))?;
        FittedDra::new(params.clone(), origin, network, features, ctx.batch)
    }
}

impl Dra {
    fn train(
        &self,
        network: &Network,
        pictures: &mut Pictures<'_>,
        images: &TrainLabelled<'_>,
        seed: Seed,
        ctx: &FitContext,
    ) -> Result<Trained, ModelError> {
        let params = &self.params;
        let labels = images.labels();
        let good = positions(&labels, Label::Good);
        let [from_good, from_bad] = params.shares();
        let mut references = Stream::new(good.clone(), seed.derive("references"))?;
        let groups = vec![
            (good, from_good),
            (positions(&labels, Label::Bad), from_bad),
        ];
        let mut batches =
            BalancedBatches::new(groups, params.steps_per_epoch, seed.derive("batches"))?;
        let plan = params.plan();
        let samples = images.samples();
        let run = Run {
            name: KIND,
            plan: &plan,
            seed: seed.derive("steps"),
            identity: training_identity(KIND, FIT_REVISION, params, &self.weights, samples, seed),
            ctx,
        };
        train(&network.backbone.store, &mut batches, &run, |step| {
            // The references run on from step to step, so that a resumed training takes the same.
            let at = step.index * params.references as u64;
            let chosen = references.take(at, params.references);
            let mut batch = pictures.references(&chosen, step.seed)?;
            let mut roles = Vec::with_capacity(step.samples.len());
            for (slot, &i) in step.samples.iter().enumerate() {
                let slot_seed = step.seed.derive(&format!("slot {slot}"));
                let (image, role) = pictures.sample(i, labels[i], slot_seed)?;
                batch.push(image);
                roles.push(role);
            }
            let scores = network.train(&pictures.input(&batch)?, &roles)?;
            loss(params, &scores, &roles, step)
        })
    }
}

/// The sum of the heads' losses, each over the images that the head sees.
fn loss(
    params: &DraParams,
    scores: &Scores,
    roles: &[Role],
    step: &Step<'_>,
) -> Result<Loss, ModelError> {
    use Role::{Good, Pseudo, Seen};
    let objective = params.objective();
    // For each head the role that it never sees, if any, and those that it scores high: the holistic
    // head is the one that is high for good images.
    let heads: [(&str, &Tensor, Option<Role>, &[Role]); 4] = [
        ("holistic", &scores.holistic, None, &[Good]),
        ("seen", &scores.seen, Some(Pseudo), &[Seen]),
        ("pseudo", &scores.pseudo, Some(Seen), &[Pseudo]),
        ("composite", &scores.composite, None, &[Seen, Pseudo]),
    ];
    let mut parts = Vec::new();
    for (name, scores, unseen, high) in heads {
        let sees = roles.iter().filter(|&&role| Some(role) != unseen);
        let targets: Vec<bool> = sees.map(|role| high.contains(role)).collect();
        // A prior of its own per head, as the official code draws anew for each loss.
        let loss = objective.loss(scores, &targets, step.seed.derive(name))?;
        parts.push((name, loss));
    }
    let all: Vec<&Tensor> = parts.iter().map(|p| &p.1).collect();
    let total = Tensor::f_stack(&all, 0)?.f_sum(tch::Kind::Float)?;
    Ok(Loss { total, parts })
}

/// Draws training images.
struct Pictures<'a> {
    params: &'a DraParams,
    pixels: ResizedImages<'a>,
    /// Positions of the good images.
    good: Vec<usize>,
    preprocess: Preprocess,
    device: tch::Device,
}

impl Pictures<'_> {
    /// Training image `i` and what it is: in place of a good one, with probability ½, another good
    /// one, drawn at random, with a pseudo anomaly.
    fn sample(&mut self, i: usize, label: Label, seed: Seed) -> Result<(Image, Role), ModelError> {
        let mut rng = seed.rng();
        let (image, role) = match label {
            Label::Bad => (self.pixels.get(i)?, Role::Seen),
            // One bit decides between the image and a pseudo anomaly.
            Label::Good if rng.next_u32() & 1 == 0 => (self.pixels.get(i)?, Role::Good),
            Label::Good => {
                let other = self.good[uniform(&mut rng, 0.0, self.good.len() as f64) as usize];
                let image = cut_paste(&self.pixels.get(other)?, seed.derive("cut and paste"));
                let image = image.map_err(|e| NnError::Image {
                    index: 0,
                    source: e.into(),
                })?;
                (image, Role::Pseudo)
            }
        };
        Ok((self.turn(image, seed)?, role))
    }

    /// Reference images: as they are, or treated like training images where the official code is
    /// followed.
    fn references(&mut self, chosen: &[usize], seed: Seed) -> Result<Vec<Image>, ModelError> {
        let mut images = Vec::with_capacity(chosen.len());
        for (slot, &i) in chosen.iter().enumerate() {
            let seed = seed.derive(&format!("reference {slot}"));
            images.push(if self.params.strict_official {
                self.sample(i, Label::Good, seed)?.0
            } else {
                let image = self.pixels.get(i)?;
                self.turn(image, seed)?
            });
        }
        Ok(images)
    }

    fn turn(&self, image: Image, seed: Seed) -> Result<Image, ModelError> {
        Ok(if self.params.rotate {
            turned(&image, seed.derive("turn"))?
        } else {
            image
        })
    }

    fn input(&self, images: &[Image]) -> Result<Tensor, NnError> {
        self.preprocess.batch(images, self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DraSettings;
    use segad_core::{BoxError, ImageId, ImageLoader, Sample, TrainSplit};
    use segad_nn::model::Settings;
    use segad_nn::train::deviation::Reference;
    use segad_nn::{BackboneKind, from_slice};

    /// Image number i is flat grey of value i, but for a corner.
    struct Numbered;

    impl ImageLoader for Numbered {
        fn load(&self, id: &ImageId) -> Result<Image, BoxError> {
            let mut grey = vec![id.as_str().parse::<u8>()?; 64 * 64];
            grey[..64].fill(255);
            Ok(Image::from_grey(64, 64, &grey)?)
        }
    }

    /// Of 40 images, the last ten of them bad.
    fn forty() -> TrainSplit {
        let sample = |i: usize| {
            Sample::new(
                ImageId::new(i.to_string()),
                if i < 30 { Label::Good } else { Label::Bad },
            )
        };
        TrainSplit::new((0..40).map(sample).collect()).unwrap()
    }

    fn pictures<'a>(params: &'a DraParams, images: &'a TrainLabelled<'a>) -> Pictures<'a> {
        Pictures {
            params,
            pixels: ResizedImages::new(images, 64, u64::MAX),
            good: (0..30).collect(),
            preprocess: params.backbone.preprocess(64, 64),
            device: tch::Device::Cpu,
        }
    }

    fn params(settings: DraSettings) -> DraParams {
        DraSettings {
            backbone: BackboneKind::Miniature,
            image_size: 64,
            ..settings
        }
        .checked()
        .unwrap()
    }

    #[test]
    fn half_of_the_good_places_hold_pseudo_anomalies_of_any_good_image() {
        let params = params(DraSettings::default());
        let (split, loader) = (forty(), Numbered);
        let images = split.labelled(&loader);
        let mut pictures = pictures(&params, &images);
        let number = |image: &Image| usize::from(image.pixel(63, 63).unwrap()[0]);
        let (mut pseudo, mut sources) = (0, [0; 40]);
        for s in 0..2000 {
            let (image, role) = pictures.sample(7, Label::Good, Seed(s)).unwrap();
            match role {
                Role::Good => assert_eq!(number(&image), 7),
                Role::Pseudo => {
                    pseudo += 1;
                    // A patch may cover the corner that tells the number.
                    sources[number(&image).min(39)] += 1;
                }
                Role::Seen => panic!("a good image is no seen anomaly"),
            }
            let (image, role) = pictures.sample(35, Label::Bad, Seed(s)).unwrap();
            assert_eq!((number(&image), role), (35, Role::Seen));
        }
        // 1000 ± 4·√500; of 30 sources about 33 each.
        assert!((910..1090).contains(&pseudo), "{pseudo}");
        assert!(
            sources[1..30].iter().all(|&n| (10..65).contains(&n)),
            "{sources:?}"
        );
    }

    #[test]
    fn references_are_clean_unless_the_official_code_is_followed() {
        let untouched = |strict_official| {
            let params = params(DraSettings {
                strict_official,
                ..Default::default()
            });
            let (split, loader) = (forty(), Numbered);
            let images = split.labelled(&loader);
            let mut pictures = pictures(&params, &images);
            let clean: Vec<Image> = (0..5).map(|i| pictures.pixels.get(i).unwrap()).collect();
            (0..100u64)
                .flat_map(|s| pictures.references(&[0, 1, 2, 3, 4], Seed(s)).unwrap())
                .enumerate()
                .filter(|(i, image)| *image == clean[i % 5])
                .count()
        };
        assert_eq!(untouched(false), 500);
        assert!((200..300).contains(&untouched(true)));
    }

    #[test]
    fn losses_by_hand() {
        let params = params(DraSettings {
            reference: Reference::Standard,
            ..Default::default()
        });
        let t = |v: &[f32]| from_slice(v, &[v.len() as i64]).unwrap();
        let roles = [Role::Good, Role::Seen, Role::Pseudo, Role::Good];
        let scores = Scores {
            // High for good: 5 − 1, |2|, |0|, 5 − 5 → 6/4.
            holistic: t(&[1.0, 2.0, 0.0, 6.0]),
            // Good, seen, good: |1|, 5 − 3, |0| → 3/3.
            seen: t(&[1.0, 3.0, 0.0]),
            // Good, pseudo, good: |0.5|, 5 − 0, |0.5| → 6/3.
            pseudo: t(&[0.5, 0.0, 0.5]),
            // |1|, 5 − 2, 5 − 4, |3| → 8/4.
            composite: t(&[1.0, 2.0, 4.0, 3.0]),
        };
        let step = Step {
            index: 0,
            epoch: 0,
            samples: &[],
            seed: Seed(1),
        };
        let loss = loss(&params, &scores, &roles, &step).unwrap();
        let parts: Vec<(&str, f64)> = loss
            .parts
            .iter()
            .map(|(n, t)| (*n, t.double_value(&[])))
            .collect();
        assert_eq!(
            parts,
            [
                ("holistic", 1.5),
                ("seen", 1.0),
                ("pseudo", 2.0),
                ("composite", 2.0)
            ]
        );
        assert_eq!(loss.total.double_value(&[]), 6.5);
        let total = segad_nn::to_vec(
            &Scores {
                seen: t(&[3.0; 4]),
                pseudo: t(&[1.0; 4]),
                ..scores
            }
            .total()
            .unwrap(),
        );
        assert_eq!(total.unwrap(), [4.0, 4.0, 8.0, 1.0]);
    }

    /// Two references and one image of each role, the same in every step.
    #[test]
    fn one_batch_is_learned_by_heart() {
        let params = params(DraSettings {
            learning_rate: 3e-3,
            ..Default::default()
        });
        let weights = Weights::random(params.backbone, None, Seed(0)).unwrap();
        let network = Network::new(&params, &weights, Seed(1), tch::Device::Cpu).unwrap();
        let x = segad_nn::golden::input("x", &[6, 3, 64, 64]).unwrap();
        let roles = [Role::Good, Role::Seen, Role::Pseudo, Role::Good];
        let ctx = FitContext::default();
        let identity = segad_core::Key::of_bytes(b"one batch");
        let run = Run {
            name: "one",
            plan: &params.plan(),
            seed: Seed(1),
            identity,
            ctx: &ctx,
        };
        let mut same = BalancedBatches::new(vec![(vec![0], 1)], 3, Seed(0)).unwrap();
        let trained = train(&network.backbone.store, &mut same, &run, |step| {
            loss(&params, &network.train(&x, &roles)?, &roles, step)
        });
        let curve = trained.unwrap().curve;
        for name in ["holistic", "seen", "pseudo", "composite"] {
            let losses: Vec<f64> = curve
                .iter()
                .filter(|p| p.name == name)
                .map(|p| p.value)
                .collect();
            assert!(
                losses[0] > 1.0 && losses[losses.len() - 1] < 0.3 * losses[0],
                "{name}: {losses:?}"
            );
        }
    }

    #[test]
    fn too_few_images_are_errors() {
        let kind = BackboneKind::Miniature;
        let weights = Weights::random(kind, Some(kind.last_tap()), Seed(0)).unwrap();
        let dra = Dra::new(params(DraSettings::default()), weights).unwrap();
        for (good, bad, text) in [(0, 2, "0 good"), (1, 2, "1 good"), (3, 0, "0 bad")] {
            let label = |i| if i < good { Label::Good } else { Label::Bad };
            let samples =
                (0..good + bad).map(|i| Sample::new(ImageId::new(i.to_string()), label(i)));
            let split = TrainSplit::new(samples.collect()).unwrap();
            let e = dra
                .fit(&split.labelled(&Numbered), Seed(0), &FitContext::default())
                .err()
                .unwrap()
                .to_string();
            assert!(e.contains(text) && e.contains("training images"), "{e}");
        }
    }
}
