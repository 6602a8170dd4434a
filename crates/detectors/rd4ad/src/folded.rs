use crate::architecture::{Architecture, Op, RunUnits};
use crate::student::{EPSILON, State, Student};
use segad_core::Precision;
use segad_nn::{NnError, channels_last, torch_kind};
use tch::{Kind, TchError, Tensor};

/// The student for maps: batch normalisations folded into the convolutions, channels-last, no
/// gradients.
pub(crate) struct Folded {
    architecture: Architecture,
    /// Weight and bias of each unit.
    units: Vec<(Tensor, Tensor)>,
    kind: Kind,
}

impl Folded {
    pub(crate) fn new(student: &Student, precision: Precision) -> Result<Self, NnError> {
        let kind = torch_kind(precision);
        let mut units = Vec::new();
        for (unit, state) in student.units() {
            units.push(tch::no_grad(|| fold(unit.op, state, kind))?);
        }
        Ok(Self {
            architecture: student.architecture.clone(),
            units,
            kind,
        })
    }

    /// The decoder's features, f32, for those of the encoder.
    pub(crate) fn forward(&self, features: &[Tensor; 3]) -> Result<[Tensor; 3], NnError> {
        tch::no_grad(|| {
            let [a, b, c] = features
                .each_ref()
                .map(|f| channels_last(&f.f_to_kind(self.kind)?));
            // Channels-last from the start, so that no convolution converts in between.
            let embedding = self.architecture.embed(self, &[a?, b?, c?])?;
            let [a, b, c] = self
                .architecture
                .decode(self, embedding)?
                .map(|f| f.f_to_kind(Kind::Float));
            Ok([a?, b?, c?])
        })
    }
}

/// Weight and bias of a unit's convolution and normalisation in one.
fn fold(op: Op, state: &State, kind: Kind) -> Result<(Tensor, Tensor), NnError> {
    // In f64, so that folding adds a single rounding to f32.
    let deviation = widen(&state.variance)?.f_add_scalar(EPSILON)?.f_sqrt()?;
    let scale = widen(&state.scale)?.f_div(&deviation)?;
    let bias = widen(&state.shift)?.f_sub(&widen(&state.mean)?.f_mul(&scale)?)?;
    // Transposed convolutions have their output channels second.
    let outputs = match op {
        Op::Conv { .. } => [-1, 1, 1, 1],
        Op::Double => [1, -1, 1, 1],
    };
    let weight = widen(&state.weight)?.f_mul(&scale.f_view(outputs)?)?;
    let weight = channels_last(&narrow(&weight, kind)?)?;
    Ok((weight, narrow(&bias, kind)?))
}

fn widen(t: &Tensor) -> Result<Tensor, TchError> {
    t.f_to_kind(Kind::Double)
}

/// By way of f32, as a network that is loaded in f32 and then rounded.
fn narrow(t: &Tensor, kind: Kind) -> Result<Tensor, TchError> {
    t.f_to_kind(Kind::Float)?.f_to_kind(kind)
}

impl RunUnits for Folded {
    fn unit(&self, index: usize, x: &Tensor) -> Result<Tensor, NnError> {
        let unit = &self.architecture.units[index];
        let (weight, bias) = &self.units[index];
        let mut y = unit.convolve(x, weight, Some(bias))?;
        Ok(if unit.relu { y.f_relu_()? } else { y })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::StudentShape;
    use segad_nn::golden;

    /// Folding must not change what the running statistics give, for plain and transposed
    /// convolutions.
    #[test]
    fn folded_equals_unfolded() {
        let shape = StudentShape {
            channels: [8, 16, 32],
            rectified: [true, false, true],
            width: 16,
        };
        let student = Student::new(shape, tch::Device::Cpu).unwrap();
        golden::fill(&student.store, "").unwrap();
        let input = |i: i64| {
            golden::input("f", &[2, 8 << i, 16 >> i, 16 >> i])
                .unwrap()
                .abs()
        };
        let features = [input(0), input(1), input(2)];
        let plain = tch::no_grad(|| student.forward(&features, false)).unwrap();
        let difference = |folded: &Folded| -> f64 {
            let fast = folded.forward(&features).unwrap();
            let one = |(a, b): (&Tensor, &Tensor)| ((a - b).norm() / b.norm()).double_value(&[]);
            assert!(
                fast.iter()
                    .zip(&plain)
                    .all(|(a, b)| a.size() == b.size() && a.kind() == Kind::Float)
            );
            fast.iter().zip(&plain).map(one).fold(0.0, f64::max)
        };
        assert!(plain[0].min().double_value(&[]) >= 0.0 && plain[1].min().double_value(&[]) < 0.0);
        let exact = difference(&Folded::new(&student, Precision::F32).unwrap());
        assert!(exact < 1e-5, "{exact}");
        let rough = difference(&Folded::new(&student, Precision::Bf16).unwrap());
        assert!(rough > exact && rough < 0.2, "{rough}");
    }
}
