//! The trainable student: variables, their initial values, and the pass with batch statistics.

use crate::architecture::{Architecture, Op, RunUnits, StudentShape, Unit};
use segad_core::Seed;
use segad_nn::train::{Initial, initialise};
use segad_nn::{NnError, Parameter};
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn::{Path, VarStore};

/// Added to the variance in every batch normalisation.
pub(crate) const EPSILON: f64 = 1e-5;
/// Weight of a batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Bottleneck and decoder with their variables, f32.
pub(crate) struct Student {
    pub architecture: Architecture,
    pub store: VarStore,
    units: Vec<State>,
}

/// The variables of a unit.
pub(crate) struct State {
    pub weight: Tensor,
    pub scale: Tensor,
    pub shift: Tensor,
    pub mean: Tensor,
    pub variance: Tensor,
}

impl Student {
    /// With convolutions of zeros and normalisations that change nothing.
    pub(crate) fn new(shape: StudentShape, device: tch::Device) -> Result<Self, NnError> {
        let architecture = Architecture::new(shape);
        let store = VarStore::new(device);
        let mut units = Vec::with_capacity(architecture.units.len());
        for unit in &architecture.units {
            // No bias: the normalisation would take it out again.
            let conv = subpath(&store, &unit.conv);
            let norm = subpath(&store, &unit.norm);
            let channels = [unit.output];
            units.push(State {
                weight: conv.f_zeros("weight", &unit.weight_shape())?,
                scale: norm.f_ones("weight", &channels)?,
                shift: norm.f_zeros("bias", &channels)?,
                mean: norm.f_zeros_no_train("running_mean", &channels)?,
                variance: norm.f_ones_no_train("running_var", &channels)?,
            });
        }
        Ok(Self {
            architecture,
            store,
            units,
        })
    }

    /// Sets the initial values. Convolutions: normal with variance 2/(C_out·k²) (Kaiming, fan-out);
    /// transposed ones, which the published code leaves alone: uniform within ±1/√(4·C_out),
    /// PyTorch's default; normalisations change nothing.
    pub(crate) fn initialise(&self, seed: Seed) -> Result<(), NnError> {
        let mut convolutions = BTreeMap::new();
        for unit in &self.architecture.units {
            let fan = unit.output as f64;
            let initial = match unit.op {
                Op::Conv { kernel, .. } => {
                    Initial::Normal((2.0 / (fan * (kernel * kernel) as f64)).sqrt())
                }
                Op::Double => Initial::Uniform(1.0 / (4.0 * fan).sqrt()),
            };
            convolutions.insert(format!("{}.weight", unit.conv), initial);
        }
        initialise(&self.store, seed, |name, _| match convolutions.get(name) {
            Some(initial) => *initial,
            None if name.ends_with("weight") || name.ends_with("running_var") => {
                Initial::Constant(1.0)
            }
            None => Initial::Constant(0.0),
        })
    }

    /// Sets all of its state, each tensor to what `take` returns for it, whose shape must have been
    /// checked: libtorch would broadcast.
    pub(crate) fn read(
        &self,
        mut take: impl FnMut(&Parameter) -> Result<Tensor, NnError>,
    ) -> Result<(), NnError> {
        let variables = self.store.variables();
        for parameter in self.architecture.parameters() {
            let value = take(&parameter)?;
            if let Some(variable) = variables.get(&parameter.name) {
                let mut variable = variable.shallow_clone();
                tch::no_grad(|| variable.f_copy_(&value))?;
            }
        }
        Ok(())
    }

    /// All of its state by name.
    pub(crate) fn tensors(&self) -> BTreeMap<String, Tensor> {
        self.store.variables().into_iter().collect()
    }

    /// Each unit with its variables.
    pub(crate) fn units(&self) -> impl Iterator<Item = (&Unit, &State)> {
        self.architecture.units.iter().zip(&self.units)
    }

