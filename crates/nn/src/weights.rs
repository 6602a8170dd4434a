mod tensors;

pub use tensors::{read_tensors, write_tensors};

use crate::architecture::Parameter;
use crate::runtime::{from_slice, to_vec};
use crate::{BackboneKind, NnError, golden};
use rand::Rng;
use segad_core::{Key, KeyHasher, Seed};
use std::collections::BTreeMap;
use tch::{Kind, Tensor};

/// A frozen network's state: f32 tensors on the CPU by name, and a digest of where they came from.
/// Clones share the tensors' memory.
pub struct Weights {
    tensors: BTreeMap<String, Tensor>,
    digest: Key,
}

impl Clone for Weights {
    fn clone(&self) -> Self {
        let tensors = self
            .tensors
            .iter()
            .map(|(k, v)| (k.clone(), v.shallow_clone()))
            .collect();
        Self {
            tensors,
            digest: self.digest,
        }
    }
}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Weights({} tensors, {})",
            self.tensors.len(),
            self.digest.short()
        )
    }
}

impl Weights {
    /// Weights from the bytes of a safetensors file, widened to f32. Batch counters are dropped.
    /// The digest is that of the bytes.
    ///
    /// # Errors
    /// [`NnError::SafeTensors`] for damaged bytes, [`NnError::WeightValues`] for integers, NaN or
    /// infinities.
    pub fn from_safetensors(bytes: &[u8]) -> Result<Self, NnError> {
        let mut tensors = read_tensors(bytes)?;
        // Only training with a cumulative average reads the counters, and some files lack them.
        tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        for (name, tensor) in &mut tensors {
            let kind = tensor.kind();
            let floats = [Kind::Half, Kind::BFloat16, Kind::Float, Kind::Double];
            *tensor = tensor.f_to_kind(Kind::Float)?;
            // After narrowing: an f64 beyond f32 is an infinity now.
            let problem = if !floats.contains(&kind) {
                format!("holds {kind:?}")
            } else if !to_vec(tensor)?.iter().all(|v| v.is_finite()) {
                "holds NaN or an infinity".to_owned()
            } else {
                continue;
            };
            return Err(NnError::WeightValues {
                name: name.clone(),
                problem,
            });
        }
        Ok(Self {
            tensors,
            digest: Key::of_bytes(bytes),
        })
    }

    /// Random weights up to and including the tap `through` (`None`: all): convolutions and linear
    /// layers uniform with variance 2/fan-in, normalisations and scales that change nothing. For
    /// tests and trials without weight files; features of such a network still tell textures apart,
    /// but far worse than trained ones.
    ///
    /// # Errors
    /// [`NnError::Tap`].
    pub fn random(kind: BackboneKind, through: Option<&str>, seed: Seed) -> Result<Self, NnError> {
        let mut hasher = KeyHasher::new("random weights", 1);
        hasher.field("backbone", &kind).field("seed", &seed);
        Self::from_parameters(kind, through, hasher.finish(), |p| {
            random_parameter(p, seed)
        })
    }

    /// The weights of a backbone of which no trained ones exist: [`Weights::random`] of seed 0 for
    /// a [miniature](BackboneKind::is_miniature); `None` for the others, whose weights come from
    /// files.
    ///
    /// # Errors
    /// libtorch's.
    pub fn untrained(kind: BackboneKind) -> Result<Option<Self>, NnError> {
        if !kind.is_miniature() {
            return Ok(None);
        }
        Self::random(kind, None, Seed(0)).map(Some)
    }

    /// Weights of [`golden::parameter`], for tests against known figures.
    ///
    /// # Errors
    /// [`NnError::Tap`].
    pub fn golden(kind: BackboneKind, through: Option<&str>) -> Result<Self, NnError> {
        let digest = KeyHasher::new("golden weights", 1)
            .field("backbone", &kind)
            .finish();
        Self::from_parameters(kind, through, digest, |p| {
            golden::parameter(&p.name, &p.shape)
        })
    }

    fn from_parameters(
        kind: BackboneKind,
        through: Option<&str>,
        digest: Key,
        make: impl Fn(&Parameter) -> Result<Tensor, NnError>,
    ) -> Result<Self, NnError> {
        let list = kind.parameters(through)?;
        let tensors = list
            .iter()
            .map(|p| Ok((p.name.clone(), make(p)?)))
            .collect::<Result<_, NnError>>()?;
        Ok(Self { tensors, digest })
    }

    /// Those whose names begin with `prefix`, without it; the digest stays that of the whole.
    #[must_use]
    pub fn below(&self, prefix: &str) -> Self {
        let mut tensors = BTreeMap::new();
        for (name, tensor) in &self.tensors {
            if let Some(rest) = name.strip_prefix(prefix) {
                tensors.insert(rest.to_owned(), tensor.shallow_clone());
            }
        }
        Self {
            tensors,
            digest: self.digest,
        }
    }

    /// What the weights are known by in keys and saved models.
    pub fn digest(&self) -> Key {
        self.digest
    }

    /// The tensors by name.
    pub fn tensors(&self) -> &BTreeMap<String, Tensor> {
        &self.tensors
    }

    /// Checks that these are weights of `kind`, complete up to the tap `through`: every name and
    /// shape. Later parts and the head may be absent.
    ///
    /// # Errors
    /// [`NnError::WeightNames`] with all missing and unexpected names, [`NnError::WeightShape`],
    /// [`NnError::Tap`].
    pub fn check(&self, kind: BackboneKind, through: Option<&str>) -> Result<(), NnError> {
        let mut known = kind.parameters(None)?;
        known.extend(kind.optional_parameters());
        self.check_against(kind.as_str(), &kind.parameters(through)?, &known)
    }

