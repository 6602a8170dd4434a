use crate::DraParams;
use crate::heads::{self, Heads};
use segad_core::Seed;
use segad_nn::train::deviation::{HeadedBackbone, at_scale};
use segad_nn::{NnError, Parameter, Weights};
use tch::Tensor;

/// What an image means to the heads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Good,
    /// A defect that somebody labelled.
    Seen,
    /// An artificial defect.
    Pseudo,
}

/// The four heads' scores, one value an image that the head looks at.
pub(crate) struct Scores {
    pub holistic: Tensor,
    pub seen: Tensor,
    pub pseudo: Tensor,
    pub composite: Tensor,
}

/// Backbone and heads.
pub(crate) struct Network {
    pub backbone: HeadedBackbone,
    heads: Heads,
    scales: u32,
}

impl Network {
    /// The backbone with its weights, the heads as PyTorch's layers start.
    pub(crate) fn new(
        params: &DraParams,
        weights: &Weights,
        seed: Seed,
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let kind = params.backbone;
        let heads = heads::parameters(kind.last_channels());
        Self::on(
            params,
            HeadedBackbone::new(kind, &heads, weights, seed, device)?,
        )
    }

    /// With the state of a trained network, which the parameters say the names and shapes of;
    /// `more` may be there too.
    pub(crate) fn read(
        params: &DraParams,
        state: &Weights,
        more: &[Parameter],
        device: tch::Device,
    ) -> Result<Self, NnError> {
        let kind = params.backbone;
        let heads = heads::parameters(kind.last_channels());
        Self::on(
            params,
            HeadedBackbone::read("dra", kind, heads, more, state, device)?,
        )
    }

    fn on(params: &DraParams, backbone: HeadedBackbone) -> Result<Self, NnError> {
        Ok(Self {
            heads: Heads::new(|name| backbone.variable(name), params.top_share)?,
            backbone,
            scales: params.scales,
        })
    }

    /// Training scores of N images of these roles that follow the references in `images`: batch
    /// normalisation sees all of them, each head the images that are its own.
    pub(crate) fn train(&self, images: &Tensor, roles: &[Role]) -> Result<Scores, NnError> {
        let n = roles.len() as i64;
        let references = images.size()[0] - n;
        // Each of these heads is kept from the other's anomalies, or both would learn the same.
        let not_pseudo = positions_without(Role::Pseudo, roles, images.device())?;
        let not_seen = positions_without(Role::Seen, roles, images.device())?;
        let mut found = Vec::new();
        for s in 0..self.scales {
            // One pass for references and images, so that batch normalisation sees them together.
            let features = self.backbone.features(&at_scale(images, s)?, true)?;
            let reference = mean(&features.f_narrow(0, 0, references)?)?;
            let own = features.f_narrow(0, references, n)?;
            found.push([
                self.heads.holistic(&own)?,
                self.heads.seen(&own.f_index_select(0, &not_pseudo)?)?,
                self.heads.pseudo(&own.f_index_select(0, &not_seen)?)?,
                self.heads.composite(&own, &reference, true)?,
            ]);
        }
        combine(&found)
    }

    /// The mean feature of good images at each scale, 1×C×h×w.
    pub(crate) fn references(&self, images: &Tensor) -> Result<Vec<Tensor>, NnError> {
        (0..self.scales)
            .map(|s| mean(&self.backbone.features(&at_scale(images, s)?, false)?))
            .collect()
    }

    /// Scores of all heads for every image.
    pub(crate) fn scores(&self, images: &Tensor, references: &[Tensor]) -> Result<Scores, NnError> {
        let mut found = Vec::new();
        for (s, reference) in (0..self.scales).zip(references) {
            let features = self.backbone.features(&at_scale(images, s)?, false)?;
            found.push([
                self.heads.holistic(&features)?,
                self.heads.seen(&features)?,
                self.heads.pseudo(&features)?,
                self.heads.composite(&features, reference, false)?,
            ]);
        }
        combine(&found)
    }
}

impl Scores {
    /// What is reported: −holistic + seen + pseudo + composite.
    pub(crate) fn total(&self) -> Result<Tensor, NnError> {
        Ok(self
            .seen
            .f_add(&self.pseudo)?
            .f_add(&self.composite)?
            // The holistic head is high for good images, so it counts against.
            .f_sub(&self.holistic)?)
    }
}

fn mean(features: &Tensor) -> Result<Tensor, NnError> {
    Ok(features.f_mean_dim([0i64].as_slice(), true, None)?)
}