    /// The decoder's features for the encoder's, with the statistics of this batch if `train`,
    /// which then move the running ones.
    pub(crate) fn forward(
        &self,
        features: &[Tensor; 3],
        train: bool,
    ) -> Result<[Tensor; 3], NnError> {
        let pass = Pass {
            student: self,
            train,
        };
        let embedding = self.architecture.embed(&pass, features)?;
        self.architecture.decode(&pass, embedding)
    }
}

/// The place of a dotted name in a store.
fn subpath<'a>(store: &'a VarStore, name: &str) -> Path<'a> {
    name.split('.')
        .fold(store.root(), |path, part| path.sub(part))
}

struct Pass<'a> {
    student: &'a Student,
    train: bool,
}

impl RunUnits for Pass<'_> {
    fn unit(&self, index: usize, x: &Tensor) -> Result<Tensor, NnError> {
        let unit = &self.student.architecture.units[index];
        let state = &self.student.units[index];
        let y = unit.convolve(x, &state.weight, None)?;
        let mut y = y.f_batch_norm(
            Some(&state.scale),
            Some(&state.shift),
            Some(&state.mean),
            Some(&state.variance),
            self.train,
            MOMENTUM,
            EPSILON,
            true,
        )?;
        Ok(if unit.relu { y.f_relu_()? } else { y })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use segad_nn::to_vec;

    fn student(seed: u64) -> Student {
        let shape = StudentShape {
            channels: [8, 16, 32],
            rectified: [true; 3],
            width: 16,
        };
        let s = Student::new(shape, tch::Device::Cpu).unwrap();
        s.initialise(Seed(seed)).unwrap();
        s
    }

    fn values(s: &Student, name: &str) -> Vec<f32> {
        to_vec(&s.tensors()[name]).unwrap()
    }

    #[test]
    fn first_values_have_their_spread() {
        let s = student(1);
        let moments = |v: &[f32]| {
            let n = v.len() as f64;
            let mean = v.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let power = |p| {
                v.iter()
                    .map(|&x| (f64::from(x) - mean).powi(p))
                    .sum::<f64>()
                    / n
            };
            (mean, power(2), power(4) / power(2).powi(2))
        };
        // 16·96 values with variance 2/16, 32·16·9 with 2/(32·9): means within 4 of their standard
        // errors.
        let v = values(&s, "bottleneck.conv3.weight");
        let (mean, variance, fourth) = moments(&v);
        let expected = 2.0 / (32.0 * 9.0);
        assert!(
            mean.abs() < 4.0 * (expected / v.len() as f64).sqrt(),
            "{mean}"
        );
        assert!(
            (variance / expected - 1.0).abs() < 4.0 * (2.0 / v.len() as f64).sqrt(),
            "{variance}"
        );
        assert!(
            (fourth - 3.0).abs() < 4.0 * (24.0 / v.len() as f64).sqrt(),
            "{fourth}"
        );

        let v = values(&s, "decoder.layer1.0.upsample.0.weight");
        let bound = 1.0 / (4.0f32 * 32.0).sqrt();
        assert_eq!(v.len(), 64 * 32 * 4);
        assert!(v.iter().all(|x| x.abs() <= bound));
        let (_, variance, fourth) = moments(&v);
        assert!(
            (variance * 3.0 / f64::from(bound * bound) - 1.0).abs() < 0.05,
            "{variance}"
        );
        assert!((fourth - 1.8).abs() < 0.05, "{fourth}");
        assert!(
            values(&s, "bottleneck.bn2.weight")
                .iter()
                .all(|&x| x == 1.0)
        );
        assert!(values(&s, "bottleneck.bn2.bias").iter().all(|&x| x == 0.0));
    }

    #[test]
    fn a_seed_gives_the_same_bytes() {
        let all = |seed| {
            let tensors = student(seed).tensors();
            tensors
                .values()
                .map(|t| to_vec(t).unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        let name = "decoder.layer2.1.conv2.weight";
        assert_ne!(values(&student(1), name), values(&student(2), name));
    }
}
