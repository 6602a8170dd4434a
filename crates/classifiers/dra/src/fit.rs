use crate::model::{FittedDra, KIND};
use crate::pictures::Pictures;
use crate::score::{Network, Role, Scores};
use crate::{DraParams, FIT_REVISION};
use segad_core::{FitClassifier, FitContext, Label, Seed, TrainLabelled};
use segad_nn::model::{ModelError, expect_labels, positions, training_identity};
use segad_nn::train::deviation::Origin;
use segad_nn::train::{
    BalancedBatches, Loss, ResizedImages, Run, Step, Stream, Trained, shuffle, train,
};
use segad_nn::{Weights, autocast, torch_device};
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
    // For each head the role that it never sees, if any, and those that it scores high: the
    // holistic head is the one that is high for good images.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DraSettings;
    use crate::pictures::tests::{Numbered, params};
    use segad_core::{ImageId, Sample, TrainSplit};
    use segad_nn::train::deviation::Reference;
    use segad_nn::{BackboneKind, from_slice};

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