/// The mean over scales of each head's scores.
fn combine(scales: &[[Tensor; 4]]) -> Result<Scores, NnError> {
    Ok(Scores {
        holistic: mean_of_head(scales, 0)?,
        seen: mean_of_head(scales, 1)?,
        pseudo: mean_of_head(scales, 2)?,
        composite: mean_of_head(scales, 3)?,
    })
}

fn mean_of_head(scales: &[[Tensor; 4]], head: usize) -> Result<Tensor, NnError> {
    let all: Vec<&Tensor> = scales.iter().map(|s| &s[head]).collect();
    Ok(Tensor::f_stack(&all, 0)?.f_mean_dim([0i64].as_slice(), false, None)?)
}

/// Positions of the images of other roles.
fn positions_without(role: Role, roles: &[Role], device: tch::Device) -> Result<Tensor, NnError> {
    let others = (0..roles.len()).filter(|&i| roles[i] != role);
    let others: Vec<i64> = others.map(|i| i as i64).collect();
    Ok(Tensor::f_from_slice(&others)?.f_to_device(device)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DraSettings;
    use segad_nn::model::Settings;
    use segad_nn::train::deviation::published_parameters;
    use segad_nn::{BackboneKind, golden, to_vec};

    fn network() -> Network {
        let kind = BackboneKind::Resnet18;
        let settings = DraSettings {
            backbone: kind,
            image_size: 128,
            ..Default::default()
        };
        let weights = Weights::golden(kind, Some(kind.last_tap())).unwrap();
        Network::new(
            &settings.checked().unwrap(),
            &weights,
            Seed(4),
            tch::Device::Cpu,
        )
        .unwrap()
    }

    #[test]
    fn names_are_the_published_ones() {
        let network = network();
        let variables = network.backbone.store.variables();
        let list = published_parameters(BackboneKind::Resnet18, heads::parameters(512));
        assert_eq!(variables.len(), list.len());
        assert!(list.iter().all(|p| variables[&p.name].size() == p.shape));
        for (name, fan_in) in [
            ("holistic_head.fc2.bias", 256f32),
            ("composite_head.conv.0.weight", 4608.0),
        ] {
            let largest = to_vec(&variables[name])
                .unwrap()
                .iter()
                .fold(0f32, |m, v| m.max(v.abs()));
            assert!(
                largest > 0.0 && largest <= 1.0 / fan_in.sqrt(),
                "{name} {largest}"
            );
        }
        assert!(
            to_vec(&variables["composite_head.conv.1.weight"])
                .unwrap()
                .iter()
                .all(|&v| v == 1.0)
        );
    }

    #[test]
    fn each_head_sees_its_own_images() {
        let network = network();
        let x = golden::input("x", &[6, 3, 128, 128]).unwrap();
        let roles = [Role::Good, Role::Seen, Role::Pseudo, Role::Good];
        let s = tch::no_grad(|| network.train(&x, &roles)).unwrap();
        let sizes = [&s.holistic, &s.seen, &s.pseudo, &s.composite].map(|t| t.size());
        assert_eq!(sizes, [vec![4], vec![3], vec![3], vec![4]]);
        assert!(to_vec(&s.composite).unwrap().iter().all(|&v| v >= 0.0));
    }

    #[test]
    fn the_score_is_the_signed_sum_over_heads_meant_over_scales() {
        let network = network();
        let x = golden::input("x", &[3, 3, 128, 128]).unwrap();
        let references =
            tch::no_grad(|| network.references(&golden::input("r", &[5, 3, 128, 128]).unwrap()))
                .unwrap();
        assert_eq!(
            references.iter().map(Tensor::size).collect::<Vec<_>>(),
            [[1, 512, 4, 4], [1, 512, 2, 2]]
        );
        let whole = tch::no_grad(|| network.scores(&x, &references)).unwrap();
        // By scale, on the backbone's features alone.
        let mut expected = [0.0; 3];
        for (s, reference) in references.iter().enumerate() {
            let f = tch::no_grad(|| {
                network
                    .backbone
                    .features(&at_scale(&x, s as u32).unwrap(), false)
            })
            .unwrap();
            let h = &network.heads;
            let part = |t: Result<Tensor, NnError>| to_vec(&t.unwrap()).unwrap();
            let (a, b, c, d) = (
                part(h.holistic(&f)),
                part(h.seen(&f)),
                part(h.pseudo(&f)),
                part(h.composite(&f, reference, false)),
            );
            (0..3).for_each(|i| expected[i] += (b[i] + c[i] + d[i] - a[i]) / 2.0);
        }
        let found = to_vec(&whole.total().unwrap()).unwrap();
        for (a, e) in found.iter().zip(expected) {
            assert!(
                (a - e).abs() < 1e-4 * e.abs().max(1.0),
                "{found:?} {expected:?}"
            );
        }
    }
}