    /// As [`Weights::check`], for any network: all of `required`, perhaps some of `known`,
    /// nothing else.
    ///
    /// # Errors
    /// [`NnError::WeightNames`] and [`NnError::WeightShape`].
    pub fn check_against(
        &self,
        network: &str,
        required: &[Parameter],
        known: &[Parameter],
    ) -> Result<(), NnError> {
        let shapes: BTreeMap<&str, &Parameter> = known
            .iter()
            .chain(required)
            .map(|p| (p.name.as_str(), p))
            .collect();
        let missing: Vec<String> = required
            .iter()
            .filter(|p| !self.tensors.contains_key(&p.name))
            .map(|p| p.name.clone())
            .collect();
        let unexpected: Vec<String> = self
            .tensors
            .keys()
            .filter(|name| !shapes.contains_key(name.as_str()))
            .cloned()
            .collect();
        if !missing.is_empty() || !unexpected.is_empty() {
            return Err(NnError::WeightNames {
                network: network.to_owned(),
                missing,
                unexpected,
            });
        }
        // Shapes after names: a missing layer says more than the shapes that follow from it.
        for (name, tensor) in &self.tensors {
            let expected = &shapes[name.as_str()].shape;
            if tensor.size() != *expected {
                return Err(NnError::WeightShape {
                    network: network.to_owned(),
                    name: name.clone(),
                    expected: expected.clone(),
                    actual: tensor.size(),
                });
            }
        }
        Ok(())
    }

    /// One tensor; call [`Weights::check`] first.
    pub(crate) fn get(&self, name: &str) -> Result<&Tensor, NnError> {
        self.tensors.get(name).ok_or_else(|| NnError::WeightNames {
            network: "backbone".into(),
            missing: vec![name.to_owned()],
            unexpected: vec![],
        })
    }
}

/// See [`Weights::random`]. Each parameter has a stream of its own, so that a network that ends
/// earlier has the same values up to there.
fn random_parameter(parameter: &Parameter, seed: Seed) -> Result<Tensor, NnError> {
    let Parameter { name, shape, .. } = parameter;
    let mut rng = seed.derive(name).rng();
    let (scale, offset) = match shape.len() {
        0 | 1
            if ["weight", "running_var", "gamma"]
                .iter()
                .any(|n| name.ends_with(n)) =>
        {
            (0.0, 1.0)
        }
        0 | 1 => (0.0, 0.0),
        // Uniform numbers of width w have the variance w²/12.
        _ => {
            let fan_in = shape[1..].iter().product::<i64>() as f64;
            ((24.0 / fan_in).sqrt(), 0.0)
        }
    };
    let mut values = Vec::new();
    for _ in 0..parameter.numel() {
        let unit = f64::from(rng.next_u32()) / 4_294_967_296.0 - 0.5;
        values.push((offset + scale * unit) as f32);
    }
    from_slice(&values, shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Weights {
        Weights::random(BackboneKind::Resnet18, Some("layer1"), Seed(3)).unwrap()
    }

    fn bytes(weights: &Weights) -> Vec<u8> {
        write_tensors(&weights.tensors).unwrap()
    }

    #[test]
    fn files_read_back() {
        let a = small();
        let b = Weights::from_safetensors(&bytes(&a)).unwrap();
        b.check(BackboneKind::Resnet18, Some("layer1")).unwrap();
        for (name, tensor) in a.tensors() {
            assert_eq!(to_vec(tensor).unwrap(), to_vec(&b.tensors()[name]).unwrap());
        }
        assert_eq!(bytes(&a), bytes(&b));
    }

    #[test]
    fn only_miniatures_need_no_file() {
        for kind in BackboneKind::ALL {
            let made = Weights::untrained(kind).unwrap();
            assert_eq!(
                made.is_some(),
                kind.as_str().starts_with("miniature"),
                "{kind}"
            );
            if let Some(made) = made {
                made.check(kind, None).unwrap();
                assert_eq!(
                    made.digest(),
                    Weights::untrained(kind).unwrap().unwrap().digest()
                );
            }
        }
    }

    #[test]
    fn wrong_weights_are_named() {
        let kind = BackboneKind::Resnet18;
        let e = small().check(kind, Some("layer2")).unwrap_err().to_string();
        assert!(e.contains("layer2.0.conv1.weight"), "{e}");
        let e = small()
            .check(BackboneKind::EfficientnetLite0, Some("stem"))
            .unwrap_err()
            .to_string();
        assert!(
            e.contains("_conv_stem.weight") && e.contains("layer1.1.bn2.bias"),
            "{e}"
        );

        // libtorch itself would broadcast a [1] tensor into a [64] one.
        let mut broadcast = small();
        broadcast
            .tensors
            .insert("bn1.bias".into(), from_slice(&[1.0], &[1]).unwrap());
        let e = broadcast.check(kind, Some("layer1")).unwrap_err();
        assert!(
            matches!(e, NnError::WeightShape { ref name, .. } if name == "bn1.bias"),
            "{e}"
        );
    }

    #[test]
    fn damaged_files_are_errors() {
        let good = bytes(&small());
        for bad in [
            &good[..7],
            &good[..good.len() - 1],
            b"",
            b"\xff\xff\xff\xff\xff\xff\xff\x7fxx",
        ] {
            assert!(matches!(
                Weights::from_safetensors(bad),
                Err(NnError::SafeTensors(_))
            ));
        }
        let nan = from_slice(&[f32::NAN], &[1]).unwrap();
        let e = Weights::from_safetensors(&write_tensors([("x", &nan)]).unwrap()).unwrap_err();
        assert!(e.to_string().contains("x holds NaN"), "{e}");
    }
}
